"""Index arrays of elements: sparse patterns, slots in them, and blocks that share no rows.

An element e couples the rows ``rows[e, first[a]]`` with the columns ``columns[e, second[a]]`` for
each pair a. Patterns are sorted by counting, then row by row.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .csr import place_of

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
        gap = 1  # Shell's sort: short rows by insertion, long ones in leaps first
        while 9 * gap < end - begin:
            gap = 3 * gap + 1
        while gap > 0:
            for k in range(begin + gap, end):
                here = columns[k]
                t = k
                while t >= begin + gap and columns[t - gap] > here:
                    columns[t] = columns[t - gap]
                    t -= gap
                columns[t] = here
            gap //= 3
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
            place = place_of(indptr, indices, i, j)
            found = place < indptr[i + 1] and indices[place] == j
            out[e, a] = place if found else dump


@njit(cache=True, nogil=True)
def group_elements(rows: Any, n_rows: int, blocks: int, starts: Any, order: Any) -> None:
    """Order elements into blocks that share no rows; those that would share some come last.

    An element is of the block in whose part of 0 … n_rows − 1 its first row lies, unless a row of
    it is also one of another block's. starts (blocks + 2,) bounds the blocks and the rest.
    """
    owner = np.full(n_rows, -1, dtype=np.int32)
    own = np.empty(rows.shape[0], dtype=np.int32)
    for e in range(rows.shape[0]):
        least = rows[e, 0]
        for a in range(1, rows.shape[1]):
            least = min(least, rows[e, a])
        own[e] = np.int64(least) * blocks // n_rows
        for a in range(rows.shape[1]):
            i = rows[e, a]
            if owner[i] == -1:
                owner[i] = own[e]
            elif owner[i] != own[e]:
                owner[i] = -2
    starts[:] = 0
    for e in range(rows.shape[0]):
        for a in range(rows.shape[1]):
            if owner[rows[e, a]] == -2:
                own[e] = blocks
        starts[own[e] + 1] += 1
    for b in range(blocks + 1):
        starts[b + 1] += starts[b]
    cursor = starts.copy()
    for e in range(rows.shape[0]):
        order[cursor[own[e]]] = e
        cursor[own[e]] += 1


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
