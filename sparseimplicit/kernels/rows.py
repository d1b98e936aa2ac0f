"""The rows of a sparse matrix split into what lies inside their chunk and what does not."""

from typing import Any

import numpy as np
from numba import njit, prange

from .amg import PARALLEL_ENTRIES, Indices, Rows, Values


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
