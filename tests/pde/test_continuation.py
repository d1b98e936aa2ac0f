"""Paths to states that Newton's method does not find at once."""

import numpy as np
import pytest

import sparseimplicit as si
from sparseimplicit import pde
from sparseimplicit.errors import (
    ConfigError,
    NonFinite,
    NotConverged,
    ShapeError,
    SparseImplicitError,
)


def bratu(n=30):
    """−u″ = x eᵘ on (0, 1): a fold at x = 3.513830719 (of the limit), two states below it."""
    h = 1 / (n + 1)
    k = (2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)) / h**2

    def exp(y):
        with np.errstate(over="ignore"):  # far steps overflow, and are shortened
            return np.exp(y)

    return si.RootProblem(
        residual=lambda x, y: k @ y - x[0] * exp(y),
        state_jacobian=lambda x, y: k - x[0] * np.diag(exp(y)),
        parameter_jacobian=lambda x, y: -exp(y),
    )


def stiff():
    """arctan(50 (y − x)) = 0: Newton with its line search fails far off, so steps are halved."""
    return si.RootProblem(
        residual=lambda x, y: np.arctan(50 * (y - x**3)) + 0.5 * np.sin(40 * (y - x**3)),
        state_jacobian=lambda x, y: (
            50 / (1 + (50 * (y - x**3)) ** 2) + 20 * np.cos(40 * (y - x**3))
        ),
        parameter_jacobian=lambda x, y: -3 * x**2,
    )


def test_a_path_to_the_state():
    implicit = si.ImplicitFunction(bratu())
    found = pde.continuation(implicit, (0.0, 3.5), np.zeros(30))
    assert found.solved.x[0] == 3.5
    assert found.solved.report.rtol == 1e-8
    assert found.steps[-1].t == 1.0
    theta = 2.0  # 4/cosh²: u(1/2) = 2 log cosh(θ/4), θ² = 2 x cosh²(θ/4), the lower of two
    for _ in range(200):
        theta = np.sqrt(2 * 3.5) * np.cosh(theta / 4)
    assert found.solved.y.max() == pytest.approx(2 * np.log(np.cosh(theta / 4)), abs=0.05)
    assert str(found).count("converged") == len(found.steps)


def test_failing_steps_are_halved():
    implicit = si.ImplicitFunction(stiff(), max_iterations=6)
    with pytest.raises(NotConverged):
        implicit.solve(1.0, y0=0.0)
    found = pde.continuation(implicit, lambda t: np.array([t]), [0.0], steps=1, smallest=1e-4)
    assert found.solved.y[0] == pytest.approx(1.0, abs=1e-6)
    failed = [s for s in found.steps if not s.converged]
    assert failed
    assert failed[0].t == 1.0
    assert len(failed[0].history) >= 1
    assert "failed" in str(found)


def test_beyond_a_fold_it_is_given_up_with_all_histories():
    implicit = si.ImplicitFunction(bratu(), max_iterations=15)
    with pytest.raises(NotConverged, match="was reached") as caught:
        pde.continuation(implicit, (0.0, 7.0), np.zeros(30), smallest=0.02)
    error = caught.value
    assert 0.4 < error.best.x[0] / 7.0 < 0.51  # 3.51 / 7, no further
    assert not error.report[-1].converged
    assert len(error.report[-1].history) > 1
    assert "‖c‖" in str(error)


def test_without_a_beginning_there_is_no_path():
    with pytest.raises(NotConverged, match="no beginning") as caught:
        pde.continuation(si.ImplicitFunction(bratu(), max_iterations=5), (7.0, 1.0), np.zeros(30))
    assert caught.value.best is None
    with pytest.raises(ShapeError, match="leads from"):
        pde.continuation(si.ImplicitFunction(bratu()), ([0.0], [1.0, 2.0]), np.zeros(30))


def test_arguments_that_do_not_fit_are_named():
    implicit, y0 = si.ImplicitFunction(bratu()), np.zeros(30)
    for steps in (0, -1, 1.5):
        with pytest.raises(SparseImplicitError, match="steps"):
            pde.continuation(implicit, (0.0, 1.0), y0, steps=steps)
    for path in ((0.0, 1.0, 2.0), 5.0):
        with pytest.raises(ShapeError, match="callable or a pair"):
            pde.continuation(implicit, path, y0)
    for smallest in (0.0, -1.0, np.nan):
        with pytest.raises(ConfigError, match="smallest"):
            pde.continuation(implicit, (0.0, 1.0), y0, smallest=smallest)
    with pytest.raises(ShapeError, match="rtol"):
        pde.continuation(implicit, (0.0, 1.0), y0, loose=2.0)
    with pytest.raises(NonFinite, match=r"the path at t = 0\.25"):
        pde.continuation(implicit, lambda t: t if t < 0.2 else np.nan, y0)
    with pytest.raises(NonFinite, match="y0"):
        pde.continuation(implicit, (0.0, 1.0), np.full(30, np.nan))


def test_an_error_of_shape_is_no_failed_step():
    with_fault = si.RootProblem(
        residual=lambda x, y: np.append(y, x),
        state_jacobian=lambda x, y: np.eye(y.size),
        parameter_jacobian=lambda x, y: np.ones(y.size),
    )
    with pytest.raises(ShapeError, match=r"\(4,\)"):
        pde.continuation(si.ImplicitFunction(with_fault), (0.0, 1.0), np.zeros(3))
