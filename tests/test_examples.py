"""The five steps of the note, each run as a user runs it, and held against what is known."""

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sparseimplicit as si
from sparseimplicit.imaging import squared_error, total_variation

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


def test_terms_tv(load):
    """The same model with derivatives written by hand gives the same weight."""
    space = load("terms_tv")
    by_hand = si.ImplicitFunction(total_variation(space["noisy"]))
    best = si.minimize(squared_error(space["truth"]), by_hand, x0=2.0, y0=space["noisy"].ravel())
    assert space["best"].converged
    assert space["best"].x[0] == pytest.approx(best.x[0], rel=1e-4)
    assert space["best"].value == pytest.approx(best.value, rel=1e-6)


def test_terms_logistic(load):
    """By dense algebra: the weights are optimal, and the loss is stationary in the ridge."""
    space = load("terms_logistic")
    x, w = space["best"].x, space["best"].solved.y
    design = np.zeros((900, 200))
    np.add.at(design, (np.arange(900)[:, None], space["columns"]), space["values"])
    design *= space["label"][:, None]
    miss = 1.0 / (1.0 + np.exp(design @ w))
    ridge = np.exp(x[0])
    slope = ridge * w - design[:500].T @ miss[:500]
    assert np.linalg.norm(slope) < 1e-6 * np.linalg.norm(ridge * w)
    curvature = (design[:500] * (miss * (1.0 - miss))[:500, None]).T @ design[:500]
    adjoint = np.linalg.solve(curvature + ridge * np.eye(200), -design[500:].T @ miss[500:])
    assert abs(ridge * w @ adjoint) < 1e-3 * space["best"].history[0].gradient_norm
