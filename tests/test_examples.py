"""The five steps of the note, each run as a user runs it, and held against what is known."""

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "scripts" / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_every_example_runs_and_prints(path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return lambda name: runpy.run_path(str(EXAMPLES / f"{name}.py"))


def test_one_variable(load):
    assert load("one_variable")["slope"] == pytest.approx(1 / 13, rel=1e-9)


def test_many_variables(load):
    space = load("many_variables")
    dense = space["problem"].state_jacobian(None, space["solved"].y).toarray()
    exact = np.linalg.solve(dense, space["x_dot"])
    np.testing.assert_allclose(space["y_dot"], exact, rtol=1e-6, atol=1e-9)
    assert space["y_bar"] @ space["y_dot"] == pytest.approx(
        space["x_bar"] @ space["x_dot"], rel=1e-6
    )
    assert space["s"][np.argmax(space["x_bar"])] < 0.7  # heat comes from upstream


def test_argmin_and_loss(load):
    space = load("loss_through_argmin")
    assert 1.9 < space["table"].slope < 2.1
    assert space["h"].error < 1e-5 * abs(space["h"].gradient[0])


def test_training(load):
    space = load("training")
    result = space["result"]
    assert result.converged
    assert abs(result.history[-1].gradient_norm) < 1e-3 * result.history[0].gradient_norm
