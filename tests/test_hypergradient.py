import numpy as np
import pytest

import sparseimplicit as si
from sparseimplicit.errors import NonFinite, ShapeError
from sparseimplicit.hypergradient import loss_error


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


def test_the_loss_at_a_coarse_state_is_known_to_second_order():
    """y² = x: a state adopted with an error of δ leaves δ² of the loss's error, not δ."""
    root = si.ImplicitFunction(
        si.RootProblem(
            residual=lambda x, y: y**2 - x, state_jacobian=lambda x, y: 2 * y,
            parameter_jacobian=lambda x, y: -np.ones(1),
        ),
        forward=lambda x, y0: y0,
    )  # fmt: skip
    left = []
    for delta in (1e-2, 1e-3):
        solved = root.solve([4.0], [2.0 + delta], rtol=0.1)
        h = si.hypergradient(lambda x, y: (y[0] ** 3, None, 3 * y**2), solved)
        assert abs(h.value - 8.0) == pytest.approx(12 * delta, rel=0.1)
        left.append(abs(h.value - loss_error(solved, h.adjoint) - 8.0))
    assert left[0] / left[1] == pytest.approx(100, rel=0.1)
