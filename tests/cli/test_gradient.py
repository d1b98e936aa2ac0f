"""The command as a batch script sees it: exit codes, files, messages."""

import json

import numpy as np
import pytest
import scipy.io
from scipy import sparse
from typer.testing import CliRunner

from sparseimplicit.cli.app import app, main
from sparseimplicit.verify.zoo import convection_diffusion, laplacian

A = convection_diffusion(6, 7)
B = sparse.random_array((42, 5), density=0.4, rng=np.random.default_rng(0), format="csr")
V = np.random.default_rng(1).standard_normal(42)
EXACT = -B.toarray().T @ np.linalg.solve(A.toarray().T, V)


@pytest.fixture
def files(tmp_path):
    sparse.save_npz(tmp_path / "A.npz", A)
    sparse.save_npz(tmp_path / "B.npz", B)
    scipy.io.mmwrite(tmp_path / "A.mtx", A)
    np.save(tmp_path / "B.npy", B.toarray())
    np.save(tmp_path / "v.npy", V)
    return tmp_path


def run(folder, hessian="A.npz", cross="B.npz", cotangent="v.npy", out="x.npy", more=()):
    """Run as the shell does and return the exit code."""
    arguments = [
        "gradient", "--hessian", folder / hessian, "--cross-hessian", folder / cross,
        "--cotangent", folder / cotangent, "--out", folder / out, *more,
    ]  # fmt: skip
    return main([str(argument) for argument in arguments])


@pytest.mark.parametrize(("hessian", "cross"), [("A.npz", "B.npz"), ("A.mtx", "B.npy")])
def test_the_theorem_from_files(files, capsys, hessian, cross):
    assert run(files, hessian, cross, more=["--rtol", "1e-12"]) == 0
    np.testing.assert_allclose(np.load(files / "x.npy"), EXACT, rtol=1e-10)
    report = json.loads((files / "x.json").read_text())
    assert report["solve"]["residual"] <= 1e-12
    assert report["solve"]["transposed"] is True
    assert (report["n_x"], report["n_y"]) == (5, 42)
    assert "true residual" in capsys.readouterr().out


def test_several_cotangents(files):
    np.save(files / "v.npy", np.column_stack([V, 2 * V]))
    assert run(files, more=["--solver", "superlu"]) == 0
    np.testing.assert_allclose(np.load(files / "x.npy")[:, 1], 2 * EXACT, rtol=1e-8)


def spoil(files, what):
    if what == "missing":
        (files / "A.npz").unlink()
    elif what == "empty":
        (files / "A.npz").write_bytes(b"")
    elif what == "truncated":
        (files / "A.npz").write_bytes((files / "A.npz").read_bytes()[:-40])
    elif what == "transposed":
        sparse.save_npz(files / "B.npz", B.T.tocsr())
    elif what == "nan":
        np.save(files / "v.npy", np.where(np.arange(42) == 3, np.nan, V))
    elif what == "pickle":
        np.save(files / "v.npy", np.array([object()]), allow_pickle=True)
    elif what == "text":
        (files / "v.npy").write_text("1 2 3")


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("missing", "A.npz"),
        ("empty", "A.npz"),
        ("truncated", "A.npz"),
        ("transposed", "B.npz"),
        ("nan", "v.npy"),
        ("pickle", "v.npy"),
        ("text", "v.npy"),
    ],
)
def test_bad_files_exit_2_and_are_named(files, capsys, what, name):
    spoil(files, what)
    assert run(files) == 2
    assert name in capsys.readouterr().err
    assert not (files / "x.npy").exists()


@pytest.mark.parametrize(
    "more", [["--solver", "magic"], ["--structure", "pretty"], ["--rtol", "-1"], ["--rtol", "no"]]
)
def test_bad_options_exit_2(files, more):
    assert run(files, more=more) == 2
    assert not (files / "x.npy").exists()


def test_an_output_that_cannot_be_written_exits_2_before_the_work(files, capsys):
    (files / "file").write_text("not a folder")
    assert run(files, out="file/x.npy") == 2
    assert "cannot be written" in capsys.readouterr().err
    assert run(files, out="x.txt") == 2


def test_a_singular_hessian_exits_11(files, capsys):
    sparse.save_npz(files / "A.npz", laplacian(6, 7))
    assert run(files) == 11
    assert "singular" in capsys.readouterr().err
    assert not (files / "x.npy").exists()


def test_an_indefinite_hessian_declared_definite_exits_11(files):
    sparse.save_npz(files / "A.npz", sparse.csr_array(laplacian(6, 7) - sparse.eye_array(42)))
    assert run(files, more=["--structure", "positive-definite", "--solver", "cg"]) == 11


def test_an_unconverged_solve_exits_10(files, capsys):
    sparse.save_npz(files / "A.npz", laplacian(6, 7, 1e-9))
    assert run(files, more=["--solver", "minres", "--rtol", "1e-15"]) == 10
    assert "residual" in capsys.readouterr().err
    assert not (files / "x.npy").exists()


def test_a_damped_solve_that_misses_rtol_is_written_and_exits_10(files, capsys):
    sparse.save_npz(files / "A.npz", laplacian(6, 7))  # V is not orthogonal to constants
    assert run(files, more=["--on-singular", "damp"]) == 10
    assert "not converged: true residual" in capsys.readouterr().err
    record = json.loads((files / "x.json").read_text())
    assert record["converged"] is False
    # No answer comes closer than the part of V in the null space of the constants.
    assert record["residual"] >= 0.99 * abs(V.sum()) / np.sqrt(42) / np.linalg.norm(V)
    np.save(files / "v.npy", V - V.mean())
    assert run(files, more=["--on-singular", "damp", "--rtol", "1e-6"]) == 0


def test_help_has_examples():
    result = CliRunner().invoke(app, ["gradient", "--help"])
    assert result.exit_code == 0
    assert "--cross-hessian B.npz" in result.output
