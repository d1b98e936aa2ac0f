"""Bounds on the state: against all choices of sides, closed forms and one-sided differences."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si
from sparseimplicit import errors, pde
from sparseimplicit.verify.zoo import convection_diffusion, laplacian
from tests.reference import complementarity

N, N_X = 6, 4
RNG = np.random.default_rng(12)
A = 3.0 * np.eye(N) + RNG.uniform(-1.0, 1.0, (N, N))  # not symmetric; diagonally dominant or near
B = RNG.standard_normal((N, N_X))
LOWS, HIGHS = 0.3 * RNG.standard_normal((N, N_X)), 0.3 * RNG.standard_normal((N, N_X))


def linear(lower=None, upper=None, **settings):
    """A y = B x within bounds."""
    problem = si.RootProblem(
        residual=lambda x, y: A @ y - B @ x,
        state_jacobian=lambda x, y: A,
        parameter_jacobian=lambda x, y: -B,
    )
    return pde.VariationalInequality(problem, lower=lower, upper=upper, **settings)


def moving():
    return linear(pde.Dependent.affine(LOWS, -0.2), pde.Dependent.affine(HIGHS, 0.9))


def membrane(n, **settings):
    """The 1-D string under a load x₀ over a floor at −x₁, on n inner nodes."""
    h = 1.0 / (n + 1)
    k = sparse.diags_array(
        [np.full(n - 1, -1.0), np.full(n, 2.0), np.full(n - 1, -1.0)], offsets=[-1, 0, 1]
    ).tocsr() / h**2  # fmt: skip
    problem = si.MinimizationProblem(
        gradient=lambda x, y: k @ y + x[0], hessian=lambda x, y: k,
        cross_hessian=lambda x, y: np.column_stack([np.ones(n), np.zeros(n)]),
    )  # fmt: skip
    floor = pde.Dependent.affine(np.column_stack([np.zeros(n), -np.ones(n)]))
    return pde.VariationalInequality(problem, lower=floor, linear_solver="superlu", **settings)


@pytest.mark.parametrize("seed", range(6))
def test_two_moving_bounds_are_solved_as_by_trying_all_sides(seed):
    x = 2.0 * np.random.default_rng(seed).standard_normal(N_X)
    low, high = -0.2 + LOWS @ x, 0.9 + HIGHS @ x
    middle, half = (low + high) / 2.0, np.abs(high - low) / 2.0
    bounds = middle - half, middle + half
    solved = linear(*bounds).solve(x)
    np.testing.assert_allclose(solved.y, complementarity.solve(A, B @ x, *bounds), atol=1e-10)
    assert solved.report.complementarity < 1e-10
    assert (solved.multiplier[solved.lower_active] > 0).all()
    assert (solved.multiplier[solved.upper_active] < 0).all()
    sides = solved.report
    assert sides.inactive + sides.lower_active + sides.upper_active == N


def test_a_string_on_a_floor_is_the_parabola():
    """Contact at a = √(2 x₁/x₀); differences of parabolas are exact, a is a node."""
    n = 39
    solved = membrane(n).solve([16.0, 0.5])  # a = 1/4
    s = np.arange(1, n + 1) / (n + 1)
    s = np.minimum(s, 1.0 - s)
    exact = np.where(s < 0.25, 8.0 * s**2 - 4.0 * s, -0.5)
    np.testing.assert_allclose(solved.y, exact, atol=1e-12)
    assert solved.report.lower_active == 21
    assert solved.report.weakly_active == 0
    assert solved.report.complementarity < 1e-10


def test_slopes_are_two_where_sides_are_strict():
    x, loss = np.array([16.0, 0.47]), lambda x, y: (np.sum(y**4), None, 4.0 * y**3)
    string = membrane(39)
    solved = string.solve(x)
    h = solved.gradient(loss)
    direction, steps = np.array([1.0, 0.03]), 0.5 ** np.arange(5, 9)
    values = np.array([
        np.sum(string.solve(x + s * direction, start=solved).y ** 4) for s in steps
    ])  # fmt: skip
    first = np.abs(values - h.value - steps * (h.gradient @ direction))
    slopes = np.diff(np.log(first)) / np.diff(np.log(steps))
    assert (np.abs(slopes - 2.0) < 0.1).all()


def test_derivatives_are_those_of_the_reduced_system():
    x = np.array([1.0, -0.5, 0.8, 0.3])
    solved = moving().solve(x)
    assert solved.lower_active.any() or solved.upper_active.any()
    free = ~(solved.lower_active | solved.upper_active)
    y_x = np.where(solved.lower_active[:, None], LOWS, HIGHS)
    y_x[free] = np.linalg.solve(
        A[np.ix_(free, free)], B[free] - A[np.ix_(free, ~free)] @ y_x[~free]
    )
    np.testing.assert_allclose(solved.jvp(np.eye(N_X)), y_x, rtol=1e-8, atol=1e-10)
    bars = RNG.standard_normal((N, 2))
    np.testing.assert_allclose(solved.vjp(bars), y_x.T @ bars, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(solved.directional(np.ones(N_X)), y_x @ np.ones(N_X), atol=1e-9)


def test_the_adjoint_takes_the_last_factorization_of_the_sets():
    solved = membrane(39).solve([16.0, 0.5])
    made = solved.report.factorizations
    assert made == 1 + len(solved.report.changes)  # one for each choice of sets
    h = solved.gradient(lambda x, y: (y.sum(), None, np.ones_like(y)))
    assert h.report.preparation.factorizations == 0
    assert "last active set" in h.report.preparation.reused
    again = membrane(39)
    first = again.solve([16.0, 0.5])
    assert again.solve([16.0, 0.5], start=first).report.iterations == 0


def test_a_declared_definite_matrix_reaches_its_solver_though_sets_break_the_symmetry():
    solved = membrane(39).solve([16.0, 0.5])
    inner = solved.state.system.method.system.operator
    assert inner.structure is si.Structure.POSITIVE_DEFINITE
    assert inner.n == solved.report.inactive


def touching(**settings):
    """y₀ = max(x, 0) at x = 0, y₁ free, y₂ pressed: the first is weakly active."""
    matrix = np.array([[2.0, 0.0, 0.0], [-1.0, 2.0, 0.0], [0.0, -1.0, 2.0]])
    problem = si.RootProblem(
        residual=lambda x, y: matrix @ y - np.array([x[0], 1.0, -5.0]),
        state_jacobian=lambda x, y: matrix,
        parameter_jacobian=lambda x, y: np.array([[-1.0], [0.0], [0.0]]),
    )
    return pde.VariationalInequality(problem, lower=np.zeros(3), **settings)


def test_weakly_active_unknowns_are_listed_and_refused():
    solved = touching().solve(0.0)
    np.testing.assert_array_equal(solved.weakly_active, [0])
    assert solved.report.weakly_active == 1
    with pytest.raises(errors.NotDifferentiable, match="1 of 3 unknowns") as caught:
        solved.jvp(1.0)
    np.testing.assert_array_equal(caught.value.unknowns, [0])
    with pytest.raises(errors.NotDifferentiable):
        solved.gradient(lambda x, y: (y.sum(), None, np.ones(3)))
    assert touching().solve(1e-3).weakly_active.size == 0


def test_one_sided_derivatives_are_the_differences_of_each_side():
    solved = touching().solve(0.0)
    for sign in (1.0, -1.0):
        difference = (touching().solve(1e-3 * sign).y - solved.y) / 1e-3
        np.testing.assert_allclose(solved.directional(sign), difference, atol=1e-9)
    for policy, sign in (("inactive", 1.0), ("active", -1.0)):
        chosen = touching(weakly_active=policy).solve(0.0)
        np.testing.assert_allclose(chosen.jvp(sign), solved.directional(sign), atol=1e-12)


def test_a_nonlinear_monotone_residual():
    """The transport problem with a cube, between bounds; then its derivative by differences."""
    a = convection_diffusion(6, 8)
    b = sparse.random_array((48, 3), density=0.4, rng=np.random.default_rng(1), format="csr")
    problem = si.RootProblem(
        residual=lambda x, y: a @ y + 5.0 * y**3 - b @ x,
        state_jacobian=lambda x, y: a + sparse.diags_array(15.0 * y**2),
        parameter_jacobian=lambda x, y: -b,
    )
    bounded = pde.VariationalInequality(problem, lower=-0.05, upper=0.1, linear_solver="superlu")
    x = np.array([1.0, -2.0, 1.5])
    solved = bounded.solve(x, np.zeros(48), rtol=1e-12)
    report = solved.report
    assert report.lower_active > 0
    assert report.upper_active > 0
    assert report.inactive > 0
    assert report.complementarity < 1e-10
    d = np.array([0.3, 0.2, -0.5])
    near = [bounded.solve(x + s * 1e-5 * d, start=solved, rtol=1e-12).y for s in (1, -1)]
    np.testing.assert_allclose(solved.jvp(d), (near[0] - near[1]) / 2e-5, atol=1e-7)


def test_exchanges_one_by_one_end_where_exchanges_at_once_cycle():
    """Ben Gharbia and Gilbert's P-matrix (Math. Program. 134, 2012): three sets in a circle."""
    matrix = np.array([[1.0, 0.0, 2.0], [2.0, 1.0, 0.0], [0.0, 2.0, 1.0]])
    problem = si.RootProblem(
        residual=lambda x, y: matrix @ y + x, state_jacobian=lambda x, y: matrix,
        parameter_jacobian=lambda x, y: np.eye(3),
    )  # fmt: skip
    x = -np.ones(3) + 0.0
    start = np.array([1.0, 0.0, 0.0])
    solved = pde.VariationalInequality(problem, lower=np.zeros(3)).solve(x, start)
    assert solved.report.single_exchanges > 0
    exact = complementarity.solve(matrix, -x, np.zeros(3), np.full(3, np.inf))
    np.testing.assert_allclose(solved.y, exact, atol=1e-12)


def test_all_and_no_unknowns_at_their_bounds():
    low = linear(np.full(N, 50.0)).solve(np.ones(N_X))
    np.testing.assert_array_equal(low.y, np.full(N, 50.0))
    np.testing.assert_array_equal(low.jvp(np.ones(N_X)), np.zeros(N))
    none = linear().solve(np.ones(N_X), np.zeros(N))
    np.testing.assert_allclose(none.y, np.linalg.solve(A, B @ np.ones(N_X)), rtol=1e-9)


def test_what_is_wrong_is_said():
    with pytest.raises(errors.ShapeError, match="above the upper one"):
        linear(np.ones(N), np.zeros(N)).solve(np.ones(N_X))
    with pytest.raises(errors.ShapeError, match="a bound has shape"):
        linear(np.ones(N + 1)).solve(np.ones(N_X), np.zeros(N))
    with pytest.raises(errors.ShapeError, match="no first guess"):
        linear(0.0, 1.0).solve(np.ones(N_X))
    with pytest.raises(errors.ConfigError, match="weakly_active"):
        linear(weakly_active="perhaps")
    falling = si.RootProblem(
        residual=lambda x, y: x - y, state_jacobian=lambda x, y: -np.eye(2),
        parameter_jacobian=lambda x, y: np.eye(2),
    )  # fmt: skip
    with pytest.raises(errors.StructureError, match="diagonal of the state Jacobian"):
        pde.VariationalInequality(falling, lower=np.zeros(2)).solve(np.ones(2))
    with pytest.raises(errors.NotConverged, match="did not settle in 1 iterations") as caught:
        membrane(39, max_iterations=1).solve([16.0, 0.5])
    assert caught.value.report.iterations == 1


def plane_membrane(n):
    """A membrane on n² nodes that is pressed on a bowl."""
    k = (n + 1) ** 2 * (laplacian(n, n) + sparse.diags_array(_border(n)))
    problem = si.MinimizationProblem(
        gradient=lambda x, y: k @ y + x[0], hessian=lambda x, y: k,
        cross_hessian=lambda x, y: np.ones(n * n),
    )  # fmt: skip
    s = np.arange(1, n + 1) / (n + 1)
    floor = (-0.1 - 0.2 * ((s[:, None] - 0.5) ** 2 + (s - 0.4) ** 2)).ravel()
    return pde.VariationalInequality(problem, lower=floor, linear_solver="superlu"), floor


def _border(n):
    edge = np.zeros((n, n))
    for side in (edge[0], edge[-1], edge[:, 0], edge[:, -1]):
        side += 1.0
    return edge.ravel()


def test_a_membrane_in_the_plane():
    membrane, floor = plane_membrane(30)
    solved = membrane.solve(8.0)
    assert solved.report.iterations <= 10
    assert solved.report.single_exchanges == solved.report.penalty_steps == 0
    assert (solved.y >= floor).all()
    assert solved.report.complementarity < 1e-10


def test_on_a_fine_mesh_springs_come_before_sets():
    """Without them 24 factorizations: one layer of nodes a set."""
    solved = plane_membrane(128)[0].solve(8.0)
    assert 0 < solved.report.penalty_steps <= 12
    assert solved.report.factorizations <= 20
    assert solved.report.lower_active == 6170
    assert solved.report.complementarity < 1e-10


def test_auto_chooses_again_where_a_part_of_a_grid_is_no_grid():
    """On 31² nodes it takes multigrid for the first matrix, which has no bounds at work yet."""
    membrane, floor = plane_membrane(31)
    free = pde.VariationalInequality(membrane.problem, lower=floor).solve(8.0, np.ones(31**2))
    np.testing.assert_allclose(free.y, membrane.solve(8.0).y, atol=1e-9)
    assert free.report.lower_active > 0


def test_auto_does_not_stay_with_what_was_right_for_few_unknowns():
    """From sets that leave 40 unknowns free to none: dense algebra is not for 40² of them."""
    membrane, floor = plane_membrane(40)
    floor = np.where(np.arange(1600) < 40, -9.0, floor + 0.2)
    low = pde.Dependent.affine(np.column_stack([0 * floor, np.ones(1600)]), floor)
    problem = si.MinimizationProblem(
        gradient=lambda x, y: membrane.problem.gradient(x[:1], y),
        hessian=lambda x, y: membrane.problem.hessian(x[:1], y),
        cross_hessian=lambda x, y: np.column_stack([np.ones(1600), np.zeros(1600)]),
    )
    raised = pde.VariationalInequality(problem, lower=low)
    first = raised.solve([400.0, 0.0])
    assert first.report.inactive < 400
    second = raised.solve([1.0, -9.0], start=first)
    assert second.report.inactive == 1600
    assert second.report.linear_solver != "dense"


def test_the_gallerys_membrane_is_identified_and_its_gradient_right():
    path = Path(__file__).resolve().parents[2] / "scripts" / "examples" / "pde_obstacle.py"
    space = runpy.run_path(str(path))
    assert space["observed"].report.complementarity < 1e-10
    assert 0 < space["observed"].report.lower_active < 23**2
    x, d, steps = (
        np.array([18.0, -0.27, 0.17]),
        np.array([0.8, 0.02, 0.01]),
        0.5 ** np.arange(8, 11),
    )
    value, gradient = space["value_and_gradient"](x)
    values = np.array([space["value_and_gradient"](x + s * d)[0] for s in steps])
    first = np.abs(values - value - steps * (gradient @ d))
    slopes = np.diff(np.log(first)) / np.diff(np.log(steps))
    assert (np.abs(slopes - 2.0) < 0.1).all()
    found = space["identify"](np.array([17.0, -0.28, 0.17]))
    np.testing.assert_allclose(found.x, space["truth"], rtol=1e-3)


def curved():
    """y + y³/8 = B eˣ above ψ = sin(x₀) v: curved in the residual and in the bound."""
    v = np.cos(np.arange(6.0))
    problem = si.RootProblem(
        residual=lambda x, y: A @ y + y**3 / 8.0 - B @ np.exp(x),
        state_jacobian=lambda x, y: sparse.csr_array(A + np.diag(3.0 / 8.0 * y**2)),
        parameter_jacobian=lambda x, y: -B * np.exp(x),
        second_order=lambda x, y, adjoint, x_dot, y_dot: (
            -np.exp(x) * (B.T @ adjoint) * x_dot, 0.75 * y * adjoint * y_dot,
        ),
    )  # fmt: skip
    first = np.eye(1, N_X).ravel()
    bound = pde.Dependent(
        lambda x: np.sin(x[0]) * v,
        lambda x: np.outer(v, np.cos(x[0]) * first),
        lambda x, y_bar, x_dot: -np.sin(x[0]) * (y_bar @ v) * x_dot[0] * first,
    )
    return pde.VariationalInequality(problem, lower=bound, linear_solver="superlu")


class Quartic:
    def __call__(self, x, y):
        return np.sum(y**4), None, 4.0 * y**3

    def second_order(self, x, y, x_dot, y_dot):
        return None, 12.0 * y**2 * y_dot


def test_second_order_of_states_and_bounds():
    """Against differences of gradients; as a solved inequality and as an implicit function."""
    inequality, x, d = curved(), np.array([0.4, -0.3, 0.2, -0.6]), np.array([0.5, -1.0, 0.3, 0.8])
    solved = inequality.solve(x, np.zeros(6), rtol=1e-13)
    assert 0 < solved.report.lower_active < 6
    near = [inequality.solve(x + s * 1e-5 * d, np.zeros(6), rtol=1e-13) for s in (1, -1)]
    up, down = (each.gradient(Quartic(), rtol=1e-12).gradient for each in near)
    product = si.reduced_hessian(Quartic(), solved.state, rtol=1e-12).apply(d)
    np.testing.assert_allclose(product, (up - down) / 2e-5, rtol=1e-6, atol=1e-8)
    state = inequality.implicit(rtol=1e-13).solve(x, np.zeros(6))
    again = si.reduced_hessian(Quartic(), state, rtol=1e-12).apply(d)
    np.testing.assert_allclose(again, product, rtol=1e-9)


def test_the_whole_package_takes_it_as_an_implicit_function():
    string = membrane(39)
    implicit, x = string.implicit(), np.array([16.0, 0.47])
    table = si.verify.taylor(
        implicit, Quartic(), x, y0=np.zeros(39), direction=np.array([1.0, 0.03]),
        steps=0.5 ** np.arange(5, 10), rtol=1e-10,
    )  # fmt: skip
    assert 1.9 < table.slope < 2.1
    assert si.verify.duality(implicit.solve(x, np.zeros(39))).error < 1e-10
    observed = string.solve(x).y
    miss = lambda x, y: (50.0 * np.sum((y - observed) ** 2), None, 100.0 * (y - observed))
    best = si.minimize(miss, implicit, np.array([12.0, 0.4]), y0=np.zeros(39), stop_rtol=1e-7)
    np.testing.assert_allclose(best.x, x, rtol=1e-3)
    with pytest.raises(errors.NotDifferentiable):
        touching().implicit().solve(0.0, np.zeros(3))
