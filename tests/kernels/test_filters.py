import numpy as np
import pytest
from scipy import sparse

from sparseimplicit.kernels import assembling, filters, stencils, taps
from tests.reference import filters as twin

SIZES = [(1, 1), (3, 3), (4, 3), (2, 5)]
SHAPE = (9, 8)


def forms(module, name):
    kernel = getattr(module, f"_{name}")
    return [kernel, getattr(module, f"_{name}_parallel"), kernel.py_func]


def case(size):
    rng = np.random.default_rng(sum(size))
    f, w = rng.standard_normal((3, *size)), rng.uniform(1, 2, (3, *SHAPE))
    rows, columns = (
        np.pad(np.arange(n), (t // 2, t - 1 - t // 2), constant_values=-1)
        for n, t in zip(SHAPE, size, strict=True)
    )
    return f, w, rows, columns, twin.hessian(f, w, 0.0, "zero")


@pytest.mark.parametrize("count", range(1, 20))
def test_taps(count):
    rng = np.random.default_rng(count)
    f, u, start = rng.standard_normal(count), rng.standard_normal(40), rng.standard_normal(20)
    for run in (taps.add_row, taps.add_row.py_func):
        out = start.copy()
        run(out, u, f)
        exact = start + np.correlate(u[: 19 + count], f, "valid")
        np.testing.assert_allclose(out, exact, atol=1e-13)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tile", [(32, 512), (3, 4)])
def test_products(size, tile):
    f, w, _, _, exact = case(size)
    (a, b), (h, wide) = size, SHAPE
    flipped = np.ascontiguousarray(f[:, ::-1, ::-1])
    tall, broad = min(tile[0], h + a - 1), min(tile[1], wide + b - 1)
    tiles = -(-(h + a - 1) // tile[0]) * -(-(wide + b - 1) // tile[1])
    x = np.random.default_rng(1).standard_normal(SHAPE)
    window = np.s_[a // 2 : a // 2 + h, b // 2 : b // 2 + wide]
    u = np.zeros((h + a - 1, wide + b - 1))
    u[window] = x
    for run in forms(filters, "multiply"):
        room, out = np.full((tiles, tall + a - 1, broad + b - 1), np.nan), np.full_like(u, np.nan)
        run(f, flipped, w, u, out, room, *tile)
        np.testing.assert_allclose(out[window].ravel(), exact @ x.ravel(), atol=1e-12)


@pytest.mark.parametrize("run", [filters._diagonal, filters._diagonal.py_func])
@pytest.mark.parametrize("size", SIZES)
def test_diagonal(run, size):
    f, w, rows, columns, exact = case(size)
    out = np.zeros(SHAPE)
    run(f, w, rows, columns, out)
    np.testing.assert_allclose(out.ravel(), np.diag(exact), rtol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", range(3))
def test_stencils(size, form):
    f, w, rows, columns, exact = case(size)
    (a, b), (h, wide) = size, SHAPE
    products = assembling.products_of(f)
    out = np.full((h + a - 1, products.shape[1], wide + 2 * (b - 1)), np.nan)
    forms(assembling, "assemble")[form](*assembling.by_pairs(products, w, b), b, out)
    fold = (stencils.fold, stencils.fold, stencils.fold.py_func)[form]
    fold(out, a, b, rows, columns, False)
    x = np.random.default_rng(1).standard_normal(SHAPE)
    u = np.pad(x, ((0, 0), (b - 1, b - 1)))
    found = np.full(SHAPE, np.nan)
    forms(stencils, "apply")[form](out, a, b, False, u, found)
    np.testing.assert_allclose(found.ravel(), exact @ x.ravel(), atol=1e-12)
    near = [
        np.minimum(n, np.arange(n) + t) - np.maximum(0, np.arange(n) - t + 1)
        for n, t in zip(SHAPE, size, strict=True)
    ]
    indptr = np.append(0, np.cumsum(np.outer(*near))).astype(np.int32)
    indices, values = np.full(indptr[-1], -1, dtype=np.int32), np.full(indptr[-1], np.nan)
    forms(stencils, "fill_csr")[form](out, a, b, h, wide, indptr, indices, values)
    entries = sparse.csr_array((values, indices, indptr), shape=exact.shape)
    assert entries.has_canonical_format
    np.testing.assert_allclose(entries.toarray(), exact, atol=1e-12)
