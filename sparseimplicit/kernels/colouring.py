"""Columns of a sparse pattern that one product can tell apart.

Two columns may share a colour if no row has an entry in both: then J s, with s the sum of their
unit vectors, holds the entries of both. Source: Curtis, Powell, Reid 1974; greedy in natural order.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Indices = NDArray[Any]


@njit(cache=True, nogil=True)
def transposed(indptr: Indices, indices: Indices, n_columns: int) -> Any:
    """Return pointers, rows and slots by column: slots[p] is where entry p stands in the rows.

    Rows are sorted in each column. Of a symmetric pattern with sorted rows, slots[p] is the place
    of the mirror image of entry p. Twin: tests/reference/colouring.py.
    """
    starts = np.zeros(n_columns + 1, indptr.dtype)
    for k in range(indices.size):
        starts[indices[k] + 1] += 1
    for j in range(n_columns):
        starts[j + 1] += starts[j]
    following = starts[:-1].copy()
    rows, slots = np.empty_like(indices), np.empty(indices.size, indptr.dtype)
    for i in range(indptr.size - 1):
        for k in range(indptr[i], indptr[i + 1]):
            place = following[indices[k]]
            rows[place] = i
            slots[place] = k
            following[indices[k]] += 1
    return starts, rows, slots


@njit(cache=True, nogil=True)
def colour_columns(indptr: Indices, indices: Indices, starts: Indices, rows: Indices) -> Any:
    """Return a colour for each column, (n_columns,) int32: the first that no neighbour has.

    indptr, indices: the pattern by rows; starts, rows: by columns. Cost: the sum over the rows of
    the squares of their lengths. A row with d entries makes d colours or more.
    """
    n = starts.size - 1
    colours = np.full(n, -1, np.int32)
    taken_by = np.full(n + 1, -1, np.int64)
    for j in range(n):
        for p in range(starts[j], starts[j + 1]):
            row = rows[p]
            for k in range(indptr[row], indptr[row + 1]):
                neighbour = colours[indices[k]]
                if neighbour >= 0:
                    taken_by[neighbour] = j
        colour = 0
        while taken_by[colour] == j:
            colour += 1
        colours[j] = colour
    return colours


@njit(cache=True, nogil=True)
def entries_by_colour(indptr: Indices, indices: Indices, colours: Indices, n_colours: int) -> Any:
    """Return pointers, rows and slots of the entries, those of one colour side by side."""
    starts = np.zeros(n_colours + 1, indptr.dtype)
    for k in range(indices.size):
        starts[colours[indices[k]] + 1] += 1
    for c in range(n_colours):
        starts[c + 1] += starts[c]
    following = starts[:-1].copy()
    rows, slots = np.empty_like(indices), np.empty(indices.size, indptr.dtype)
    for i in range(indptr.size - 1):
        for k in range(indptr[i], indptr[i + 1]):
            colour = colours[indices[k]]
            rows[following[colour]] = i
            slots[following[colour]] = k
            following[colour] += 1
    return starts, rows, slots


@njit(cache=True, nogil=True)
def place_entries(rows: Indices, slots: Indices, product: Any, values: Any) -> None:
    """Put the entries of one colour where they belong: values[slots] = product[rows]."""
    for p in range(rows.size):
        values[slots[p]] = product[rows[p]]
