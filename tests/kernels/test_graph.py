"""Column counts against the pattern of a dense symbolic elimination."""

import numpy as np
import pytest
from scipy import sparse

from sparseimplicit.kernels import graph
from sparseimplicit.kernels.graph import ball, column_counts


def eliminated(pattern, order):
    """Fill in a dense pattern column by column; return the counts of the lower triangle."""
    filled = pattern[np.ix_(order, order)] | np.eye(len(order), dtype=bool)
    for j in range(len(order)):
        below = np.flatnonzero(filled[j + 1 :, j]) + j + 1
        filled[np.ix_(below, below)] = True
    return np.tril(filled).sum(axis=0)


@pytest.mark.parametrize("seed", range(12))
def test_counts_are_those_of_an_elimination(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 60))
    pattern = rng.random((n, n)) < rng.choice([0.02, 0.08, 0.3])
    pattern |= pattern.T
    matrix = sparse.csr_array(pattern.astype(float))
    order = rng.permutation(n)
    counts = column_counts(matrix.indptr, matrix.indices, order)
    np.testing.assert_array_equal(counts, eliminated(pattern, order))


def test_index_types_and_no_unknowns():
    matrix = sparse.csr_array(np.ones((5, 5)))
    wide = column_counts(
        matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), np.arange(5)
    )
    np.testing.assert_array_equal(wide, [5, 4, 3, 2, 1])
    empty = sparse.csr_array((0, 0))
    assert column_counts(empty.indptr, empty.indices, np.arange(0)).size == 0


def test_a_large_tridiagonal_matrix_has_no_fill():
    n = 100_000
    matrix = sparse.csr_array(
        sparse.diags_array([np.ones(n - 1), np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1])
    )
    assert column_counts(matrix.indptr, matrix.indices, np.arange(n)).sum() == 2 * n - 1


def test_balls_are_those_of_scipys_distances():
    rng = np.random.default_rng(3)
    pattern = rng.random((300, 300)) < 0.01
    matrix = sparse.csr_array((pattern | pattern.T).astype(float))
    distance = sparse.csgraph.dijkstra(matrix, unweighted=True, indices=7)
    members, starts = ball(matrix.indptr, matrix.indices, 7, 300)
    reachable = np.flatnonzero(np.isfinite(distance))
    np.testing.assert_array_equal(np.sort(members), reachable)
    for d in range(starts.size - 1):
        assert set(distance[members[starts[d] : starts[d + 1]]]) == {d}
    fewer, _ = ball(matrix.indptr, matrix.indices, 7, 20)
    np.testing.assert_array_equal(fewer, members[:20])


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("python", [False, True])
def test_rows_and_columns_of_some_unknowns(monkeypatch, index, python):
    if python:
        monkeypatch.setattr(graph, "_induced", graph._induced.py_func)
    a = sparse.random_array((40, 40), density=0.2, rng=1, format="csr")
    chosen = np.array([0, 3, 4, 17, 39])
    indptr, indices, values = graph.induced(
        a.indptr.astype(index), a.indices.astype(index), a.data, chosen
    )
    part = sparse.csr_array((values, indices, indptr), shape=(5, 5))
    np.testing.assert_array_equal(part.toarray(), a.toarray()[np.ix_(chosen, chosen)])


@pytest.mark.parametrize("run", [graph.distances, graph.distances.py_func])
def test_distances_and_rows_that_repeat(run):
    # Two unknowns a node: rows 0 and 1, 2 and 3 have one pattern each.
    a = sparse.csr_array(np.kron([[1, 1], [0, 1]], np.ones((2, 2))))
    far, beside, repeated = run(a.indptr, a.indices, np.arange(1, 4))
    assert (far, beside, repeated) == (1 + 0 + 1 + 2 + 0 + 1 + 1 + 0, 3 + 1 + 1, 2)
