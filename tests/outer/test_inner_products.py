"""`minimize` in inner products and by Newton's method: the mother problem of PDE control."""

import numpy as np
import pytest

import sparseimplicit as si
from tests.reference.mother import Mother, grid

SIZES = (16, 32, 64)


@pytest.mark.parametrize(
    ("grading", "constant"), [(0.5, False), (1.0, True)], ids=["graded, P1", "uniform, P0"]
)
def test_the_number_of_steps_does_not_depend_on_the_mesh(grading, constant):
    quasi, newton, products = [], [], []
    for n in SIZES:
        mother = Mother(grid(n, grading), constant=constant)
        inner = mother.M.diagonal() if constant else mother.M
        r = mother.minimize(inner=inner, stop_rtol=1e-4)
        assert r.converged
        quasi.append(len(r.history))
        r = mother.minimize(inner=inner, stop_rtol=1e-4, method="newton-cg")
        assert r.converged
        newton.append(len(r.history))
        products.append(r.work[0].hessian_products)
    assert max(quasi) - min(quasi) <= 2
    assert max(newton) - min(newton) <= 1
    assert abs(products[2] - products[1]) <= 2
    assert max(quasi) <= 30
    assert max(products) <= 31


def test_the_exact_control_is_approached():
    """f = sin πx sin πy / (1 + 4 α π⁴), J = 1.2495131442e-7: J errs by h², f by h."""
    values, errors = [], []
    for n in (8, 16, 32):
        mother = Mother(grid(n), constant=True)
        r = mother.minimize(inner=mother.M, method="newton-cg")
        wave = np.prod(np.sin(np.pi * mother.places), axis=1)
        errors.append(np.sqrt(mother.M.diagonal() @ (r.x - wave / (1 + 4e-6 * np.pi**4)) ** 2))
        values.append(r.value - 1.2495131442e-7)
    assert 3.5 < values[1] / values[2] < 4.5
    assert errors[1] / errors[2] > 1.8


def test_both_methods_find_the_closed_form():
    mother = Mother(grid(6, 0.6))
    H, g = mother.dense()
    f = np.linalg.solve(H, -g)
    best = 0.5 * (g @ f + mother.d @ (mother.N @ mother.d))
    for method in ("L-BFGS-B", "newton-cg"):
        r = mother.minimize(inner=mother.M, method=method, stop_rtol=1e-8, max_iterations=300)
        assert r.converged
        assert r.value == pytest.approx(best, rel=1e-8)
        np.testing.assert_allclose(r.x, f, atol=1e-4)
        dual = (H @ r.x + g) @ np.linalg.solve(mother.M.toarray(), H @ r.x + g)
        assert r.kkt_residual == pytest.approx(np.sqrt(dual), rel=1e-3, abs=1e-13)


def test_two_solves_a_product_and_no_factorization_of_the_state_for_them():
    mother = Mother(grid(8))
    r = mother.minimize(inner=mother.M, method="newton-cg")
    steps = [e.step for e in r.history[1:]]
    assert r.history[0].step is None
    assert r.work[0].hessian_products == sum(s.products for s in steps)
    assert sum(s.cg_iterations for s in steps) == r.work[0].hessian_products
    assert r.work[0].factorizations == 1  # A is the same at all points
    assert all(s.accepted and s.ratio == pytest.approx(1, abs=1e-4) for s in steps)
    assert [e.gradient_norm for e in r.history][-1] == r.kkt_residual


def box(n):
    """The box-constrained demo of cashocs: d = sin 2πx sin 2πy, 50 (x − 1) ≤ f ≤ 50 x."""
    mother = Mother(grid(n), data=lambda x, y: np.sin(2 * np.pi * x) * np.sin(2 * np.pi * y))
    mother.start = 0 * mother.start
    x = mother.points[:, 0]
    return mother, np.stack([50 * (x - 1), 50 * x], axis=1)


def multipliers_off(mother, bounds, f):
    """How far off the KKT conditions of the discrete problem are, from dense algebra."""
    H, g = mother.dense()
    slope = (H @ f + g) / mother.M.sum(axis=1)
    free = (f > bounds[:, 0]) & (f < bounds[:, 1])
    wrong = np.where(f <= bounds[:, 0], np.minimum(slope, 0), np.maximum(slope, 0))
    assert np.all((bounds[:, 0] <= f) & (f <= bounds[:, 1]))
    assert 0 < np.count_nonzero(free) < f.size
    return np.max(np.abs(np.where(free, slope, wrong)))


def test_bounds_with_a_mass_matrix_lead_to_the_discrete_minimum():
    """J = 0.0416860634; the fixed point of projections in the mass matrix has J = 0.04215."""
    mother, bounds = box(20)
    r = mother.minimize(inner=mother.M, bounds=bounds, method="newton-cg", stop_rtol=1e-9)
    assert r.converged
    assert r.value == pytest.approx(0.0416860634, abs=5e-11)
    assert multipliers_off(mother, bounds, r.x) < 1e-9
    assert len(r.history) <= 10
    assert r.kkt_residual < 1e-9


def test_quasi_newton_with_bounds_takes_the_row_sums():
    mother, bounds = box(10)
    newton = mother.minimize(inner=mother.M, bounds=bounds, method="newton-cg", stop_rtol=1e-9)
    r = mother.minimize(inner=mother.M, bounds=bounds, stop_rtol=1e-7, max_iterations=300)
    assert r.converged
    assert r.value == pytest.approx(newton.value, rel=1e-9)
    assert multipliers_off(mother, bounds, r.x) < 1e-7
    D = mother.M.sum(axis=1)
    H, g = mother.dense()
    step = np.clip(r.x - (H @ r.x + g) / D, *bounds.T) - r.x
    assert r.kkt_residual == pytest.approx(np.sqrt(D @ step**2), rel=1e-3)


def test_newton_steps_with_bounds_do_not_depend_on_the_mesh():
    counts = []
    for n in (10, 20, 40):
        mother, bounds = box(n)
        r = mother.minimize(inner=mother.M, bounds=bounds, method="newton-cg", stop_rtol=1e-6)
        assert r.converged
        counts.append(len(r.history))
    assert max(counts) - min(counts) <= 2


def test_a_diagonal_and_its_matrix_agree():
    mother = Mother(grid(8), constant=True)
    a = mother.minimize(inner=mother.M, stop_rtol=1e-7)
    b = mother.minimize(inner=mother.M.diagonal(), stop_rtol=1e-7)
    assert a.converged
    assert b.converged
    np.testing.assert_allclose(a.x, b.x, atol=1e-4)


def test_a_loss_without_second_derivatives_is_refused():
    mother = Mother(grid(4))
    with pytest.raises(si.errors.StructureError, match="second"):
        si.minimize(lambda f, u: mother(f, u), mother.implicit, mother.start, y0=mother.u0,
                    method="newton-cg")  # fmt: skip


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"radius": 1.0}, "no radius"),
        ({"gauss_newton": 3}, "no gauss_newton"),
        ({"memory": 0}, "memory is 0"),
        ({"method": "newton-cg", "memory": 5}, "memory is 5"),
        ({"method": "newton-cg", "radius": -1.0}, "radius is -1"),
        ({"method": "newton-cg", "gauss_newton": -1}, "gauss_newton is -1"),
    ],
)
def test_options_of_the_other_method_are_refused(options, says):
    with pytest.raises(si.errors.ConfigError, match=says):
        Mother(grid(4)).minimize(**options)


def test_an_inner_product_of_another_size_is_refused():
    with pytest.raises(si.errors.ShapeError, match="there are 25"):
        Mother(grid(4)).minimize(inner=np.ones(3))
