"""Curvature of smoothed norms with dual vectors, against its definition; steps that it saves."""

import numpy as np
import pytest

import sparseimplicit as si
from sparseimplicit.imaging import FieldsOfExperts, Observation, TotalVariation, add_noise

terms = si.derivatives
RNG = np.random.default_rng(7)
GRID = (9, 12)
N = GRID[0] * GRID[1]
DIFFERENCES = np.array([[-1.0, 1.0, 0.0], [-1.0, 0.0, 1.0]])


class Twin:
    """Σ_e c_e √(|L_e y_loc|² + ε²) by loops over elements: p after steps, and the matrix."""

    def __init__(self, places, parts, coefficients, epsilon):
        self.places, self.parts, self.c = places, parts, coefficients
        self.square, self.p = epsilon**2, np.zeros((len(places), parts.shape[0]))

    def moved(self, u, step):
        for e, at in enumerate(self.places):
            d, v, p = self.parts @ u[at], self.parts @ step[at], self.p[e]
            z = np.sqrt(d @ d + self.square)
            q = d / z
            new = (d + v) / z - 0.5 * (p * (q @ v) + q * (p @ v)) / z
            self.p[e] = new / max(1.0, np.linalg.norm(new))

    def matrix(self, u, exact=False):
        out = np.zeros((u.size, u.size))
        for e, at in enumerate(self.places):
            d = self.parts @ u[at]
            z = np.sqrt(d @ d + self.square)
            q = d / z
            p = q if exact or self.c[e] < 0 else self.p[e]
            local = np.eye(d.size) / z - 0.5 * (np.outer(p, q) + np.outer(q, p)) / z
            np.add.at(out, np.ix_(at, at), self.c[e] * self.parts.T @ local @ self.parts)
        return out


def data(n):
    return si.term(lambda y, x, c: 0.5 * y[0] ** 2, y=np.arange(n))


def along_differences(y, x, c):
    return np.exp(x[0]) * np.sqrt(sum((DIFFERENCES[k] @ y) ** 2 for k in range(2)) + 0.25)


def cases():
    forward = si.stencil(GRID, [(0, 0), (0, 1), (1, 0)])
    inside = si.stencil(GRID, [(0, 0), (0, 1), (1, 0)], border="inside")
    listed = RNG.integers(0, N, (150, 3))
    filters = RNG.standard_normal((1, 9))
    window = si.patches(GRID, (3, 3), border="symmetric")
    pixel = si.term(lambda y, x, c: 0.5 * y[0] ** 2, y=si.stencil(GRID, [(0, 0)]))
    lifted = si.term(lambda r, x, c: np.exp(x[0]) * np.hypot(r[0], 0.5), y=window, lift=filters,
                     x=si.shared(1))  # fmt: skip

    def norm(y):
        return si.term(along_differences, y=y, x=si.shared(1))

    weight = np.exp(0.3) * np.ones(N)
    yield "grid, CSR", [pixel, norm(forward)], True, (forward.indices(), DIFFERENCES, weight)
    yield "grid", [pixel, norm(forward)], False, (forward.indices(), DIFFERENCES, weight)
    yield "inside", [pixel, norm(inside)], False, (inside.indices(), DIFFERENCES, weight)
    yield "list", [data(N), norm(listed)], True, (listed, DIFFERENCES, np.exp(0.3) * np.ones(150))
    yield "lifted, CSR", [data(N), lifted], True, (window.indices().reshape(N, 9), filters, weight)
    yield "lifted", [data(N), lifted], False, (window.indices().reshape(N, 9), filters, weight)


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case[0])
def test_matrix_and_dual_vectors_are_those_of_the_definition(case):
    _, stated_terms, assembled, twin_of = case
    problem, twin = (
        terms.Energy(stated_terms, n_y=N, n_x=1, assembled=assembled),
        Twin(*twin_of, 0.5),
    )
    x, eye = np.array([0.3]), np.eye(N)
    dual, u = problem.primal_dual(), RNG.standard_normal(N)
    np.testing.assert_allclose(problem.hessian(x, u) @ eye - eye, twin.matrix(u, True), atol=1e-11)
    for length in (0.1, 3.0):
        step = length * RNG.standard_normal(N)
        dual = dual.moved(x, u, step)
        twin.moved(u, step)
        u = u + 0.5 * step
    found = dual.at(x, u) @ eye
    np.testing.assert_allclose(found - eye, twin.matrix(u), atol=1e-11)
    assert np.linalg.eigvalsh(found)[0] > 1.0 - 1e-12
    if problem.assembled:
        assert dual.at(x, u).indices is problem.hessian(x, u).indices


def test_nonlinear_parts_keep_their_own_curvature():
    places = np.arange(N).reshape(-1, 3)
    problem = terms.Energy(
        [
            data(N),
            si.term(lambda y, x, c: np.sqrt((y[0] * y[1]) ** 2 + 2.0 * y[2] ** 2 + 1.0), y=places),
        ],
        n_y=N,
    )
    u, step = RNG.standard_normal((2, N))
    dual = problem.primal_dual().moved(np.empty(0), u, step)
    (p,) = dual.duals.lists.values()
    found, exact = dual.at([], u).toarray(), problem.hessian([], u).toarray()
    for e, at in enumerate(places):
        a, b, c = u[at]
        d, root = np.array([a * b, np.sqrt(2.0) * c]), np.sqrt(2.0)
        z = np.sqrt(d @ d + 1.0)
        jacobian = np.array([[b, a, 0.0], [0.0, 0.0, root]])
        z_y, zeta = jacobian.T @ d / z, jacobian.T @ p[:, e]
        crossed = np.outer(zeta, z_y)
        change = (np.outer(z_y, z_y) - 0.5 * (crossed + crossed.T)) / z
        np.testing.assert_allclose((found - exact)[np.ix_(at, at)], change, atol=1e-13)


def test_where_a_coefficient_is_negative_second_derivatives_are_exact():
    places, c = np.arange(N).reshape(-1, 1), np.where(np.arange(N) % 2, -1.0, 1.0)
    problem = terms.Energy(
        si.term(lambda y, x, c: c[0] * np.sqrt(y[0] ** 2 + 1), y=places, c=c), n_y=N
    )
    u = RNG.standard_normal(N)
    twin = Twin(places, np.eye(1), c, 1.0)
    np.testing.assert_allclose(
        problem.primal_dual().at([], u).toarray(), twin.matrix(u), atol=1e-14
    )


@pytest.mark.parametrize(
    "function",
    [
        lambda y, x, c: -np.sqrt(y[0] ** 2 + 1.0),
        lambda y, x, c: y[1] * np.sqrt(y[0] ** 2 + 1.0),
        lambda y, x, c: np.sqrt(y[0] ** 2 + 1.0) ** 3,
        lambda y, x, c: np.sqrt(y[0] ** 2 + y[1]),
        lambda y, x, c: np.sqrt(x[0] * y[0] ** 2 + 1.0),
        lambda y, x, c: np.log1p(y[0] ** 2) + np.sqrt(1.0 + x[0]),
    ],
    ids=["negative", "coefficient of y", "power", "no square", "any sign", "no root of y"],
)
def test_what_is_no_smoothed_norm_is_left_alone(function):
    problem = terms.Energy(
        si.term(function, y=np.arange(8).reshape(4, 2), x=si.shared(1)), n_y=8, n_x=1
    )
    assert problem.primal_dual() is None


@pytest.mark.parametrize(
    "function",
    [
        lambda y, x, c: np.linalg.norm(y),
        lambda y, x, c: 2.0 * (y @ y + c[0] ** 2) ** 0.5,
        lambda y, x, c: abs(x[0]) * np.hypot(y[0], y[1]) / 3.0,
        lambda y, x, c: np.sqrt(np.exp(x[0]) * (y[0] - y[1]) ** 2 / 2.0 + y[1] ** 2 - c[0]),
        lambda y, x, c: si.where(y @ y < 1.0, y @ y, np.sqrt(y @ y)),
    ],
    ids=["norm", "power", "hypot", "scaled", "chosen"],
)
def test_ways_to_write_a_norm(function):
    problem = terms.Energy(
        si.term(function, y=np.arange(8).reshape(4, 2), x=si.shared(1), c=np.zeros(4)),
        n_y=8, n_x=1,
    )  # fmt: skip
    dual = problem.primal_dual()
    assert dual.bounds == {0: (0, 2)}
    assert np.isfinite(dual.moved(np.ones(1), np.zeros(8), np.ones(8)).duals.lists[0]).all()


def edges(size):
    u = np.full((size, size), 60.0)
    u[size // 4 : -size // 4, size // 3 :] = 180.0
    return add_noise(u, 25.0, 0)


def both(problem, solver, x, y0, rtol=1e-9):
    plain = si.MinimizationProblem(
        objective=problem.objective, gradient=problem.gradient, hessian=problem.hessian,
        cross_hessian=problem.cross_hessian,
    )  # fmt: skip
    return [si.ImplicitFunction(p, solver).solve(x, y0, rtol=rtol) for p in (plain, problem)]


@pytest.mark.parametrize(("epsilon", "assembled"), [(0.3, False), (0.1, True)])
def test_total_variation_takes_few_steps_to_the_same_state(epsilon, assembled):
    noisy = edges(48)
    model = TotalVariation(epsilon)
    problem = model.energy(Observation(noisy), assembled=assembled)
    theta, solver = model.start(noisy.shape), "superlu" if assembled else "multigrid"
    newton, dual = both(problem, solver, theta, noisy.ravel())
    assert newton.report.iterations > 20
    assert newton.report.primal_dual_steps == 0
    assert dual.report.iterations <= 12
    assert dual.report.primal_dual_steps > 3
    np.testing.assert_allclose(dual.y, newton.y, atol=1e-5)
    y_bar = np.sin(np.arange(noisy.size))
    np.testing.assert_allclose(dual.vjp(y_bar), newton.vjp(y_bar), rtol=1e-5)
    again = si.ImplicitFunction(problem, solver).solve(theta + 0.01, start=dual)
    assert again.report.primal_dual_steps == 0  # no step was too long


def test_convex_experts_take_few_steps_to_the_same_state():
    noisy = edges(32)
    model = FieldsOfExperts(3, 8, "charbonnier", scale=0.1)
    problem = model.problem(Observation(noisy))
    newton, dual = both(problem, "cg+spectral", model.start(noisy.shape), noisy.ravel())
    assert newton.report.iterations > 1.5 * dual.report.iterations
    np.testing.assert_allclose(dual.y, newton.y, atol=1e-5)
