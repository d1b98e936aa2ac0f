"""Local terms against derivatives written by hand, for every problem of the bank."""

import numpy as np
import pytest
from scipy import sparse

from tests.reference.case import directional, error
from tests.reference.terms import CASES

TOLERANCE = 1e-14
ROOTS = {"P1 diffusion", "convection"}


@pytest.fixture(params=CASES, scope="module")
def case(request):
    return CASES[request.param]()


def directions(case, seed=7):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(case.x.size), rng.standard_normal(case.y.size)


# The references themselves: each derivative is the complex step of the one before.


@pytest.mark.parametrize("name", [name for name in CASES if name not in ROOTS])
def test_reference_first_derivative(name):
    case = CASES[name]()
    _, v = directions(case)
    slope = directional(lambda y: case.objective(case.x, y), case.y, v)
    assert slope == pytest.approx(case.first(case.x, case.y) @ v, rel=1e-12, abs=1e-12)


def test_reference_second_derivative(case):
    _, v = directions(case)
    exact = directional(lambda y: case.first(case.x, y), case.y, v)
    assert error(case.second(case.x, case.y) @ v, exact) < 1e-13


def test_reference_cross_derivative(case):
    u, _ = directions(case)
    exact = directional(lambda x: case.first(x, case.y), case.x, u)
    assert error(case.cross(case.x, case.y) @ u, exact) < 1e-13


# The terms against the references.


def test_objective_and_first_derivative(case):
    problem = case.make()
    first = problem.gradient if case.objective else problem.residual
    assert error(first(case.x, case.y), case.first(case.x, case.y)) < TOLERANCE
    if case.objective:
        exact = case.objective(case.x, case.y)
        assert problem.objective(case.x, case.y) == pytest.approx(exact, rel=TOLERANCE)


def test_second_derivative(case):
    problem = case.make()
    second = (problem.hessian if case.objective else problem.state_jacobian)(case.x, case.y)
    assert sparse.issparse(second)
    assert second.has_canonical_format
    assert error(second, case.second(case.x, case.y)) < TOLERANCE


def test_cross_derivative(case):
    """Products from both sides: B ẋ, and Bᵀ λ as the adjoint needs it."""
    problem = case.make()
    cross = (problem.cross_hessian if case.objective else problem.parameter_jacobian)(
        case.x, case.y
    )
    exact = case.cross(case.x, case.y).toarray()
    scale = np.max(np.abs(exact))
    for unit in np.eye(case.x.size)[:: 1 + case.x.size // 20]:
        assert np.max(np.abs(cross @ unit - exact @ unit)) < TOLERANCE * scale
    for unit in np.eye(case.y.size)[:: 1 + case.y.size // 20]:
        assert np.max(np.abs(cross.T @ unit - exact.T @ unit)) < TOLERANCE * scale


def test_products_without_a_matrix(case):
    problem = case.make()
    _, v = directions(case)
    product = problem.hessian_product if case.objective else problem.state_product
    exact = case.second(case.x, case.y) @ v
    assert error(product(case.x, case.y, v), exact) < TOLERANCE


def test_third_derivatives(case):
    """Complex steps of second derivatives by hand, contracted with λ: by y, by x, along either."""
    problem = case.make()
    u, v = directions(case)
    _, weight = directions(case, seed=8)
    x, y = case.x, case.y
    exact = {
        ("y", "y"): directional(lambda y: case.second(x, y), y, v).T @ weight,
        ("y", "x"): directional(lambda y: case.cross(x, y), y, v).T @ weight,
        ("x", "y"): directional(lambda x: case.second(x, y), x, u).T @ weight,
        ("x", "x"): directional(lambda x: case.cross(x, y), x, u).T @ weight,
    }
    for (along, by), expected in exact.items():
        in_y, in_x = ([v], []) if along == "y" else ([], [u])
        if case.objective:
            given = problem.third_contraction(
                x, y, by=by, y_directions=[weight, *in_y], x_directions=in_x
            )
        else:
            given = problem.third_contraction(
                x, y, weight, by=by, y_directions=in_y, x_directions=in_x
            )
        assert error(given, expected) < TOLERANCE, (along, by)
    if case.objective:
        assert error(problem.third(x, y, v, weight), exact["y", "y"]) < TOLERANCE


def test_second_order_along_both(case):
    """Complex steps of the references along (ẋ, ẏ) at once, contracted with λ."""
    problem = case.make()
    u, v = directions(case)
    _, weight = directions(case, seed=8)
    x, y, both = case.x, case.y, np.concatenate([u, v])
    at = np.concatenate([x, y])
    by_x = directional(lambda z: case.cross(z[: x.size], z[x.size :]), at, both).T @ weight
    by_y = directional(lambda z: case.second(z[: x.size], z[x.size :]), at, both).T @ weight
    x_part, y_part = problem.second_order(x, y, weight, u, v)
    assert error(x_part, by_x) < TOLERANCE
    assert error(y_part, by_y) < TOLERANCE


@pytest.mark.parametrize("name", ["TV, map", "P1 diffusion"])
def test_every_matrix_shares_one_pattern(name):
    case = CASES[name]()
    problem = case.make()
    second = problem.hessian if case.objective else problem.state_jacobian
    first, again = second(case.x, case.y), second(case.x, 0.5 * case.y)
    assert first.indices is again.indices
    assert not np.array_equal(first.data, again.data)
