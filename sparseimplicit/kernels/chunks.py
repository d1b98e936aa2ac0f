"""Compact chunks of a sparse matrix: an order of the unknowns, and matrix and vectors in it."""

from typing import Any, Final

import numpy as np
from numba import njit, prange

from . import PARALLEL_ROWS
from .amg import PARALLEL_ENTRIES, Indices, Values

# 4096 rows of a 2- or 3-D problem with their unknowns fit a core's second cache, and few of their
# entries lead out of the chunk.
CHUNK: Final = 4096


def compact_order(
    indptr: Indices, indices: Indices, chunk: int = CHUNK, *, by_loops: bool = True
) -> Indices:
    """Return the old numbers of the unknowns in an order whose chunks are compact in the graph.

    Each chunk grows breadth first from an unknown next to those before. In it, rows follow by
    their numbers of entries outside and inside: a loop whose length seldom changes is foreseen by
    the core. Without ``by_loops`` they follow by the number of all their entries.
    """
    n = indptr.size - 1
    order = np.empty(n, dtype=np.int32)
    _grow(indptr, indices, chunk, order, np.zeros(n, dtype=np.bool_))
    out = np.empty_like(order)
    if by_loops:
        lengths = _lengths(indptr, indices, order, _rank(order), chunk)
    else:
        lengths = np.diff(indptr)[order].astype(np.int64)
    _sort_chunks(chunk, order, lengths, out)
    return out


def sorted_order(indptr: Indices, indices: Indices, chunk: int) -> Indices:
    """Return the old numbers of the unknowns when the rows of each chunk are sorted so."""
    order = np.arange(indptr.size - 1, dtype=np.int32)
    out = np.empty_like(order)
    _sort_chunks(chunk, order, _lengths(indptr, indices, order, order, chunk), out)
    return out


def permuted(
    indptr: Indices, indices: Indices, values: Values, order: Indices, unit: float
) -> tuple[Indices, Indices, Values]:
    """Return the CSR arrays of A[order][:, order] / unit, int32; rows are not sorted."""
    n, rank = order.size, _rank(order)
    first = np.zeros(n + 1, dtype=np.int32)
    np.cumsum(np.diff(indptr)[order], out=first[1:])
    columns = np.empty(indices.size, dtype=np.int32)
    entries = np.empty(indices.size)
    run = _permute_parallel if indices.size >= PARALLEL_ENTRIES else _permute
    run(indptr, indices, values, order, rank, unit, first, columns, entries)
    return first, columns, entries


def gather(order: Indices, r: Values, scale: Values, out: Values) -> None:
    """out_ij = scale_j r_(order_i) j; all C-ordered, r and out (n, k)."""
    run = _gather_parallel if order.size >= PARALLEL_ROWS else _gather
    run(order, r, scale, out)


def scatter(order: Indices, x: Values, scale: Values, out: Values) -> None:
    """out_(order_i) j = scale_j x_ij; all C-ordered, x and out (n, k)."""
    run = _scatter_parallel if order.size >= PARALLEL_ROWS else _scatter
    run(order, x, scale, out)


@njit(cache=True, nogil=True)
def _gather(order: Any, r: Any, scale: Any, out: Any) -> None:
    for i in range(order.size):
        for j in range(scale.size):
            out[i, j] = scale[j] * r[order[i], j]


@njit(cache=True, nogil=True, parallel=True)
def _gather_parallel(order: Any, r: Any, scale: Any, out: Any) -> None:
    for i in prange(order.size):
        for j in range(scale.size):
            out[i, j] = scale[j] * r[order[i], j]


@njit(cache=True, nogil=True)
def _scatter(order: Any, x: Any, scale: Any, out: Any) -> None:
    for i in range(order.size):
        for j in range(scale.size):
            out[order[i], j] = scale[j] * x[i, j]


@njit(cache=True, nogil=True, parallel=True)
def _scatter_parallel(order: Any, x: Any, scale: Any, out: Any) -> None:
    for i in prange(order.size):
        for j in range(scale.size):
            out[order[i], j] = scale[j] * x[i, j]


@njit(cache=True, nogil=True)
def _grow(indptr: Any, indices: Any, chunk: Any, order: Any, seen: Any) -> None:
    done, old, any_ = 0, 0, 0
    while done < order.size:
        stop = min(done - done % chunk + chunk, order.size)
        seed = -1
        while old < done and seed < 0:  # beside the oldest chunks first: no pocket is left behind
            for k in range(indptr[order[old]], indptr[order[old] + 1]):
                if not seen[indices[k]]:
                    seed = indices[k]
                    break
            if seed < 0:
                old += 1
        if seed < 0:
            while seen[any_]:
                any_ += 1
            seed = any_
        head = done
        order[done] = seed
        seen[seed] = True
        done += 1
        while head < done < stop:
            for k in range(indptr[order[head]], indptr[order[head] + 1]):
                j = indices[k]
                if not seen[j] and done < stop:
                    seen[j] = True
                    order[done] = j
                    done += 1
            head += 1


def _rank(order: Indices) -> Indices:
    rank = np.empty(order.size, dtype=np.int32)
    rank[order] = np.arange(order.size, dtype=np.int32)
    return rank


@njit(cache=True, nogil=True)
def _lengths(indptr: Any, indices: Any, order: Any, rank: Any, chunk: Any) -> Any:
    """Return by new row a key to sort by: entries outside the chunk first, then those inside."""
    out = np.empty(order.size, dtype=np.int64)
    for i in range(order.size):
        row = order[i]
        count = np.int64(indptr[row + 1] - indptr[row])
        outside = np.int64(0)
        for k in range(indptr[row], indptr[row + 1]):
            if rank[indices[k]] // chunk != i // chunk:
                outside += 1
        out[i] = outside * 2**31 + count - outside
    return out


@njit(cache=True, nogil=True)
def _sort_chunks(chunk: Any, order: Any, lengths: Any, out: Any) -> None:
    for start in range(0, order.size, chunk):
        stop = min(start + chunk, order.size)
        place = np.argsort(lengths[start:stop], kind="mergesort")
        for i in range(stop - start):
            out[start + i] = order[start + place[i]]


@njit(inline="always")
def _permute_row(
    indptr: Any, indices: Any, values: Any, order: Any, rank: Any, unit: Any, i: Any,
    first: Any, columns: Any, entries: Any,
) -> None:  # fmt: skip
    done = first[i]
    for k in range(indptr[order[i]], indptr[order[i] + 1]):
        columns[done], entries[done] = rank[indices[k]], values[k] / unit
        done += 1


@njit(cache=True, nogil=True)
def _permute(
    indptr: Any, indices: Any, values: Any, order: Any, rank: Any, unit: Any,
    first: Any, columns: Any, entries: Any,
) -> None:  # fmt: skip
    for i in range(order.size):
        _permute_row(indptr, indices, values, order, rank, unit, i, first, columns, entries)


@njit(cache=True, nogil=True, parallel=True)
def _permute_parallel(
    indptr: Any, indices: Any, values: Any, order: Any, rank: Any, unit: Any,
    first: Any, columns: Any, entries: Any,
) -> None:  # fmt: skip
    for i in prange(order.size):
        _permute_row(indptr, indices, values, order, rank, unit, i, first, columns, entries)
