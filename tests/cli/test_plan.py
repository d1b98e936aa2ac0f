"""``plan`` and ``calibrate`` from the command line."""

import json

import numpy as np
import pytest
from scipy import sparse

from sparseimplicit.cli.app import main
from sparseimplicit.verify.zoo import laplacian


@pytest.fixture
def matrix(tmp_path):
    path = tmp_path / "H.npz"
    sparse.save_npz(path, laplacian(120, 120, 1e-3))
    return path


def test_the_table(matrix, capsys):
    assert main(["plan", str(matrix), "--structure", "positive-definite"]) == 0
    out = capsys.readouterr().out
    assert "14400 unknowns" in out
    assert "cg+jacobi" in out
    assert "superlu" in out
    assert "* " in out
    assert "planned in" in out


def test_json(matrix, capsys):
    assert main(["plan", str(matrix), "--solves", "50", "--memory", "2G", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["budget_bytes"] == 2 * 2**30
    assert record["solver"] in {c["solver"] for c in record["candidates"]}


def test_a_budget_too_small_for_any_method(matrix, capsys):
    assert main(["plan", str(matrix), "--memory", "10K"]) == 2
    err = capsys.readouterr().err
    assert "MemoryBudgetExceeded" in err
    assert "cg+jacobi" in err


@pytest.mark.parametrize(
    "arguments",
    [["--structure", "spd"], ["--memory", "much"], ["--solves", "0"]],
)
def test_bad_options(matrix, capsys, arguments):
    assert main(["plan", str(matrix), *arguments]) == 2
    assert capsys.readouterr().err


def test_no_file(tmp_path, capsys):
    assert main(["plan", str(tmp_path / "none.npz")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_calibrate_prints_what_it_measured(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["calibrate"]) == 0
    out = capsys.readouterr().out
    assert "iteration" in out
    kept = list((tmp_path / "sparseimplicit").glob("rates-*.json"))
    assert len(kept) == 1
    rates = json.loads(kept[0].read_text())["rates"]
    assert np.all(np.array(list(rates.values())) > 0)
