"""Hessians of filter energies against scipy.ndimage and dense algebra."""

import pickle

import numba
import numpy as np
import pytest

from sparseimplicit.errors import NonFinite, ShapeError, StructureError
from sparseimplicit.linear import (
    CG,
    FilterOperator,
    Operator,
    Spectral,
    Structure,
    choose,
    solver_named,
)
from sparseimplicit.linear.preconditioners import spectral
from sparseimplicit.linear.reports import Reason
from tests.reference import filters as twin

SIZES = [(1, 1), (3, 3), (2, 2), (4, 3), (5, 2), (1, 6), (7, 7), (9, 9), (3, 8)]
BORDERS = ["zero", "reflect", "periodic"]


def operator(size, border, shape=(11, 13), count=3, seed=0):
    rng = np.random.default_rng(seed)
    filters = rng.standard_normal((count, *size))
    weights = 10.0 ** rng.uniform(-1, 1, (count, *shape))
    data = rng.uniform(1, 2, shape)
    dense = twin.hessian(filters, weights, data, border)
    return FilterOperator(filters, weights, data, border=border), dense


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("assembled", [False, True])
def test_products_and_diagonal(size, border, assembled):
    h, dense = operator(size, border)
    h.assembled = assembled
    x = np.random.default_rng(1).standard_normal((143, 3))
    scale = np.abs(dense).max() * 1e-14
    np.testing.assert_allclose(h @ x, dense @ x, atol=50 * scale)
    np.testing.assert_allclose(h @ x[:, 0], dense @ x[:, 0], atol=50 * scale)
    np.testing.assert_allclose(h.T @ x[:, 0], dense @ x[:, 0], atol=50 * scale)
    np.testing.assert_allclose(h.diagonal(), np.diag(dense), atol=50 * scale)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("size", SIZES)
def test_entries(size, border):
    h, dense = operator(size, border)
    entries = h.assemble()
    assert entries.has_canonical_format
    np.testing.assert_allclose(entries.toarray(), dense, atol=1e-13 * np.abs(dense).max())
    again = h.assemble(like=entries)
    np.testing.assert_array_equal(again.toarray(), entries.toarray())
    assert border == "periodic" or np.shares_memory(again.indices, entries.indices)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("assembled", [False, True])
def test_images_smaller_than_the_filters(border, assembled):
    h, dense = operator((5, 4), border, shape=(3, 2))
    h.assembled = assembled
    np.testing.assert_allclose(h @ np.eye(6), dense, atol=1e-12 * np.abs(dense).max())
    np.testing.assert_allclose(h.assemble().toarray(), dense, atol=1e-12 * np.abs(dense).max())
    np.testing.assert_allclose(h.diagonal(), np.diag(dense), atol=1e-12 * np.abs(dense).max())


def test_tiles_join():
    """An image of several tiles, in parallel, by both ways."""
    rng = np.random.default_rng(0)
    filters, weights = rng.standard_normal((2, 4, 5)), rng.uniform(1, 2, (2, 80, 1100))
    x = rng.standard_normal(88_000)
    for border in BORDERS:
        one, other = (FilterOperator(filters, weights, 0.5, border=border) for _ in range(2))
        one.assembled, other.assembled = False, True
        both = one @ x, other @ x
        before = numba.get_num_threads()
        numba.set_num_threads(1)
        alone = one @ x, other @ x
        numba.set_num_threads(before)
        np.testing.assert_array_equal(both, alone)
        np.testing.assert_allclose(one @ x, other @ x, atol=1e-12 * np.abs(one @ x).max())
        np.testing.assert_allclose(one.diagonal(), other.diagonal(), rtol=1e-12)


def test_the_stencil_is_assembled_where_it_pays():
    rng = np.random.default_rng(0)
    for size, count, products, expected in (
        (7, 48, 100, True), (7, 48, 5, False), (5, 8, 30, True), (3, 1, 10**6, False),
    ):  # fmt: skip
        filters = rng.standard_normal((count, size, size))
        h = FilterOperator(filters, np.ones((count, 20, 20)), 1.0, products=products)
        assert h.assembled == expected


def test_products_find_out_that_the_stencil_pays():
    rng = np.random.default_rng(0)
    filters, weights = rng.standard_normal((48, 7, 7)), rng.uniform(1, 2, (48, 20, 21))
    h = FilterOperator(filters, weights, 1.0, products=None)
    exact = FilterOperator(filters, weights, 1.0, products=1)
    x = rng.standard_normal(420)
    changed = []
    for _ in range(30):
        np.testing.assert_allclose(h @ x, exact @ x, rtol=1e-11, atol=1e-9)
        changed.append(h.assembled)
    assert not changed[1]
    assert changed[-1]


def test_negative_weights():
    """The preconditioner stays definite, and CG says that the matrix is not."""
    rng = np.random.default_rng(6)
    f = rng.standard_normal((4, 3, 3))
    h = FilterOperator(f, rng.uniform(-4, 3, (4, 10, 12)), 0.5)
    operator_ = Operator(h, Structure.POSITIVE_DEFINITE)
    inverse = Spectral().prepare(operator_).apply(np.eye(120))
    assert np.linalg.eigvalsh(inverse + inverse.T).min() > 0
    report = CG(Spectral()).prepare(operator_).solve(np.ones(120), strict=False).report
    assert report.reason is Reason.NEGATIVE_CURVATURE


def test_a_copy_by_pickle_has_its_own_scratch():
    h, dense = operator((3, 3), "reflect")
    h @ np.ones(143)
    copy = pickle.loads(pickle.dumps(h))  # noqa: S301 - our own bytes
    np.testing.assert_allclose(copy @ np.ones(143), dense.sum(axis=1), rtol=1e-12)


def test_a_solve_by_its_products():
    h, dense = operator((3, 3), "reflect")
    system = CG().prepare(Operator(h, Structure.POSITIVE_DEFINITE))
    b = np.arange(143.0)
    np.testing.assert_allclose(system.solve(b, rtol=1e-10).value, np.linalg.solve(dense, b), 1e-7)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("size", [(3, 3), (4, 3), (5, 2)])
def test_the_spectral_preconditioner(border, size):
    h, dense = operator(size, border)
    operator_ = Operator(h, Structure.POSITIVE_DEFINITE)
    m = Spectral().prepare(operator_)
    inverse = m.apply(np.eye(143))
    np.testing.assert_allclose(inverse, inverse.T, atol=1e-5 * np.abs(inverse).max())
    assert np.linalg.eigvalsh(inverse + inverse.T).min() > 0
    assert choose(operator_).solver.label == "cg+spectral"
    b = np.random.default_rng(4).standard_normal((143, 2))
    solution = choose(operator_).solver.prepare(operator_).solve(b)
    np.testing.assert_allclose(solution.value, np.linalg.solve(dense, b), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("border", BORDERS)
def test_equal_weights_of_an_even_filter_are_inverted_exactly_but_for_zeros(border):
    f = np.array([[[1.0, -2.0, 1.0]], [[0.5, 1.0, 0.5]]])
    h = FilterOperator(f, np.full((2, 9, 12), 3.0), 0.7, border=border)
    x = np.random.default_rng(0).standard_normal(108)
    scale = np.sqrt(h.diagonal().mean()) * np.ones(h.grid)
    values = spectral.eigenvalues(h, 1.0 / scale**2)
    assert (values > 0).all()
    solver = CG(Spectral())
    iterations = solver.prepare(Operator(h, Structure.POSITIVE_DEFINITE)).solve(x).report.iterations
    assert iterations <= {"zero": 25, "reflect": 15, "periodic": 4}[border]


def test_far_fewer_iterations_than_jacobi():
    rng = np.random.default_rng(3)
    f = rng.standard_normal((12, 5, 5))
    f -= f.mean(axis=(1, 2), keepdims=True)
    h = FilterOperator(f, 10.0 ** rng.uniform(-1, 2, (12, 60, 70)), 1.0)
    b = rng.standard_normal(4200)
    counts = []
    for name in ("cg+jacobi", "cg+spectral"):
        a = Operator(h, Structure.POSITIVE_DEFINITE, precondition_from=h.assemble())
        counts.append(solver_named(name).prepare(a).solve(b).report.iterations)
    assert counts[1] < 0.25 * counts[0]


def test_spectral_is_for_filters_alone():
    with pytest.raises(StructureError, match="filter energies"):
        CG(Spectral()).prepare(np.eye(3))


def test_bad_input():
    good = np.ones((2, 3, 3)), np.ones((2, 8, 8))
    with pytest.raises(ShapeError, match="filters"):
        FilterOperator(good[0][:1], good[1])
    with pytest.raises(ShapeError, match="data term"):
        FilterOperator(*good, np.ones(5))
    with pytest.raises(ShapeError, match="border"):
        FilterOperator(*good, border="mirror")
    with pytest.raises(NonFinite, match="weights"):
        FilterOperator(good[0], good[1] * np.nan)
    with pytest.raises(NonFinite, match="data"):
        FilterOperator(*good, np.inf)
