"""Products of two sparse matrices in parallel, for the coarse matrices R A P of a hierarchy."""

from typing import Any, Final

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .amg import PARALLEL_ENTRIES
from .csr import _unsigned

Indices = NDArray[Any]
Values = NDArray[Any]
Sparse = tuple[Indices, Indices, Values]

BLOCKS: Final = 8  # of rows; each has a marker for every column


def product(a: Sparse, b: Sparse, n_columns: int) -> Sparse:
    """Return the CSR arrays of A B, int32; columns in the order in which they are met.

    A row is computed by one thread from beginning to end: the bits do not depend on their number.
    """
    n = a[0].size - 1
    blocks = BLOCKS if a[1].size >= PARALLEL_ENTRIES else 1
    counts = np.zeros(n, dtype=np.int64)
    (_count_parallel if blocks > 1 else _count)(
        *_unsigned(a[0], a[1]), *_unsigned(b[0], b[1]), n_columns, blocks, counts
    )
    indptr = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(counts, out=indptr[1:])
    indptr = indptr.astype(np.int32)
    indices = np.empty(int(indptr[-1]), dtype=np.int32)
    values = np.empty(indices.size)
    run = _fill_parallel if blocks > 1 else _fill
    run(
        *_unsigned(a[0], a[1]), a[2], *_unsigned(b[0], b[1]), b[2],
        n_columns, blocks, indptr, indices, values,
    )  # fmt: skip
    return indptr, indices, values


@njit(inline="always")
def _count_block(
    a0: Any,
    a1: Any,
    aj: Any,
    b0: Any,
    b1: Any,
    bj: Any,
    n_columns: Any,
    start: Any,
    stop: Any,
    counts: Any,
) -> None:
    met = np.full(n_columns, -1, dtype=np.int32)
    for i in range(start, stop):
        count = 0
        for k in range(a0[i], a1[i]):
            for m in range(b0[aj[k]], b1[aj[k]]):
                if met[bj[m]] != i:
                    met[bj[m]] = i
                    count += 1
        counts[i] = count


@njit(cache=True, nogil=True)
def _count(
    a0: Any, a1: Any, aj: Any, b0: Any, b1: Any, bj: Any, n_columns: Any, blocks: Any, counts: Any
) -> None:
    for t in range(blocks):
        start, stop = counts.size * t // blocks, counts.size * (t + 1) // blocks
        _count_block(a0, a1, aj, b0, b1, bj, n_columns, start, stop, counts)


@njit(cache=True, nogil=True, parallel=True)
def _count_parallel(
    a0: Any, a1: Any, aj: Any, b0: Any, b1: Any, bj: Any, n_columns: Any, blocks: Any, counts: Any
) -> None:
    for t in prange(blocks):
        start, stop = counts.size * t // blocks, counts.size * (t + 1) // blocks
        _count_block(a0, a1, aj, b0, b1, bj, n_columns, start, stop, counts)


@njit(inline="always")
def _fill_block(
    a0: Any, a1: Any, aj: Any, ax: Any, b0: Any, b1: Any, bj: Any, bx: Any,
    n_columns: Any, start: Any, stop: Any, indptr: Any, indices: Any, values: Any,
) -> None:  # fmt: skip
    place = np.full(n_columns, -1, dtype=np.int32)
    for i in range(start, stop):
        first = indptr[i]
        done = first
        for k in range(a0[i], a1[i]):
            factor = ax[k]
            for m in range(b0[aj[k]], b1[aj[k]]):
                j = bj[m]
                at = place[j]
                if at < first:
                    place[j] = done
                    indices[done] = j
                    values[done] = factor * bx[m]
                    done += 1
                else:
                    values[at] += factor * bx[m]


@njit(cache=True, nogil=True)
def _fill(
    a0: Any, a1: Any, aj: Any, ax: Any, b0: Any, b1: Any, bj: Any, bx: Any,
    n_columns: Any, blocks: Any, indptr: Any, indices: Any, values: Any,
) -> None:  # fmt: skip
    n = indptr.size - 1
    for t in range(blocks):
        start, stop = n * t // blocks, n * (t + 1) // blocks
        _fill_block(
            a0, a1, aj, ax, b0, b1, bj, bx, n_columns, start, stop, indptr, indices, values
        )  # fmt: skip


@njit(cache=True, nogil=True, parallel=True)
def _fill_parallel(
    a0: Any, a1: Any, aj: Any, ax: Any, b0: Any, b1: Any, bj: Any, bx: Any,
    n_columns: Any, blocks: Any, indptr: Any, indices: Any, values: Any,
) -> None:  # fmt: skip
    n = indptr.size - 1
    for t in prange(blocks):
        start, stop = n * t // blocks, n * (t + 1) // blocks
        _fill_block(
            a0, a1, aj, ax, b0, b1, bj, bx, n_columns, start, stop, indptr, indices, values
        )  # fmt: skip
