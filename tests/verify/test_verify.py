"""The checks find what they are for."""

import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si
from sparseimplicit.errors import ShapeError


def broken(problem, **change):
    fields = {name: getattr(problem, name) for name in problem.__dataclass_fields__}
    return type(problem)(**{**fields, **change})


def test_taylor_shows_a_wrong_gradient(transport, transport_x, tracking):
    y0 = np.zeros(48)
    wrong = broken(
        transport,
        parameter_jacobian=lambda x, y: 1.01 * transport.parameter_jacobian(x, y),
    )
    table = si.verify.taylor(si.ImplicitFunction(wrong), tracking, transport_x, y0=y0)
    assert table.slope < 1.5
    assert "slope" in str(table)


def test_taylor_knows_a_linear_loss():
    linear = si.RootProblem(
        residual=lambda x, y: 2 * y - x,
        state_jacobian=lambda x, y: 2 * sparse.eye_array(3),
        parameter_jacobian=lambda x, y: -sparse.eye_array(3),
    )
    loss = lambda x, y: (y.sum(), None, np.ones(3))
    table = si.verify.taylor(si.ImplicitFunction(linear), loss, np.ones(3), y0=np.ones(3))
    assert table.exact
    assert np.isnan(table.slope)


def test_taylor_refuses_bad_directions(transport, transport_x, tracking):
    with pytest.raises(ShapeError, match="direction"):
        si.verify.taylor(
            si.ImplicitFunction(transport), tracking, transport_x, y0=np.zeros(48),
            direction=np.ones(3),
        )  # fmt: skip


def test_right_derivatives_pass(transport, transport_x):
    check = si.verify.derivatives(transport, transport_x, np.cos(np.arange(48)))
    assert check.passed
    assert "ok" in str(check)
    assert set(check.errors) == {"state_jacobian", "parameter_jacobian"}


def test_a_missing_entry_is_found(transport, transport_x):
    def without_one(x, y):
        a = sparse.lil_array(transport.state_jacobian(x, y))
        a[10, 11] = 0.0
        return sparse.csr_array(a)

    check = si.verify.derivatives(
        broken(transport, state_jacobian=without_one), transport_x, np.cos(np.arange(48))
    )
    assert check.errors["state_jacobian"] > 1e-3
    assert check.errors["parameter_jacobian"] < 1e-6
    assert not check.passed
    assert "WRONG" in str(check)


def test_a_wrong_objective_is_found():
    problem = si.MinimizationProblem(
        objective=lambda x, y: np.sum(y**2),
        gradient=lambda x, y: y,
        hessian=lambda x, y: sparse.eye_array(4),
        cross_hessian=lambda x, y: np.zeros(4),
    )
    check = si.verify.derivatives(problem, 1.0, np.arange(4.0))
    assert check.errors["gradient of objective"] > 0.1
    assert check.errors["symmetry"] < 1e-14


def test_symmetry_probe():
    from sparseimplicit.verify.zoo import convection_diffusion, laplacian

    assert si.verify.symmetry(laplacian(5, 6)) < 1e-14
    assert si.verify.symmetry(convection_diffusion(5, 6)) > 1e-3
