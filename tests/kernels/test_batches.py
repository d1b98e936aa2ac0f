import numpy as np
import pytest
from scipy import sparse

from sparseimplicit.kernels import batches
from sparseimplicit.linear.blocks import batch_of
from tests.reference import batches as twin

CASES = [(8, [6] * 8), (5, [9] * 11), (3, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), (40, [24, 7, 24])]


def systems(band, sizes):
    rng = np.random.default_rng(band)
    blocks = []
    for n in sizes:
        a = np.triu(np.tril(rng.standard_normal((n, n)), band), -band)
        blocks.append((a + a.T) / 2 + 4 * n**0.5 * np.eye(n))
    return blocks


def batch(blocks, wide):
    a = sparse.csr_array(sparse.block_diag(blocks, format="csr"))
    q = batch_of(a)
    dtype = np.int64 if wide else np.int32
    parts = (a.indptr.astype(dtype), a.indices.astype(dtype), a.data)
    return a, q, (*parts, q.members, q.first, q.place, q.size, q.band, q.offset)


FACTORIZE = [batches._factorize, batches._factorize_parallel, batches._factorize.py_func]
SOLVE = [batches._solve, batches._solve_parallel, batches._solve.py_func]


@pytest.mark.parametrize("run", FACTORIZE)
@pytest.mark.parametrize(("band", "sizes"), CASES)
@pytest.mark.parametrize("wide", [False, True])
def test_factors(run, band, sizes, wide):
    blocks = systems(band, sizes)
    a, q, parts = batch(blocks, wide)
    out, failed = np.full(q.numbers, np.nan), np.empty(q.size.size, dtype=np.int64)
    run(*parts, out, failed)
    assert (failed == -1).all()
    dense = a.toarray()
    for g, size in enumerate(q.size):
        eight = []
        for s in range(8 * g, min(8 * g + 8, q.count)):
            unknowns = q.members[q.first[s] : q.first[s + 1]]
            eight.append(dense[np.ix_(unknowns, unknowns)])
        exact = twin.factor(eight, size, q.band[g])
        found = out[q.offset[g] : q.offset[g + 1]].reshape(exact.shape)
        np.testing.assert_allclose(found, exact, atol=1e-13)


@pytest.mark.parametrize("run", SOLVE)
@pytest.mark.parametrize(("band", "sizes"), CASES)
def test_solutions(run, band, sizes):
    a, q, parts = batch(systems(band, sizes), False)
    factor = np.empty(q.numbers)
    assert batches.factorize(*parts, factor) == -1
    b = np.random.default_rng(1).standard_normal((a.shape[0], 3))
    start = np.append(0, np.cumsum(q.size))
    x, out = np.empty((start[-1], 8)), np.empty_like(b)
    run(factor, q.members, q.first, q.size, q.band, q.offset, start, b, x, out)
    np.testing.assert_allclose(out, np.linalg.solve(a.toarray(), b), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("run", FACTORIZE)
def test_the_first_unknown_without_a_pivot(run):
    blocks = systems(3, [5] * 10)
    blocks[9][2, 2] = blocks[4][3, 3] = -1.0
    _, q, parts = batch(blocks, False)
    failed = np.empty(2, dtype=np.int64)
    run(*parts, np.empty(q.numbers), failed)
    assert failed.tolist() == [23, 47]
    assert batches.factorize(*parts, np.empty(q.numbers)) == 23
