import numpy as np
import pytest
import scipy.optimize

from sparseimplicit.outer.inner import inner_product
from sparseimplicit.outer.lbfgs import lbfgs
from sparseimplicit.outer.point import Point
from sparseimplicit.outer.wolfe import wolfe
from tests.reference.functions import Counted

RNG = np.random.default_rng(3)
F = RNG.standard_normal((6, 6))
M = F @ F.T + 0.5 * np.eye(6)
START = np.tile([-1.2, 1.0], 3)


def minimized(function, inner, x, **options):
    seen = []

    def evaluate(x):
        seen.append(function.point(x, inner))
        return seen[-1]

    options = {"stop_rtol": 1e-9, "max_iterations": 200, **options}
    return seen, lbfgs(evaluate, x, inner, settles=lambda point: True, **options)


def test_a_nonconvex_function_in_a_matrix():
    seen, descent = minimized(Counted.rosenbrock(), inner_product(M, 6), START)
    assert descent.converged
    np.testing.assert_allclose(seen[-1].x, 1.0, atol=1e-7)


def test_a_change_of_variables_changes_nothing():
    """In M = L Lᵀ it is what it is in the Euclidean product for z = Lᵀ x."""
    L = np.linalg.cholesky(M)
    here, _ = minimized(Counted.rosenbrock(), inner_product(M, 6), START)
    there, _ = minimized(Counted.rosenbrock().of(np.linalg.inv(L.T)), inner_product(None, 6),
                         L.T @ START)  # fmt: skip
    for a, b in zip(here[:25], there[:25], strict=True):
        np.testing.assert_allclose(L.T @ a.x, b.x, rtol=1e-5)


def test_a_hessian_that_is_the_inner_product_takes_one_line_search():
    quadratic = Counted.quadratic(3 * M, RNG.standard_normal(6))
    seen, descent = minimized(quadratic, inner_product(M, 6), START)
    assert descent.converged
    assert descent.iterations <= 2
    np.testing.assert_allclose(3 * M @ seen[-1].x, quadratic.b, atol=1e-8)


def test_it_ends_at_a_minimum_and_after_max_iterations():
    quadratic = Counted.quadratic(M, np.zeros(6))
    seen, descent = minimized(quadratic, inner_product(M, 6), np.zeros(6))
    assert descent.converged
    assert len(seen) == 1
    _, descent = minimized(Counted.rosenbrock(), inner_product(M, 6), START, max_iterations=3)
    assert not descent.converged
    assert descent.iterations == 3


def test_a_gradient_of_another_function_is_told():
    wrong = Counted(lambda x: x @ x, lambda x: -2 * x, None)
    _, descent = minimized(wrong, inner_product(None, 2), np.ones(2))
    assert not descent.converged
    assert "no longer falls" in descent.message


def on_a_line(phi, slope):
    return lambda x: Point(x, float(phi(x[0])), np.array([slope(x[0])]), np.array([slope(x[0])]))


@pytest.mark.parametrize("first", [1e-3, 0.3, 1.0, 30.0])
@pytest.mark.parametrize(
    ("phi", "slope"),
    [
        (lambda t: -t / (t**2 + 2), lambda t: (t**2 - 2) / (t**2 + 2) ** 2),
        (lambda t: (t + 0.004) ** 5 - 2 * (t + 0.004) ** 4,
         lambda t: 5 * (t + 0.004) ** 4 - 8 * (t + 0.004) ** 3),
        (lambda t: np.cosh(t - 3), lambda t: np.sinh(t - 3)),
    ],
    ids=["Moré and Thuente 1", "Moré and Thuente 2", "cosh"],
)  # fmt: skip
def test_the_line_search_meets_the_conditions_of_wolfe(phi, slope, first):
    evaluate = on_a_line(phi, slope)
    found = wolfe(evaluate, evaluate(np.zeros(1)), np.ones(1), first)
    t = found.x[0]
    assert phi(t) <= phi(0) + 1e-4 * t * slope(0)
    assert abs(slope(t)) <= 0.9 * abs(slope(0))
    # scipy's, which is for the same conditions, finds a step as well
    assert scipy.optimize.line_search(lambda x: phi(x[0]), lambda x: np.array([slope(x[0])]),
                                      np.zeros(1), np.ones(1))[0] > 0  # fmt: skip


def test_where_losses_no_longer_differ_the_slopes_decide():
    """The loss is known to 1e-6 only, and 1 + 5e-9 at the start."""
    rounded = on_a_line(lambda t: np.round(1 + 0.5 * (t - 1e-4) ** 2, 6), lambda t: t - 1e-4)
    start = rounded(np.zeros(1))
    assert rounded(np.array([1e-4])).value == start.value
    assert wolfe(rounded, start, np.ones(1), 1e-4) is None
    found = wolfe(rounded, start, np.ones(1), 1e-4, noise=1e-6)
    assert found.x[0] == pytest.approx(1e-4)


def test_an_interval_that_shrinks_to_nothing_ends_the_search():
    """φ falls to a jump at ½, from which no slope leads back: there is no number after ½."""
    evaluate = on_a_line(lambda t: 1 - t if t <= 0.5 else 2.0, lambda t: -1.0)
    found = wolfe(evaluate, evaluate(np.zeros(1)), np.ones(1), 0.5)
    assert found is not None
    assert found.x[0] == 0.5
