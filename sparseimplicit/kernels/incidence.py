"""Index arrays of elements: sparse patterns, slots in them, and blocks that share no rows.

An element e couples the rows ``rows[e, first[a]]`` with the columns ``columns[e, second[a]]`` for
each pair a. Patterns are sorted by counting, then row by row.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Indices = NDArray[Any]


@njit(cache=True, nogil=True)
def count_pairs(rows: Any, first: Any, counts: Any) -> None:
    """counts[i + 1] += pairs of row i, repeated ones included."""
    for e in range(rows.shape[0]):
        for a in range(first.size):
            counts[rows[e, first[a]] + 1] += 1


@njit(cache=True, nogil=True)
def place_pairs(rows: Any, columns: Any, first: Any, second: Any, cursor: Any, out: Any) -> None:
    """Put the column of each pair behind those that its row has already; moves ``cursor``."""
    for e in range(rows.shape[0]):
        for a in range(first.size):
            i = rows[e, first[a]]
            out[cursor[i]] = columns[e, second[a]]
            cursor[i] += 1


@njit(cache=True, nogil=True)
def sort_rows(starts: Any, columns: Any, lengths: Any) -> None:
    """Sort the columns of each row and drop repeated ones; lengths[i] of them are left in front."""
    for i in range(starts.size - 1):
        begin, end = starts[i], starts[i + 1]
        if end - begin > 48:
            columns[begin:end] = np.sort(columns[begin:end])
        else:
            for k in range(begin + 1, end):
                here = columns[k]
                t = k
                while t > begin and columns[t - 1] > here:
                    columns[t] = columns[t - 1]
                    t -= 1
                columns[t] = here
        kept = begin
        for k in range(begin, end):
            if k == begin or columns[k] != columns[kept - 1]:
                columns[kept] = columns[k]
                kept += 1
        lengths[i] = kept - begin


@njit(cache=True, nogil=True)
def gather_rows(starts: Any, columns: Any, indptr: Any, out: Any) -> None:
    """out = what `sort_rows` has left in front of each row."""
    for i in range(starts.size - 1):
        shift = starts[i] - indptr[i]
        for k in range(indptr[i], indptr[i + 1]):
            out[k] = columns[k + shift]


@njit(cache=True, nogil=True)
def find_slots(
    rows: Any, columns: Any, first: Any, second: Any, indptr: Any, indices: Any, dump: int, out: Any
) -> None:
    """out[e, a] = place of pair a of element e among the entries; ``dump`` where it has none."""
    for e in range(rows.shape[0]):
        for a in range(first.size):
            i, j = rows[e, first[a]], columns[e, second[a]]
            low, high = indptr[i], indptr[i + 1]
            while low < high:
                middle = (low + high) // 2
                if indices[middle] < j:
                    low = middle + 1
                else:
                    high = middle
            found = low < indptr[i + 1] and indices[low] == j
            out[e, a] = low if found else dump


@njit(cache=True, nogil=True)
def mark_interior(rows: Any, starts: Any, owner: Any, inside: Any) -> int:
    """Mark the elements all of whose rows are of their block alone; return how many are not.

    ``starts`` bounds the blocks; ``owner`` is scratch, one number a row, −1 at first.
    """
    for b in range(starts.size - 1):
        for e in range(starts[b], starts[b + 1]):
            for a in range(rows.shape[1]):
                i = rows[e, a]
                if owner[i] == -1:
                    owner[i] = b
                elif owner[i] != b:
                    owner[i] = -2
    left = 0
    for b in range(starts.size - 1):
        for e in range(starts[b], starts[b + 1]):
            fine = True
            for a in range(rows.shape[1]):
                if owner[rows[e, a]] != b:
                    fine = False
            inside[e] = fine
            if not fine:
                left += 1
    return left


def pattern(
    n_rows: int, parts: list[tuple[Indices, Indices, Indices, Indices]], n_columns: int
) -> tuple[Indices, Indices]:
    """Return indptr and indices of all pairs (rows, columns, first, second) together.

    Both are int32, or int64 where the number of entries or of columns needs it.
    """
    starts = np.zeros(n_rows + 1, dtype=np.int64)
    for rows, _, first, _ in parts:
        count_pairs(rows, first, starts)
    np.cumsum(starts, out=starts)
    columns = np.empty(starts[-1], dtype=np.int32 if n_columns < 2**31 else np.int64)
    cursor = starts[:-1].copy()
    for part in parts:
        place_pairs(*part, cursor, columns)
    sort_rows(starts, columns, cursor)
    indptr = np.zeros(n_rows + 1, dtype=np.int64)
    np.cumsum(cursor, out=indptr[1:])
    wide = indptr[-1] >= 2**31 or columns.dtype == np.int64
    indptr = indptr.astype(np.int64 if wide else np.int32)
    indices = np.empty(indptr[-1], dtype=indptr.dtype)
    gather_rows(starts, columns, indptr, indices)
    return indptr, indices
