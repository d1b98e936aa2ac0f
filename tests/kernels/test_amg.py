import numpy as np
import pytest
from scipy import sparse

from sparseimplicit.kernels import amg, amg_columns, chunks, coarsening, galerkin, rows
from tests.reference import amg as twin

FORMS = ["serial", "parallel", "python"]


def form_of(module, monkeypatch, form):
    """Make every kernel of a module run serially, in parallel, or as plain Python."""
    monkeypatch.setattr(module, "PARALLEL_ENTRIES", 0 if form == "parallel" else 10**9)
    if form == "python":
        for name in [n for n in vars(module) if hasattr(getattr(module, n), "py_func")]:
            monkeypatch.setattr(module, name, getattr(module, name).py_func)


def matrix(n=61, seed=0, symmetric=True):
    """Return a diagonally dominant matrix with couplings of both signs."""
    rng = np.random.default_rng(seed)
    a = sparse.random_array((n, n), density=0.08, rng=rng, format="csr")
    a.data = rng.standard_normal(a.nnz)
    a = a + a.T if symmetric else a
    a = a - sparse.diags_array(a.diagonal())
    a = sparse.csr_array(a + sparse.diags_array(np.abs(a).sum(axis=1) * 0.7 + 0.2))
    a.indices, a.indptr = a.indices.astype(np.int32), a.indptr.astype(np.int32)
    return a


def split(a, chunk, dtype=np.float64):
    return rows.split_rows(a.indptr, a.indices, a.data, chunk, dtype)


def csr(m):
    m = sparse.csr_array(m)
    return m.indptr.astype(np.int32), m.indices.astype(np.int32), m.data


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("chunk", [7, 61])
@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("form", FORMS)
def test_smoothing(form, columns, both, chunk, symmetric, monkeypatch):
    kernels = amg if columns == 1 else amg_columns
    form_of(kernels, monkeypatch, form)
    form_of(rows, monkeypatch, form)
    a = matrix(symmetric=symmetric)
    parts, dense = split(a, chunk), a.toarray()
    shape = (61,) if columns == 1 else (61, columns)
    b, x, t, out = np.random.default_rng(1).standard_normal((4, *shape))
    before, after = (np.linalg.inv(m) for m in twin.smoothers(dense, chunk, both))
    expected = x + after @ (b - dense @ x)
    kernels.smooth(parts, chunk, both, b, x, t, out)
    np.testing.assert_allclose(out, expected, rtol=1e-11, atol=1e-12)
    kernels.smooth_zero(parts, chunk, both, b, x, t)
    np.testing.assert_allclose(x, before @ b, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(t, b - dense @ x, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("form", FORMS)
def test_transfers_and_the_coarsest_level(form, columns, monkeypatch):
    kernels = amg if columns == 1 else amg_columns
    form_of(kernels, monkeypatch, form)
    p = matrix()[:, :17]
    shape = (lambda n: n) if columns == 1 else (lambda n: (n, columns))
    rng = np.random.default_rng(2)
    e, x, out = rng.standard_normal(shape(17)), rng.standard_normal(shape(61)), np.empty(shape(17))
    expected = x + p @ e
    kernels.correct(csr(p), e, x)
    np.testing.assert_allclose(x, expected, rtol=1e-13, atol=1e-13)
    kernels.restrict(csr(p.T), x, out)
    np.testing.assert_allclose(out, p.T @ x, rtol=1e-13, atol=1e-13)
    square = rng.standard_normal((17, 17))
    kernels.dense(square, e, out)
    np.testing.assert_allclose(out, square @ e, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("chunk", [1, 5, 13, 61])
def test_smoothing_never_diverges(chunk):
    """M₁ + M₂ − A is positive definite for every choice of chunks, also for Jacobi alone."""
    a = matrix().toarray()
    a += (0.01 - min(np.linalg.eigvalsh(a)[0], 0.0)) * np.eye(61)
    parts = split(csr_matrix(a), chunk)
    for both in (True, False):
        before, after = twin.smoothers(a, chunk, both)
        assert np.linalg.eigvalsh(before + after - a)[0] > 0
    np.testing.assert_allclose(1.0 / parts[6], parts[4] + parts[5])


def csr_matrix(a):
    return sparse.csr_array((csr(a)[2], csr(a)[1], csr(a)[0]), shape=a.shape)


def test_rows_without_a_diagonal_get_one():
    a = csr_matrix(np.array([[0.0, 2.0, 0.0], [2.0, -4.0, 0.0], [0.0, 0.0, 0.0]]))
    parts = split(a, 3)
    np.testing.assert_array_equal(parts[6], [0.5, -0.25, 1.0])


@pytest.mark.parametrize("form", FORMS)
def test_products(form, monkeypatch):
    form_of(galerkin, monkeypatch, form)
    a, b = matrix(seed=3), matrix(seed=4)[:, :17]
    indptr, indices, values = galerkin.product(csr(a), csr(b), 17)
    found = sparse.csr_array((values, indices, indptr), shape=(61, 17))
    np.testing.assert_allclose(found.toarray(), (a @ b).toarray(), rtol=1e-13, atol=1e-14)
    assert found.has_canonical_format or found.nnz == len(set(zip(*found.nonzero(), strict=True)))


@pytest.mark.parametrize("form", FORMS)
def test_interpolation(form, monkeypatch):
    form_of(coarsening, monkeypatch, form)
    a = matrix(seed=5)
    dense = a.toarray()
    indptr, indices = coarsening.strong(a.indptr, a.indices, a.data, 0.25)
    mask = sparse.csr_array((np.ones(indices.size), indices, indptr), shape=a.shape)
    np.testing.assert_array_equal(mask.toarray() > 0, twin.strong(dense, 0.25))
    kept = np.random.default_rng(0).random(61) < 0.4
    coarse = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)
    indptr, indices, values = coarsening.classical(a.indptr, a.indices, a.data, 0.25, coarse)
    p = sparse.csr_array((values, indices, indptr), shape=(61, int(kept.sum())))
    np.testing.assert_allclose(
        p.toarray(), twin.classical(dense, 0.25, coarse), rtol=1e-11, atol=1e-13
    )


@pytest.mark.parametrize("form", FORMS)
def test_compact_order_and_reordering(form, monkeypatch):
    form_of(chunks, monkeypatch, form)
    monkeypatch.setattr(chunks, "PARALLEL_ROWS", 0 if form == "parallel" else 10**9)
    path = sparse.diags_array([np.ones(59), np.ones(59)], offsets=[-1, 1], shape=(60, 60))
    shuffled = np.random.default_rng(0).permutation(60)
    a = sparse.csr_array(sparse.csr_array(path)[shuffled][:, shuffled])
    order = chunks.compact_order(a.indptr, a.indices, 10)
    np.testing.assert_array_equal(np.sort(order), np.arange(60))
    indptr, indices, values = chunks.permuted(a.indptr, a.indices, a.data, order, 2.0)
    b = sparse.csr_array((values, indices, indptr), shape=(60, 60))
    np.testing.assert_array_equal(b.toarray(), a.toarray()[order][:, order] / 2.0)
    links = np.subtract.outer(np.arange(60) // 10, np.arange(60) // 10) != 0
    assert (b.toarray()[links] != 0).sum() <= 2 * 11  # a path cut into few pieces
    r, out, back = np.random.default_rng(1).standard_normal((3, 60, 2))
    chunks.gather(order, r, np.array([2.0, 3.0]), out)
    np.testing.assert_array_equal(out, r[order] * [2.0, 3.0])
    chunks.scatter(order, out, np.array([0.5, 1.0]), back)
    np.testing.assert_array_equal(back, r * [1.0, 3.0])
