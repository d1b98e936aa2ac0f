import numpy as np
import pytest
import scipy.linalg
import scipy.optimize

from sparseimplicit.outer.bounds import limits_of
from sparseimplicit.outer.inner import inner_product
from sparseimplicit.outer.newton_cg import newton_cg
from sparseimplicit.outer.steihaug import steihaug
from sparseimplicit.outer.trials import Metric
from tests.reference.functions import Counted

RNG = np.random.default_rng(11)
N = 12
F = RNG.standard_normal((N, N))
H = F @ F.T + 0.1 * np.eye(N)
M = np.diag(np.linspace(1, 30, N)) + 0.3 * np.ones((N, N))
G = RNG.standard_normal(N)
INDEFINITE = H - 8 * np.eye(N)


class Alone:
    """A run of a function of x, with nothing recorded."""

    def __init__(self, function, inner):
        self.function, self.inner = function, inner
        self.steps, self.kinds = [], []

    def first(self, x):
        return self.function.point(x, self.inner)

    def recorded(self, point, radius):
        return None

    def hessian(self, point, *, gauss_newton):
        self.kinds.append(gauss_newton)
        return self.function.product(point.x)

    def trial(self, proposal, judge):
        judged = judge(self.function.point(proposal.x, self.inner))
        self.steps.append((proposal, judged))
        return judged


def minimized(function, x, M=None, bounds=None, **options):
    inner, limits = inner_product(M, x.size), limits_of(bounds, x)
    run = Alone(function, inner)
    options = {"stop_rtol": 1e-9, "max_iterations": 100, **options}
    return run, *newton_cg(run, x, Metric(inner, limits), **options)


def cg(matrix, radius=np.inf, rtol=1e-12, most=100):
    inner = inner_product(M, N)
    return steihaug(
        lambda v: matrix @ v, G, inner.riesz, radius=radius, reach=2.0, rtol=rtol,
        max_iterations=most,
    )  # fmt: skip


def length(s):
    return np.sqrt(s @ M @ s)


def test_cg_without_a_radius_solves():
    found = cg(H)
    assert found.end == "converged"
    np.testing.assert_allclose(H @ found.s, -G, atol=1e-8)
    np.testing.assert_allclose(found.h_s, H @ found.s, atol=1e-10)


def test_cg_stops_as_asked_in_the_dual_norm():
    dual = lambda r: np.sqrt(r @ np.linalg.solve(M, r))
    found, shorter = cg(H, rtol=0.1), cg(H, rtol=0.1, most=1)
    assert dual(G + H @ found.s) <= 0.1 * dual(G)
    assert found.iterations < cg(H).iterations
    assert shorter.end == "limit"


def test_with_the_hessian_for_inner_product_cg_takes_one_iteration():
    assert cg(3 * M).iterations == 1


@pytest.mark.parametrize("matrix", [H, INDEFINITE], ids=["definite", "indefinite"])
@pytest.mark.parametrize("radius", [1e-3, 0.1])
def test_cg_ends_on_the_boundary_and_below_cauchy(matrix, radius):
    """Steihaug's step is on the boundary, no longer, and no worse than along −M⁻¹ g."""
    found = cg(matrix, radius)
    assert found.end in ("boundary", "negative curvature")
    assert length(found.s) == pytest.approx(radius, rel=1e-9)
    model = lambda s: G @ s + 0.5 * s @ matrix @ s
    d = -np.linalg.solve(M, G)
    assert model(found.s) <= min(model(t * d) for t in np.linspace(0, radius / length(d), 50))
    # and within a factor of two of the exact minimum: Yuan 2000, for the definite one
    if matrix is H:
        w, Q = scipy.linalg.eigh(H, M)
        g = Q.T @ G
        shift = scipy.optimize.brentq(
            lambda t: np.linalg.norm(g / (w + t)) - radius, 1e-9, 1e9, xtol=1e-14
        )
        assert model(found.s) <= 0.5 * model(-Q @ (g / (w + shift)))


def test_negative_curvature_without_a_radius_goes_as_far_as_it_may_reach():
    found = cg(-H)
    assert found.end == "negative curvature"
    assert length(found.s) == pytest.approx(2.0)


def test_a_quadratic_is_minimised_in_closed_form():
    run, descent, point = minimized(Counted.quadratic(H, G), np.ones(N), M, noise=1e-9)
    assert descent.converged
    np.testing.assert_allclose(point.x, np.linalg.solve(H, G), atol=1e-6)
    assert all(judged.ratio == pytest.approx(1.0) for _, judged in run.steps)
    assert sum(p.step.products for p, _ in run.steps) == run.function.products


def test_a_nonconvex_function():
    x = np.tile([-1.2, 1.0], 3)
    run, descent, point = minimized(Counted.rosenbrock(), x, M[:6, :6])
    assert descent.converged
    np.testing.assert_allclose(point.x, 1.0, atol=1e-6)
    rejected = [judged for _, judged in run.steps if not judged.accepted]
    assert rejected  # else nothing here shrinks the region
    assert all(judged.ratio <= 1e-4 for judged in rejected)


def test_the_last_steps_are_quadratic():
    x = np.tile([-1.2, 1.0], 3)
    run, _, _ = minimized(Counted.rosenbrock(), x, radius=1.0, stop_rtol=1e-12)
    sizes = [j.point.size for _, j in run.steps if j.accepted][-3:]
    assert sizes[-1] < sizes[-2] ** 1.5 < sizes[-3] ** 2


def test_from_a_saddle_it_leaves_along_negative_curvature():
    """½x² + ¼y⁴ − ½y², from near its saddle (0, 0); the minima are (0, ±1), of −1/4."""
    saddle = Counted(
        lambda v: 0.5 * v[0] ** 2 + 0.25 * v[1] ** 4 - 0.5 * v[1] ** 2,
        lambda v: np.array([v[0], v[1] ** 3 - v[1]]),
        lambda v: np.diag([1.0, 3 * v[1] ** 2 - 1]),
    )
    run, descent, point = minimized(saddle, np.array([1e-4, -1e-5]))
    assert descent.converged
    assert "negative curvature" in [proposal.step.end for proposal, _ in run.steps]
    np.testing.assert_allclose(point.x, [0, -1], atol=1e-6)
    bounded = minimized(saddle, np.array([1e-4, -1e-5]), bounds=(-0.5, 2.0))[2]
    np.testing.assert_allclose(bounded.x, [0, -0.5], atol=1e-6)


def test_first_steps_are_gauss_newton():
    run, _, _ = minimized(Counted.rosenbrock(), np.tile([-1.2, 1.0], 3), gauss_newton=2)
    accepted = np.cumsum([j.accepted for _, j in run.steps])
    assert run.kinds[0]
    assert run.kinds[1:] == [bool(n < 2) for n in accepted[:-1]]


def test_a_radius_holds_the_first_step():
    run, _, _ = minimized(Counted.quadratic(H, G), np.ones(N), M, radius=1e-3)
    assert run.steps[0][0].step.length == pytest.approx(1e-3)
    assert run.steps[1][0].step.radius == pytest.approx(2e-3)


def test_where_losses_no_longer_differ_the_gradients_decide():
    quadratic = Counted.quadratic(H, G)
    exact = quadratic.value
    quadratic.value = lambda x: np.round(exact(x), 4)
    _, descent, point = minimized(quadratic, np.ones(N), M, noise=1e-4, stop_rtol=1e-8)
    assert descent.converged
    np.testing.assert_allclose(point.x, np.linalg.solve(H, G), atol=1e-6)


def test_a_gradient_of_another_function_is_told():
    wrong = Counted(lambda x: x @ x, lambda x: -2 * x, lambda x: 2 * np.eye(2))
    _, descent, _ = minimized(wrong, np.ones(2), max_iterations=200)
    assert not descent.converged
    assert "shrank to nothing" in descent.message


def test_a_gradient_that_no_longer_changes_ends_the_run():
    """States that are not solved for anew leave gradients as they were."""
    quadratic = Counted.quadratic(H, G)
    exact, quadratic.value = quadratic.gradient, lambda x: 1.0
    quadratic.gradient = lambda x: exact(np.round(x, 2))
    run, descent, _ = minimized(quadratic, np.ones(N), noise=1e-6)
    assert not descent.converged
    assert "no better than gradient_rtol" in descent.message
    assert len(run.steps) < 30


@pytest.mark.parametrize("inner", [None, M], ids=["Euclidean", "matrix"])
@pytest.mark.parametrize("half", [0.05, 0.3, 2.0])
def test_bounds_of_a_least_squares_problem(inner, half):
    """½‖Fᵀx − a‖² within bounds, against the active-set method of scipy's lsq_linear."""
    a = RNG.standard_normal(N)
    right = Counted.quadratic(F @ F.T, F @ a)
    exact = scipy.optimize.lsq_linear(F.T, a, bounds=(-half, half), method="bvls", tol=1e-14)
    assert np.any(abs(exact.x) == half) or half == 2.0
    run, descent, point = minimized(right, np.full(N, 9.0).clip(-half, half), inner,
                                    (-half, half), stop_rtol=1e-10)  # fmt: skip
    assert descent.converged
    np.testing.assert_allclose(point.x, exact.x, atol=1e-6)
    g = F @ (F.T @ point.x - a)
    scale = abs(F @ a).max()
    assert np.all(abs(g[abs(point.x) < half]) < 1e-6 * scale)
    assert np.all(g * point.x <= 1e-6 * scale)  # at +half g ≤ 0, at −half g ≥ 0
    assert run.function.products == sum(p.step.products for p, _ in run.steps)


@pytest.mark.parametrize(
    "bounds", [(-2, 0.6), (1.2, 3), [(None, 0.5), (-1, None)] * 3], ids=["above", "below", "mixed"]
)
def test_bounds_of_a_nonconvex_function(bounds):
    f = Counted.rosenbrock()
    x = np.clip(np.tile([-1.2, 1.0], 3), *(limits_of(bounds, np.zeros(6)).lb,
                                           limits_of(bounds, np.zeros(6)).ub))  # fmt: skip
    _, descent, point = minimized(f, x, M[:6, :6], bounds)
    limits = limits_of(bounds, x)
    exact = scipy.optimize.minimize(f.value, x, jac=f.gradient, method="L-BFGS-B", bounds=limits,
                                    options={"ftol": 1e-15, "gtol": 1e-10})  # fmt: skip
    assert descent.converged
    np.testing.assert_allclose(point.x, exact.x, atol=1e-5)
    assert point.value <= exact.fun * (1 + 1e-9)
    assert np.all((limits.lb <= point.x) & (point.x <= limits.ub))


def test_a_start_in_a_corner_that_is_no_minimum_is_left():
    quadratic = Counted.quadratic(H, H @ np.full(N, 0.5))
    _, descent, point = minimized(quadratic, np.zeros(N), M, (0.0, 1.0))
    assert descent.converged
    np.testing.assert_allclose(point.x, 0.5, atol=1e-6)


@pytest.mark.parametrize(("factor", "says"), [(1.0, True), (2.0, False), (0.0, False)])
def test_the_gradient_of_another_term_is_no_convergence(factor, says):
    """log cosh of Ax − b and the ridge ½ |x|²/100, whose gradient comes times a factor."""
    A, b = np.vander([0.1, 0.5, 0.9, 1.3], 3), np.array([1.0, -2.0, 0.5, 1.0])
    function = Counted(
        lambda x: np.log(np.cosh(A @ x - b)).sum() + 0.005 * x @ x,
        lambda x: A.T @ np.tanh(A @ x - b) + factor * 0.01 * x,
        lambda x: A.T @ np.diag(np.cosh(A @ x - b) ** -2.0) @ A + factor * 0.01 * np.eye(3),
    )
    _, descent, _ = minimized(function, np.full(3, 1.0), stop_rtol=1e-6, noise=1e-12)
    assert descent.converged is says
    assert ("si.verify.taylor" in descent.message) is not says
