"""Second derivatives of a loss through a state, against dense algebra and complex steps."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si
from sparseimplicit.errors import NonFinite, ShapeError, StructureError
from sparseimplicit.linear.contract import Solver
from sparseimplicit.verify.zoo import convection_diffusion

N_X, N_Y = 5, 12
RNG = np.random.default_rng(3)
A0, P = convection_diffusion(3, 4), RNG.uniform(0, 1, (N_Y, N_X))
B0, T = RNG.standard_normal((N_Y, N_X)), RNG.standard_normal(N_Y)
R, Q = RNG.standard_normal(N_X), RNG.standard_normal(N_Y)
X = RNG.standard_normal(N_X)

# c = A₀ y + y³/10 + (P eˣ) y + B₀ sin x: all second derivatives are there, A ≠ Aᵀ.
residual = lambda x, y: A0 @ y + 0.1 * y**3 + (P @ np.exp(x)) * y + B0 @ np.sin(x)
by_y = lambda x, y: A0 + sparse.diags_array(0.3 * y**2 + P @ np.exp(x))
by_x = lambda x, y: y[:, None] * P * np.exp(x) + B0 * np.cos(x)


def second(x, y, adjoint, x_dot, y_dot):
    weight = np.exp(x)
    x_part = weight * (P.T @ (adjoint * y)) * x_dot - np.sin(x) * (B0.T @ adjoint) * x_dot
    x_part = x_part + weight * (P.T @ (adjoint * y_dot))
    return x_part, adjoint * (P @ (weight * x_dot)) + 0.6 * y * adjoint * y_dot


PROBLEM = si.RootProblem(
    residual=residual, state_jacobian=by_y, parameter_jacobian=by_x, second_order=second
)
# L = ½‖y − t‖² + ½ (r·x)(q·y)² + ½‖x‖²
first_order = lambda x, y: (
    0.5 * np.sum((y - T) ** 2) + 0.5 * (R @ x) * (Q @ y) ** 2 + 0.5 * x @ x,
    0.5 * R * (Q @ y) ** 2 + x,
    y - T + (R @ x) * (Q @ y) * Q,
)
second_of_loss = lambda x, y, x_dot, y_dot: (
    R * (Q @ y) * (Q @ y_dot) + x_dot,
    y_dot + ((R @ x_dot) * (Q @ y) + (R @ x) * (Q @ y_dot)) * Q,
)
LOSS = si.TwiceDifferentiable(first_order, second_of_loss)


@pytest.fixture
def solved():
    return si.ImplicitFunction(PROBLEM, "superlu").solve(X, np.zeros(N_Y), rtol=1e-13)


def dense_gradient(x, y):
    """dL/dx by Newton's method and dense algebra, of complex x too."""
    y = y.astype(complex)
    for _ in range(4):
        y = y - np.linalg.solve(by_y(x, y).toarray(), residual(x, y))
    _, l_x, l_y = first_order(x, y)
    return l_x - by_x(x, y).T @ np.linalg.solve(by_y(x, y).toarray().T, l_y)


def test_the_whole_hessian_by_complex_steps(solved):
    h = si.reduced_hessian(LOSS, solved, rtol=1e-13)
    exact = np.stack([dense_gradient(X + 1e-30j * e, solved.y).imag / 1e-30 for e in np.eye(N_X)])
    found = h.apply(np.eye(N_X))
    scale = np.abs(exact).max()
    assert np.abs(found - exact).max() < 1e-11 * scale
    assert np.abs(found - found.T).max() < 1e-12 * scale
    np.testing.assert_allclose(h.gradient, dense_gradient(X, solved.y).real, rtol=1e-10)
    np.testing.assert_allclose(h.as_operator() @ Q[:N_X], exact @ Q[:N_X], rtol=1e-9)


def test_gauss_newton_is_the_hessian_of_the_loss_along_the_tangents(solved):
    whole = np.zeros((N_X + N_Y, N_X + N_Y))
    for k, unit in enumerate(np.eye(N_X + N_Y)):
        whole[k] = np.concatenate(second_of_loss(X, solved.y, unit[:N_X], unit[N_X:]))
    y_x = -np.linalg.solve(by_y(X, solved.y).toarray(), by_x(X, solved.y))
    along = np.vstack([np.eye(N_X), y_x])
    exact = along.T @ whole @ along
    problem = replace(PROBLEM, second_order=None)  # not needed
    state = si.ImplicitFunction(problem).solve(X, np.zeros(N_Y), rtol=1e-13)
    found = si.reduced_hessian(LOSS, state, rtol=1e-13, gauss_newton=True).apply(np.eye(N_X))
    np.testing.assert_allclose(found, exact, atol=1e-11 * np.abs(exact).max())


def test_two_solves_a_direction_and_no_factorization(solved, monkeypatch):
    gradient = si.hypergradient(LOSS, solved, rtol=1e-12)
    system = solved.system
    prepared = []
    prepare = Solver.prepare
    monkeypatch.setattr(Solver, "prepare", lambda *a, **k: prepared.append(1) or prepare(*a, **k))
    h = si.reduced_hessian(LOSS, solved, adjoint=gradient)
    np.testing.assert_array_equal(h.adjoint, gradient.adjoint)
    assert f"n_x={N_X}" in repr(h)
    block = h.apply(np.eye(N_X)[:, :3])
    assert (h.report.products, h.report.solves, h.report.adjoint) == (3, 6, None)
    assert h.report.residual < 1e-8
    one = h.apply(np.eye(N_X)[:, 1])
    assert (h.report.products, h.report.solves) == (4, 8)
    np.testing.assert_allclose(one, block[:, 1], rtol=1e-7)
    assert not prepared
    assert solved.system is system
    given = si.reduced_hessian(LOSS, solved, adjoint=gradient.adjoint).apply(X)
    np.testing.assert_allclose(given, h.apply(X), rtol=1e-12)


def test_one_factorization_for_many_products():
    state = si.ImplicitFunction(PROBLEM, "superlu").solve(X, np.zeros(N_Y), rtol=1e-6)
    assert state.system.report.solver == "gmres+lagged"
    sharp = state.refactored()
    lagged, direct = (si.reduced_hessian(LOSS, s, rtol=1e-12) for s in (state, sharp))
    np.testing.assert_allclose(direct.apply(X), lagged.apply(X), rtol=1e-9)
    assert lagged.report.iterations > 0
    assert direct.report.iterations == 0
    assert (sharp.preparation.solver, sharp.preparation.factorizations) == ("superlu", 1)
    assert sharp.refactored() is sharp


def test_a_minimiser_has_its_third_derivatives():
    """y = argmin ½y² − y + ¼ eˣ y⁴ with one parameter: against differences of the gradient."""
    problem = si.MinimizationProblem(
        gradient=lambda x, y: y - 1 + np.exp(x) * y**3,
        hessian=lambda x, y: 1 + 3 * np.exp(x) * y**2,
        cross_hessian=lambda x, y: np.exp(x) * y**3,
        second_order=lambda x, y, adjoint, x_dot, y_dot: (
            adjoint * np.exp(x) * (y**3 * x_dot + 3 * y**2 * y_dot),
            adjoint * np.exp(x) * (3 * y**2 * x_dot + 6 * y * y_dot),
        ),
    )
    loss = si.TwiceDifferentiable(
        lambda x, y: (y[0] ** 3, None, 3 * y**2), lambda x, y, dx, dy: (None, 6 * y * dy)
    )
    implicit = si.ImplicitFunction(problem)
    at = lambda x: implicit.solve(x, 1.0, rtol=1e-14)
    step = 1e-5
    ahead, behind = (si.hypergradient(loss, at(0.3 + s)).gradient for s in (step, -step))
    found = si.reduced_hessian(loss, at(0.3), rtol=1e-12).apply(1.0)
    assert found.shape == (1,)
    assert found[0] == pytest.approx((ahead[0] - behind[0]) / (2 * step), rel=1e-8)


def test_differences_where_they_are_asked_for():
    problem = si.differences_of_second_order(replace(PROBLEM, second_order=None))
    loss = si.differences_of_second_order(first_order)
    state = si.ImplicitFunction(problem, "superlu").solve(X, np.zeros(N_Y), rtol=1e-13)
    exact = si.ImplicitFunction(PROBLEM, "superlu").solve(X, np.zeros(N_Y), rtol=1e-13)
    found = si.reduced_hessian(loss, state, rtol=1e-12).apply(np.eye(N_X))
    expected = si.reduced_hessian(LOSS, exact, rtol=1e-12).apply(np.eye(N_X))
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    assert 1e-15 < difference < 1e-7
    nothing = si.reduced_hessian(loss, state).apply(np.zeros(N_X))
    np.testing.assert_array_equal(nothing, 0.0)
    for exact_already in (PROBLEM, LOSS):
        with pytest.raises(StructureError, match="second derivatives already"):
            si.differences_of_second_order(exact_already)
    with pytest.raises(ShapeError, match="step"):
        si.differences_of_second_order(first_order, step=0.0)


def test_what_is_missing_is_named(solved):
    with pytest.raises(StructureError, match="TwiceDifferentiable"):
        si.reduced_hessian(first_order, solved).apply(X)
    plain = si.ImplicitFunction(replace(PROBLEM, second_order=None)).solve(X, np.zeros(N_Y))
    with pytest.raises(StructureError, match="gauss_newton=True"):
        si.reduced_hessian(LOSS, plain).apply(X)


RUBBISH = [
    (lambda *a: np.zeros(N_X), ShapeError, r"\(x_part, y_part\)"),
    (lambda *a: (np.zeros(N_Y), np.zeros(N_Y)), ShapeError, "x-part"),
    (lambda *a: (np.zeros(N_X), np.full(N_Y, np.nan)), NonFinite, "y-part"),
]


@pytest.mark.parametrize(("given", "error", "message"), RUBBISH)
def test_rubbish_is_refused(solved, given, error, message):
    with pytest.raises(error, match=message):
        si.reduced_hessian(replace(LOSS, second=given), solved).apply(X)
    state = si.ImplicitFunction(replace(PROBLEM, second_order=given)).solve(X, np.zeros(N_Y))
    with pytest.raises(error, match=message):
        si.reduced_hessian(LOSS, state).apply(X)


def test_arguments_are_checked(solved):
    with pytest.raises(ShapeError, match="v has shape"):
        si.reduced_hessian(LOSS, solved).apply(np.ones(N_Y))
    with pytest.raises(ShapeError, match="adjoint has shape"):
        si.reduced_hessian(LOSS, solved, adjoint=np.ones(N_X))
    with pytest.raises(ShapeError, match="rtol"):
        si.reduced_hessian(LOSS, solved, rtol=0.0)
