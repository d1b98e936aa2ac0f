"""``doctor`` from the command line."""

import json

import numpy as np
import pytest
from scipy import sparse

from sparseimplicit.cli.app import main
from sparseimplicit.verify.zoo import laplacian


@pytest.fixture
def saved(tmp_path):
    def save(matrix, name="H.npz"):
        sparse.save_npz(tmp_path / name, sparse.csr_array(matrix))
        return str(tmp_path / name)

    return save


def test_sound(saved, capsys):
    assert main(["doctor", saved(laplacian(20, 20, 1.0)), "--structure", "positive-definite"]) == 0
    assert "nothing is wrong" in capsys.readouterr().out


def test_singular_with_a_right_hand_side(saved, tmp_path, capsys):
    np.save(tmp_path / "b.npy", np.ones(400))
    arguments = ["--rhs", str(tmp_path / "b.npy"), "--grid", "20x20", "--json"]
    assert main(["doctor", saved(laplacian(20, 20)), *arguments]) == 11
    record = json.loads(capsys.readouterr().out)
    assert record["null_dimension"] == 1
    assert {finding["raises"] for finding in record["findings"]} >= {"SingularSystem"}
    assert any("no solution exists" in finding["what"] for finding in record["findings"])


def test_not_what_was_declared(saved, capsys):
    a = sparse.csr_array(np.array([[1.0, 2.0], [0.0, 1.0]]))
    assert main(["doctor", saved(a), "--structure", "symmetric"]) == 2
    assert "only one triangle" in capsys.readouterr().out


def test_not_positive_definite(saved):
    a = saved(laplacian(8, 8, -1.0))
    assert main(["doctor", a, "--structure", "positive-definite"]) == 11
    assert main(["doctor", a]) == 0


def test_not_finite(saved, capsys):
    assert main(["doctor", saved(np.diag([1.0, np.nan, 2.0]))]) == 2
    assert "nan at row 1" in capsys.readouterr().out


def test_bad_input(saved, tmp_path, capsys):
    assert main(["doctor", str(tmp_path / "none.npz")]) == 2
    assert main(["doctor", saved(laplacian(3, 3)), "--grid", "three"]) == 2
    assert "write it as 512x512" in capsys.readouterr().err


def test_a_failed_job_leaves_a_bundle_that_the_doctor_takes(tmp_path, saved, capsys):
    saved(laplacian(30, 30, 1e-4))
    saved(np.ones((900, 2)), "B.npz")
    np.save(tmp_path / "v.npy", np.random.default_rng(0).standard_normal(900))
    (tmp_path / "job.toml").write_text(
        'kind = "gradient"\n[system]\nhessian = "H.npz"\ncross_hessian = "B.npz"\n'
        'cotangent = "v.npy"\nstructure = "symmetric"\n'
        '[solver]\nlinear = "cg"\nrtol = 1e-17\n[run]\nout = "run"\n'
    )
    assert main(["run", str(tmp_path / "job.toml")]) == 10
    bundle = tmp_path / "run" / "failure"
    assert f"sparseimplicit doctor {bundle}" in capsys.readouterr().err
    about = json.loads((bundle / "failure.json").read_text())
    (bundle / "failure.json").write_text(json.dumps(about | {"rtol": 1e-8}))
    assert main(["doctor", str(bundle)]) == 0
    printed = capsys.readouterr().out
    for word in ("'cg' failed: NotConverged", "900 unknowns", "works", "this helps: solver.linear"):
        assert word in printed
    assert main(["doctor", str(bundle), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["attempts"][0]["outcome"] == "works"
    assert main(["run", str(tmp_path / "job.toml"), "--resume", "--set", "solver.rtol=1e-8"]) == 0
    assert list(bundle.iterdir()) == []
    assert main(["doctor", str(bundle)]) == 2
