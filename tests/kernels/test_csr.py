import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from sparseimplicit.kernels import csr
from tests.reference import csr as twin

SERIAL = [csr._multiply, csr._multiply_parallel, csr._multiply.py_func]
COLUMNS = [csr._multiply_columns, csr._multiply_columns_parallel, csr._multiply_columns.py_func]


def matrix(seed, rows=23, columns=31, dtype=np.int32):
    a = sparse.random_array(
        (rows, columns), density=0.2, rng=np.random.default_rng(seed), format="csr"
    )
    a.indices, a.indptr = a.indices.astype(dtype), a.indptr.astype(dtype)
    return a


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("run", SERIAL)
def test_multiply(dtype, run):
    a = matrix(0, dtype=dtype)
    x, out = np.random.default_rng(1).standard_normal(31), np.full(23, np.nan)
    run(*csr._unsigned(a.indptr, a.indices), a.data, x, out)
    np.testing.assert_allclose(out, twin.multiply(a, x), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("run", COLUMNS)
def test_multiply_columns(dtype, run):
    a = matrix(0, dtype=dtype)
    x, out = np.random.default_rng(1).standard_normal((31, 4)), np.full((23, 4), np.nan)
    run(*csr._unsigned(a.indptr, a.indices), a.data, x, out)
    np.testing.assert_allclose(out, twin.multiply(a, x), rtol=1e-13, atol=1e-14)


def test_large_products_run_in_parallel_with_the_same_bits(monkeypatch):
    n = 150_000
    a = sparse.diags_array([np.ones(n - 3), np.arange(n) / 7, np.ones(n - 3)], offsets=[-3, 0, 3])
    a = sparse.csr_array(a)
    x = np.random.default_rng(0).standard_normal((n, 2))
    results = []
    for limit in (1, 10 * n):
        monkeypatch.setattr(csr, "PARALLEL_ROWS", limit)
        one, two = np.empty(n), np.empty((n, 2))
        csr.multiply(a.indptr, a.indices, a.data, x[:, 0].copy(), one)
        csr.multiply_columns(a.indptr, a.indices, a.data, x, two)
        results.append((one, two))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])
    np.testing.assert_allclose(results[0][1], a @ x, rtol=1e-12)


def test_what_runs_in_parallel_is_decided_by_entries(monkeypatch):
    """A few long rows are as much work as many short ones."""
    runs = []
    monkeypatch.setattr(csr, "_multiply_parallel", lambda *args: runs.append("parallel"))
    monkeypatch.setattr(csr, "_multiply", lambda *args: runs.append("serial"))
    monkeypatch.setattr(csr, "PARALLEL_ROWS", 10)
    for rows, each in ((2, 25), (12, 4)):
        a = sparse.csr_array(np.ones((rows, each)))
        csr.multiply(a.indptr, a.indices, a.data, np.ones(each), np.empty(rows))
    assert runs == ["parallel", "serial"]


@given(seed=st.integers(0, 10**6), size=st.floats(-16, 0), wide=st.booleans())
def test_first_asymmetry_agrees_with_dense_algebra(seed, size, wide):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 12))
    a = sparse.random_array((n, n), density=0.4, rng=rng)
    a = sparse.csr_array(a + a.T)
    if a.nnz and rng.random() < 0.7:
        a = sparse.csr_array(a)
        a.data[rng.integers(a.nnz)] *= 1 + 10.0**size
    if rng.random() < 0.3:
        a = sparse.lil_array(a)
        a[rng.integers(n), rng.integers(n)] = 10.0**size  # perhaps without a partner
        a = sparse.csr_array(a)
    a.sum_duplicates()
    dtype = np.int64 if wide else np.int32
    expected = twin.asymmetric(a, 1e-10)
    wrong = np.flatnonzero(expected >= 0)
    first = (wrong[0], expected[wrong[0]]) if wrong.size else (-1, -1)
    for run in (csr._asymmetries, csr._asymmetries_parallel, csr._asymmetries.py_func):
        found = np.empty((1, 3), dtype=np.int64)
        parts = a.indptr.astype(dtype), a.indices.astype(dtype), a.data
        run(*parts, 1e-10, True, found)
        np.testing.assert_array_equal(found[0, :2], first)
        run(*parts, 1e-10, False, found)
        if found[0, 2] == 0 and found[0, 0] < 0:  # the quick look is as good
            assert not wrong.size
    row, column = csr.first_asymmetry(a.indptr, a.indices, a.data, 1e-10)
    assert (row >= 0) == (expected >= 0).any()
    if row >= 0:
        assert a[row, column] != a[column, row]


@pytest.mark.parametrize("run", [csr._diagonal, csr._diagonal_parallel, csr._diagonal.py_func])
def test_diagonal(run):
    a, out = matrix(7, 23, 23), np.full(23, np.nan)
    assert (a.diagonal() == 0).any()
    run(a.indptr, a.indices, a.data, out)
    np.testing.assert_array_equal(out, a.toarray().diagonal())


def test_an_entry_alone_below_the_diagonal_is_found_behind_others():
    a = sparse.csr_array(np.array([[1.0, 2.0, 0.0], [3.0, 1.0, 0.0], [5.0, 0.0, 1.0]]))
    assert csr.first_asymmetry(a.indptr, a.indices, a.data, 1e-13) == (0, 1)
    a = sparse.csr_array(np.array([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [5.0, 0.0, 1.0]]))
    assert csr.first_asymmetry(a.indptr, a.indices, a.data, 1e-13) == (2, 0)


@pytest.mark.parametrize("row", [0, 4095, 4096, 9999])
def test_an_asymmetry_is_found_in_any_chunk_of_rows(row):
    a = sparse.diags_array(
        [np.ones(9999), 4.0 * np.ones(10_000), np.ones(9999)], offsets=[-1, 0, 1]
    )
    a = sparse.csr_array(a)
    assert csr.first_asymmetry(a.indptr, a.indices, a.data, 1e-13) == (-1, -1)
    a.data[a.indptr[row]] += 0.5 if row else 0.0
    a.data[a.indptr[row] + (row == 0)] += 0.5 if row == 0 else 0.0
    found = csr.first_asymmetry(a.indptr, a.indices, a.data, 1e-13)
    assert found == ((row - 1, row) if row else (0, 1))


def test_stored_zeros_need_no_partner():
    a = sparse.csr_array(
        (np.array([1.0, 0.0, 1.0, 1.0]), np.array([0, 2, 1, 2]), np.array([0, 2, 3, 4])),
        shape=(3, 3),
    )
    assert csr.first_asymmetry(a.indptr, a.indices, a.data, 1e-13) == (-1, -1)


@pytest.mark.parametrize("seed", range(4))
def test_upper_triangle_with_every_diagonal_entry(seed):
    matrix = sparse.random_array((40, 40), density=0.1, rng=seed, format="csr")
    matrix = sparse.csr_array(matrix + matrix.T)
    matrix.sort_indices()
    indptr, indices, data = csr.upper_triangle(matrix.indptr, matrix.indices, matrix.data)
    upper = sparse.csr_array((data, indices, indptr), shape=(40, 40))
    assert (upper.toarray() == np.triu(matrix.toarray())).all()
    assert (indices[indptr[:-1]] == np.arange(40)).all()


@pytest.mark.parametrize("run", [csr._sizes, csr._sizes_parallel, csr._sizes.py_func])
def test_row_sizes(run):
    a = matrix(5)
    largest, total = np.empty(23), np.empty(23)
    run(a.indptr, a.data, largest, total)
    np.testing.assert_array_equal(largest, abs(a).max(axis=1).toarray().ravel())
    np.testing.assert_allclose(total, abs(a).sum(axis=1))


@pytest.mark.parametrize("run", [csr.fill_bands, csr.fill_bands.py_func])
def test_fill_bands_leaves_out_what_lies_outside(run):
    a = sparse.csr_array(np.arange(1.0, 17.0).reshape(4, 4))
    out = np.zeros((4, 2))
    run(a.indptr, a.indices, a.data, 0, out)
    np.testing.assert_array_equal(out, [[1, 5], [6, 10], [11, 15], [16, 0]])


@pytest.mark.parametrize("run", [csr.bandwidths, csr.bandwidths.py_func])
def test_bandwidths(run):
    a = sparse.csr_array([[0, 0, 0, 2.0], [0, 0, 0, 0], [3.0, 0, 4.0, 0], [0, 0, 0, 1.0]])
    assert run(a.indptr, a.indices) == (2, 3)
    assert run(np.zeros(1, np.int32), np.zeros(0, np.int32)) == (0, 0)


@pytest.mark.parametrize("run", [csr._scaled_sizes, csr._scaled_sizes.py_func])
def test_scaled_sizes(run):
    a, rng = matrix(6), np.random.default_rng(0)
    r, c = rng.uniform(1, 9, 23), rng.uniform(1, 9, 31)
    largest, total, across = np.empty(23), np.empty(23), np.zeros(31)
    run(a.indptr, a.indices, a.data, r, c, largest, total, across)
    scaled = np.abs(a.toarray()) / np.outer(r, c)
    np.testing.assert_allclose(largest, scaled.max(axis=1))
    np.testing.assert_allclose(total, scaled.sum(axis=1))
    np.testing.assert_allclose(across, scaled.max(axis=0))
