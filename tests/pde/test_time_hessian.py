"""Second order through time, against differences of exact gradients and the complex step."""

import numpy as np
import pytest
from scipy import sparse

from sparseimplicit import errors, pde
from tests.pde.test_time import SCHEMES, stepping
from tests.reference import evolution as reference


@pytest.mark.parametrize("scheme", SCHEMES)
def test_products_are_the_derivative_of_the_exact_gradient(scheme):
    """Differences of complex-step gradients have errors of h² and of rounding/h: 1e-8 in all."""
    hessian = stepping(scheme).solve(reference.X).hessian(reference.Loss())
    v = np.random.default_rng(9).standard_normal((reference.N_X, 2))
    h = 1e-4
    for column in range(2):
        up, down = (reference.gradient(scheme, reference.X + s * h * v[:, column])
                    for s in (1, -1))  # fmt: skip
        product = hessian.apply(v[:, column])
        np.testing.assert_allclose(product, (up - down) / (2 * h), rtol=1e-6)
        np.testing.assert_allclose(hessian.apply(v)[:, column], product, rtol=1e-9)


def test_it_is_symmetric_as_an_operator():
    matrix = stepping("bdf2").solve(reference.X).hessian(reference.Loss()).as_operator() @ np.eye(5)
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-9, atol=1e-10)


def test_gauss_newton_leaves_out_the_curvature_of_the_states():
    """Jᵀ L_yy J of a loss of states alone, with J from the tangents."""
    trajectory = stepping("crank-nicolson").solve(reference.X)

    class Squares:
        def __call__(self, x, k, t, y):
            return 0.5 * y @ y, None, y

        def second_order(self, x, k, t, y, x_dot, y_dot):
            return None, y_dot

    jacobian = trajectory.jvp(np.eye(5)).reshape(-1, 5)
    hessian = trajectory.hessian(Squares(), gauss_newton=True)
    np.testing.assert_allclose(hessian.apply(np.eye(5)), jacobian.T @ jacobian, rtol=1e-8)
    whole = trajectory.hessian(Squares()).apply(np.eye(5))
    assert np.linalg.norm(whole - jacobian.T @ jacobian) > 1e-2 * np.linalg.norm(whole)


def test_a_linear_quadratic_product_takes_two_solves_a_step_and_no_factorization():
    n = 12
    r = pde.Evolution(
        mass=sparse.eye_array(7), residual=lambda t, x, y: reference.K @ y - reference.B @ x,
        state_jacobian=lambda t, x, y: sparse.csr_array(reference.K),
        parameter_jacobian=lambda t, x, y: -reference.B,
        second_order=pde.no_curvature, linear=True,
    )  # fmt: skip
    chain = pde.TimeStepping(
        r, np.linspace(0, 1, n + 1), reference.INITIAL, linear_solver="superlu"
    )
    trajectory = chain.solve(reference.X)

    class Squares:
        def __call__(self, x, k, t, y):
            return 0.5 * y @ y, None, y

        def second_order(self, x, k, t, y, x_dot, y_dot):
            return None, y_dot

    hessian = trajectory.hessian(Squares())
    v = np.arange(5.0)
    difference = (
        chain.solve(reference.X + v).gradient(Squares()).gradient
        - trajectory.gradient(Squares()).gradient
    )
    np.testing.assert_allclose(hessian.apply(v), difference, rtol=1e-9)
    assert hessian.report.factorizations == 1
    assert hessian.report.solves == 2 * n  # the run forward, and the tangent
    assert hessian.report.adjoint_solves == 2 * n  # of the gradient, and of the product
    assert hessian.products == 1


def test_curvature_of_the_initial_state():
    """y_0 = (x₀², x₀ x₁), then decay: the Hessian of ½‖y_N‖² by the complex step."""
    k = np.array([[2.0, 1.0], [0.0, 3.0]])
    initial = pde.Dependent(
        lambda x: np.array([x[0] ** 2, x[0] * x[1]]),
        lambda x: np.array([[2 * x[0], 0.0], [x[1], x[0]]]),
        lambda x, y_bar, x_dot: np.array(
            [2 * y_bar[0] * x_dot[0] + y_bar[1] * x_dot[1], y_bar[1] * x_dot[0]]
        ),
    )
    r = pde.Evolution(
        mass=np.eye(2), residual=lambda t, x, y: k @ y, state_jacobian=lambda t, x, y: k,
        parameter_jacobian=lambda t, x, y: np.zeros((2, 2)), second_order=pde.no_curvature,
        linear=True,
    )  # fmt: skip

    class Final:
        def __call__(self, x, k, t, y):
            return (0.5 * y @ y, None, y) if k == 4 else (0.0, None, None)

        def second_order(self, x, k, t, y, x_dot, y_dot):
            return None, y_dot if k == 4 else None

    x = np.array([0.7, -1.3])
    chain = pde.TimeStepping(r, np.linspace(0, 1, 5), initial, linear_solver="dense")
    product = chain.solve(x).hessian(Final()).apply(np.eye(2))
    decay = np.linalg.matrix_power(np.linalg.inv(np.eye(2) + 0.25 * k), 4)
    weight = decay.T @ decay

    def gradient(x):
        y = np.array([x[0] ** 2, x[0] * x[1]])
        return np.array([[2 * x[0], 0.0], [x[1], x[0]]]).T @ (weight @ y)

    exact = np.array([gradient(x + 1e-30j * e).imag / 1e-30 for e in np.eye(2)]).T
    np.testing.assert_allclose(product, exact, rtol=1e-10)


def test_what_is_missing_is_said():
    trajectory = stepping("bdf2").solve(reference.X)
    loss = lambda x, k, t, y: (0.5 * y @ y, None, y)
    with pytest.raises(errors.StructureError, match="second derivatives of the loss"):
        trajectory.hessian(loss).apply(np.ones(5))
    chain = pde.TimeStepping(
        reference.evolution(second_order=None), reference.TIMES, reference.INITIAL,
        linear_solver="superlu",
    )  # fmt: skip
    with pytest.raises(errors.StructureError, match="second derivatives of the residual"):
        chain.solve(reference.X).hessian(reference.Loss()).apply(np.ones(5))
