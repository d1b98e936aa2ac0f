import numpy as np
import pytest

import sparseimplicit as si
from sparseimplicit.errors import NonFinite, ShapeError


def ridge():
    """y = argmin ½‖y − 3‖² + ½ x y²: y = 3/(1 + x), all in closed form."""
    return si.ImplicitFunction(
        si.MinimizationProblem(
            gradient=lambda x, y: y - 3 + x * y,
            hessian=lambda x, y: 1 + x,
            cross_hessian=lambda x, y: y,
        )
    )


def test_closed_form_with_a_direct_part():
    h = si.hypergradient(lambda x, y: (y[0] ** 2 + 5 * x[0], [5.0], 2 * y), ridge().solve(2.0, 0.0))
    assert h.value == pytest.approx(11.0)
    assert h.gradient[0] == pytest.approx(5 + 2 * 1 * (-3 / 9), rel=1e-9)
    assert h.error is None


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (lambda x, y: (1.0, None), ShapeError, r"return \(value, L_x, L_y\)"),
        (lambda x, y: 1.0, ShapeError, r"return \(value, L_x, L_y\)"),
        (lambda x, y: (y, None, y * np.nan), NonFinite, "L_y is nan"),
        (lambda x, y: (np.nan, None, y), NonFinite, "the loss is nan"),
        (lambda x, y: (np.ones(3), None, y), ShapeError, "one number"),
        (lambda x, y: (1.0, np.ones(4), y), ShapeError, "L_x"),
    ],
)
def test_a_loss_that_returns_rubbish(loss, error, message):
    with pytest.raises(error, match=message):
        si.hypergradient(loss, ridge().solve(2.0, 0.0))


def test_a_neighbouring_adjoint_as_first_guess(transport, transport_x, tracking):
    solved = si.ImplicitFunction(transport, "gmres").solve(transport_x, np.zeros(48))
    first = si.hypergradient(tracking, solved)
    again = si.hypergradient(tracking, solved, start=first.adjoint)
    assert again.report.adjoint.iterations == 0
    np.testing.assert_allclose(again.gradient, first.gradient, rtol=1e-6)
