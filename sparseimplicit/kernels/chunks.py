"""Compact chunks of a sparse matrix: an order of the unknowns, and the rows split by it."""

from typing import Any, Final

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from . import PARALLEL_ROWS
from .amg import PARALLEL_ENTRIES, Rows

Indices = NDArray[Any]
Values = NDArray[Any]

# 4096 rows of a 2- or 3-D problem with their unknowns fit a core's second cache, and few of their
# entries lead out of the chunk.
CHUNK: Final = 4096


def compact_order(indptr: Indices, indices: Indices, chunk: int = CHUNK) -> Indices:
    """Return the old numbers of the unknowns in an order whose chunks are compact in the graph.

    Each chunk grows breadth first from an unknown next to those before. In it, rows follow by
    their number of entries: a loop whose length seldom changes is foreseen by the core.
    """
    n = indptr.size - 1
    order = np.empty(n, dtype=np.int32)
    _grow(indptr, indices, chunk, order, np.zeros(n, dtype=np.bool_))
    out = np.empty_like(order)
    _sort_chunks(chunk, order, np.diff(indptr)[order], out)
    return out


def sorted_order(indptr: Indices, chunk: int) -> Indices:
    """Return the old numbers of the unknowns when each chunk is sorted by entries a row."""
    lengths = np.diff(indptr)
    out = np.empty(lengths.size, dtype=np.int32)
    _sort_chunks(chunk, np.arange(out.size, dtype=np.int32), lengths, out)
    return out


def permuted(
    indptr: Indices, indices: Indices, values: Values, order: Indices, unit: float
) -> tuple[Indices, Indices, Values]:
    """Return the CSR arrays of A[order][:, order] / unit, int32; rows are not sorted."""
    n = order.size
    rank = np.empty(n, dtype=np.int32)
    rank[order] = np.arange(n, dtype=np.int32)
    first = np.zeros(n + 1, dtype=np.int32)
    np.cumsum(np.diff(indptr)[order], out=first[1:])
    columns = np.empty(indices.size, dtype=np.int32)
    entries = np.empty(indices.size)
    run = _permute_parallel if indices.size >= PARALLEL_ENTRIES else _permute
    run(indptr, indices, values, order, rank, unit, first, columns, entries)
    return first, columns, entries


def split_rows(indptr: Indices, indices: Indices, values: Values, chunk: int, dtype: Any) -> Rows:
    """Return the rows of A as (first, inner, columns, values, diagonal, extra, inverse).

    Row i has its entries inside its chunk, but for the diagonal, at first[i]:inner[i], those of
    other chunks at inner[i]:first[i + 1]. extra = D − diag(A), see `kernels.amg`; inverse = 1 / D,
    where a diagonal entry of 0 is replaced by the sum of its row's |entries|.
    """
    n = indptr.size - 1
    lengths, inside = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    parallel = indices.size >= PARALLEL_ENTRIES
    (_count_parallel if parallel else _count)(indptr, indices, chunk, lengths, inside)
    first = np.zeros(n + 1, dtype=np.uint32)
    np.cumsum(lengths, out=first[1:])
    inner = (first[:-1] + inside).astype(np.uint32)
    columns = np.empty(int(first[-1]), dtype=np.uint32)
    entries = np.empty(columns.size, dtype=dtype)
    diagonal, extra, inverse = (np.empty(n, dtype=dtype) for _ in range(3))
    run = _split_parallel if parallel else _split
    run(indptr, indices, values, chunk, first, inner, columns, entries, diagonal, extra, inverse)
    return first, inner, columns, entries, diagonal, extra, inverse


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


@njit(inline="always")
def _count_row(indptr: Any, indices: Any, chunk: Any, i: Any, lengths: Any, inside: Any) -> None:
    start = i // chunk * chunk
    count, inner = 0, 0
    for k in range(indptr[i], indptr[i + 1]):
        j = indices[k]
        if j != i:
            count += 1
            if start <= j < start + chunk:
                inner += 1
    lengths[i], inside[i] = count, inner


@njit(cache=True, nogil=True)
def _count(indptr: Any, indices: Any, chunk: Any, lengths: Any, inside: Any) -> None:
    for i in range(lengths.size):
        _count_row(indptr, indices, chunk, i, lengths, inside)


@njit(cache=True, nogil=True, parallel=True)
def _count_parallel(indptr: Any, indices: Any, chunk: Any, lengths: Any, inside: Any) -> None:
    for i in prange(lengths.size):
        _count_row(indptr, indices, chunk, i, lengths, inside)


@njit(inline="always")
def _split_row(
    indptr: Any, indices: Any, values: Any, chunk: Any, i: Any,
    first: Any, inner: Any, columns: Any, entries: Any, diagonal: Any, extra: Any, inverse: Any,
) -> None:  # fmt: skip
    start = i // chunk * chunk
    a, b = np.int64(first[i]), np.int64(inner[i])
    main, outside, total = 0.0, 0.0, 0.0
    for k in range(indptr[i], indptr[i + 1]):
        j = indices[k]
        total += abs(values[k])
        if j == i:
            main += values[k]
        elif start <= j < start + chunk:
            columns[a], entries[a] = j, values[k]
            a += 1
        else:
            columns[b], entries[b] = j, values[k]
            outside += abs(values[k])
            b += 1
    raised = main + 0.5 * outside if main > 0.0 else main - 0.5 * outside
    if main == 0.0:
        raised = total if total > 0.0 else 1.0
    diagonal[i] = main
    extra[i] = raised - main
    inverse[i] = 1.0 / raised


@njit(cache=True, nogil=True)
def _split(
    indptr: Any, indices: Any, values: Any, chunk: Any,
    first: Any, inner: Any, columns: Any, entries: Any, diagonal: Any, extra: Any, inverse: Any,
) -> None:  # fmt: skip
    for i in range(inner.size):
        _split_row(
            indptr, indices, values, chunk, i,
            first, inner, columns, entries, diagonal, extra, inverse,
        )  # fmt: skip


@njit(cache=True, nogil=True, parallel=True)
def _split_parallel(
    indptr: Any, indices: Any, values: Any, chunk: Any,
    first: Any, inner: Any, columns: Any, entries: Any, diagonal: Any, extra: Any, inverse: Any,
) -> None:  # fmt: skip
    for i in prange(inner.size):
        _split_row(
            indptr, indices, values, chunk, i,
            first, inner, columns, entries, diagonal, extra, inverse,
        )  # fmt: skip
