"""The checks of second derivatives find what they are for."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si
from sparseimplicit.errors import ShapeError


@pytest.fixture
def problem(transport):
    """The root problem of all tests, with its second derivatives."""
    b = transport.parameter_jacobian(np.zeros(7), np.zeros(48))
    return replace(
        transport,
        second_order=lambda x, y, adjoint, x_dot, y_dot: (
            -np.sin(x) * (b.T @ adjoint) * x_dot, 0.6 * y * adjoint * y_dot,
        ),
    )  # fmt: skip


@pytest.fixture
def loss(tracking):
    return si.TwiceDifferentiable(tracking, lambda x, y, x_dot, y_dot: (x_dot, y_dot))


def half(problem):
    """Half of the second derivatives by y: wrong, and still symmetric."""
    given = problem.second_order
    wrong = lambda *at: (given(*at)[0], 0.5 * given(*at)[1])
    return replace(problem, second_order=wrong)


def test_slopes_of_a_right_hessian(problem, loss, transport_x):
    implicit = si.ImplicitFunction(problem)
    table = si.verify.taylor(implicit, loss, transport_x, y0=np.zeros(48), hessian=True)
    assert table.order == 3
    assert 2.9 < table.slope < 3.1
    assert "½h² dᵀHd" in str(table)
    of_gradient = si.verify.hessian_taylor(implicit, loss, transport_x, y0=np.zeros(48))
    assert of_gradient.order == 2
    assert 1.9 < of_gradient.slope < 2.1
    assert "slope 2.0" in str(of_gradient)
    h = si.reduced_hessian(loss, implicit.solve(transport_x, np.zeros(48)), rtol=1e-13)
    assert si.verify.hessian_symmetry(h) < 1e-12
    assert (h.report.products, h.report.solves) == (4, 8)


def test_a_wrong_hessian_shows(problem, loss, transport_x):
    implicit = si.ImplicitFunction(half(problem))
    table = si.verify.taylor(implicit, loss, transport_x, y0=np.zeros(48), hessian=True)
    assert table.slope < 2.3
    of_gradient = si.verify.hessian_taylor(implicit, loss, transport_x, y0=np.zeros(48))
    assert of_gradient.slope < 1.3
    check = si.verify.derivatives(half(problem), transport_x, np.cos(np.arange(48)))
    assert check.errors["second_order"] > 1e-3
    right = si.verify.derivatives(problem, transport_x, np.cos(np.arange(48)))
    assert right.passed


def test_a_hessian_that_is_not_symmetric_shows(problem, tracking, transport_x):
    skew = sparse.diags_array([np.ones(47)], offsets=[1])
    loss = si.TwiceDifferentiable(tracking, lambda x, y, dx, dy: (dx, dy + skew @ dy))
    h = si.reduced_hessian(loss, si.ImplicitFunction(problem).solve(transport_x, np.zeros(48)))
    assert si.verify.hessian_symmetry(h) > 1e-4


def test_bad_steps_are_refused(problem, loss, transport_x):
    with pytest.raises(ShapeError, match="steps must fall") as caught:
        si.verify.hessian_taylor(
            si.ImplicitFunction(problem), loss, transport_x, y0=np.zeros(48), steps=[1e-3, 1e-2]
        )
    assert caught.value.where == "verify.hessian_taylor"
