"""Setting up hierarchies: pyamg's splittings and aggregates, our interpolation and products."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from pyamg import amg_core
from scipy import sparse

from ...kernels import coarsening
from ...kernels.amg import PARALLEL_ENTRIES
from ...kernels.chunks import CHUNK, compact_order, permuted, sorted_order
from ...kernels.galerkin import product

THETA: Final = 0.25  # of the largest coupling of a row: what is strong. Ruge and Stüben's
COARSEST: Final = 10
MOST_LEVELS: Final = 30

_legacy: Final = threading.Lock()


@contextlib.contextmanager
def legacy_random_state() -> Iterator[None]:
    """Give pyamg the same random numbers each time, and the user's state back.

    Its estimate of the spectral radius, which scales smoothed prolongation, starts from NumPy's
    global state: unseeded, a hierarchy would not be the same from one run to the next.
    """
    with _legacy:  # one at a time, or two threads would hand each other's state back
        before = np.random.get_state()  # noqa: NPY002 - the state that pyamg draws from
        np.random.seed(0)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002


def order_of(matrix: Any, *, by_loops: bool) -> Any:
    """Return old numbers of the unknowns in the order of a hierarchy's finest level."""
    if matrix.nnz < PARALLEL_ENTRIES:  # it is one chunk
        return np.arange(matrix.shape[0], dtype=np.int32)
    return compact_order(matrix.indptr, matrix.indices, by_loops=by_loops)


def chunk_of(matrix: Any) -> int:
    """Return the rows of a chunk: all, where the matrix is too small for two threads."""
    return CHUNK if matrix.nnz >= PARALLEL_ENTRIES else max(int(matrix.shape[0]), 1)


def reordered(matrix: Any, order: Any, unit: float) -> Any:
    """Return A[order][:, order] / unit with int32 indices."""
    indptr, indices, values = permuted(matrix.indptr, matrix.indices, matrix.data, order, unit)
    return sparse.csr_matrix((values, indices, indptr), shape=matrix.shape)


def galerkin(matrix: Any, prolongation: Any, restriction: Any) -> Any:
    """Return R A P."""
    n = prolongation.shape[1]
    right = product(_arrays(matrix), _arrays(prolongation), n)
    indptr, indices, values = product(_arrays(restriction), right, n)
    return sparse.csr_matrix((values, indices, indptr), shape=(restriction.shape[0], n))


def classical(matrix: Any) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """Return the matrices and the (P, R) of Ruge and Stüben's method."""
    matrices, transfers = [matrix], []
    while matrices[-1].shape[0] > COARSEST and len(matrices) < MOST_LEVELS:
        a = matrices[-1]
        coarse = _splitting(a)
        count = int(coarse.max(initial=-1)) + 1
        if count in (0, coarse.size):
            break
        p = coarsening.classical(a.indptr, a.indices, a.data, THETA, coarse)
        prolongation = sparse.csr_matrix((p[2], p[1], p[0]), shape=(coarse.size, count))
        restriction = prolongation.T.tocsr()
        next_ = galerkin(a, prolongation, restriction)
        # Coarse unknowns lie as their fine ones do: chunks are compact, their rows to be sorted.
        order = sorted_order(next_.indptr, next_.indices, chunk_of(next_))
        rank = np.empty(count, dtype=np.int32)
        rank[order] = np.arange(count, dtype=np.int32)
        prolongation.indices = rank[prolongation.indices]
        restriction = restriction[order]
        matrices.append(reordered(next_, order, 1.0))
        transfers.append((prolongation, restriction))
    return matrices, transfers


def sorted_finest(
    order: Any, matrices: list[Any], transfers: list[tuple[Any, Any]]
) -> tuple[Any, list[Any], list[tuple[Any, Any]]]:
    """Return order and hierarchy with the finest rows of each chunk sorted for their loops.

    Aggregates are taken greedily in the order of rows: sorted before, with the rows at the borders
    of chunks last, diffusion on 100³ unknowns took 24 iterations for 21.
    """
    a = matrices[0]
    if not transfers or a.nnz < PARALLEL_ENTRIES:
        return order, matrices, transfers
    p, r = transfers[0]
    place = sorted_order(a.indptr, a.indices, CHUNK)
    first = (p[place], r[:, place])
    return order[place], [reordered(a, place, 1.0), *matrices[1:]], [first, *transfers[1:]]


def _splitting(a: Any) -> Any:
    """Return by unknown its number on the next level, or −1."""
    n = a.shape[0]
    indptr, indices = coarsening.strong(a.indptr, a.indices, a.data, THETA)
    couplings = sparse.csr_matrix(
        (np.ones(indices.size, dtype=np.int8), indices, indptr), shape=a.shape
    )
    back = couplings.T.tocsr()
    kept, influence = np.empty(n, dtype=np.int32), np.zeros(n, dtype=np.int32)
    amg_core.rs_cf_splitting(n, indptr, indices, back.indptr, back.indices, influence, kept)
    return np.where(kept == 1, np.cumsum(kept == 1) - 1, -1).astype(np.int32)


def _arrays(m: Any) -> Any:
    return m.indptr, m.indices, m.data
