"""Products with compressed sparse rows, and one pass that decides whether A = Aᵀ."""

from typing import Any, Final

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from . import PARALLEL_ROWS

CHUNK: Final = 4096  # rows of a task
Floats = NDArray[np.float64]
Indices = NDArray[Any]


def multiply(indptr: Indices, indices: Indices, values: Floats, x: Floats, out: Floats) -> None:
    """out = A x; x (n_columns,), out (n_rows,)."""
    first, last, columns = _unsigned(indptr, indices)
    run = _multiply_parallel if _many(indices) else _multiply
    run(first, last, columns, values, x, out)


def multiply_columns(
    indptr: Indices, indices: Indices, values: Floats, x: Floats, out: Floats
) -> None:
    """out = A X; X (n_columns, k) and out (n_rows, k), both C-ordered."""
    first, last, columns = _unsigned(indptr, indices)
    run = _multiply_columns_parallel if _many(indices) else _multiply_columns
    run(first, last, columns, values, x, out)


def row_sizes(indptr: Indices, values: Floats) -> tuple[Floats, Floats]:
    """Return the largest |entry| and the sum of |entries| of each row; 0 for an empty one."""
    n = indptr.size - 1
    largest, total = np.empty(n), np.empty(n)
    run = _sizes_parallel if _many(values) else _sizes
    run(indptr, values, largest, total)
    return largest, total


def scaled_sizes(
    indptr: Indices, indices: Indices, values: Floats, rows: Floats, columns: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return row maxima, row sums and column maxima of |a_ij| / (rows_i columns_j)."""
    largest, total = np.empty(rows.size), np.empty(rows.size)
    across = np.zeros(columns.size)
    _scaled_sizes(indptr, indices, values, rows, columns, largest, total, across)
    return largest, total, across


def first_asymmetry(
    indptr: Indices, indices: Indices, values: Floats, tolerance: float
) -> tuple[int, int]:
    """Return the first (row, column) with |a_ij − a_ji| > tolerance min(m_i, m_j), or (−1, −1).

    m_i is the largest |entry| of row i. Rows sorted, no duplicates; a missing entry counts as 0.
    """
    found = np.empty((-(-(indptr.size - 1) // CHUNK), 3), dtype=np.int64)
    run = _asymmetries_parallel if _many(indices) else _asymmetries
    # Where each entry right of the diagonal has its partner and none is left over, all have one.
    run(indptr, indices, values, tolerance, False, found)
    if found[:, 2].sum() != 0 or (found[:, 0] >= 0).any():
        run(indptr, indices, values, tolerance, True, found)
    places = found[found[:, 0] >= 0]
    return (int(places[0, 0]), int(places[0, 1])) if len(places) else (-1, -1)


def _many(entries: Any) -> bool:
    """Whether there are as many as `PARALLEL_ROWS` rows of a five-point matrix have."""
    return bool(entries.size >= 5 * PARALLEL_ROWS)


def _unsigned(indptr: Indices, indices: Indices) -> tuple[Indices, Indices, Indices]:
    # Signed indices make numba test each for wrap-around, and the product 2.6 times slower. Starts
    # and ends come apart: unsigned + signed literal would be a float in numba.
    pointers = indptr.view(np.uint32 if indptr.dtype.itemsize == 4 else np.uint64)
    columns = indices.view(np.uint32 if indices.dtype.itemsize == 4 else np.uint64)
    return pointers[:-1], pointers[1:], columns


@njit(inline="always")
def _row(first: Any, last: Any, columns: Any, values: Any, x: Any) -> Any:  # pragma: no cover
    total = 0.0
    for k in range(first, last):
        total += values[k] * x[columns[k]]
    return total


@njit(cache=True, nogil=True)
def _multiply(first: Any, last: Any, columns: Any, values: Any, x: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = _row(first[i], last[i], columns, values, x)


@njit(cache=True, nogil=True, parallel=True)
def _multiply_parallel(first: Any, last: Any, columns: Any, values: Any, x: Any, out: Any) -> None:
    for i in prange(out.size):
        out[i] = _row(first[i], last[i], columns, values, x)


@njit(inline="always")
def _row_columns(first: Any, last: Any, columns: Any, values: Any, x: Any, out: Any) -> None:
    for j in range(out.size):
        out[j] = 0.0
    for k in range(first, last):
        value, source = values[k], columns[k]
        for j in range(out.size):
            out[j] += value * x[source, j]


@njit(cache=True, nogil=True)
def _multiply_columns(first: Any, last: Any, columns: Any, values: Any, x: Any, out: Any) -> None:
    for i in range(out.shape[0]):
        _row_columns(first[i], last[i], columns, values, x, out[i])


@njit(cache=True, nogil=True, parallel=True)
def _multiply_columns_parallel(
    first: Any, last: Any, columns: Any, values: Any, x: Any, out: Any
) -> None:
    for i in prange(out.shape[0]):
        _row_columns(first[i], last[i], columns, values, x, out[i])


@njit(inline="always")
def _size(indptr: Any, values: Any, i: Any, largest: Any, total: Any) -> None:
    top = 0.0
    sum_ = 0.0
    for k in range(indptr[i], indptr[i + 1]):
        size = abs(values[k])
        sum_ += size
        top = max(top, size)
    largest[i] = top
    total[i] = sum_


@njit(cache=True, nogil=True)
def _sizes(indptr: Any, values: Any, largest: Any, total: Any) -> None:
    for i in range(largest.size):
        _size(indptr, values, i, largest, total)


@njit(cache=True, nogil=True, parallel=True)
def _sizes_parallel(indptr: Any, values: Any, largest: Any, total: Any) -> None:
    for i in prange(largest.size):
        _size(indptr, values, i, largest, total)


@njit(cache=True, nogil=True)
def _scaled_sizes(
    indptr: Any,
    indices: Any,
    values: Any,
    rows: Any,
    columns: Any,
    largest: Any,
    total: Any,
    across: Any,
) -> None:
    for i in range(rows.size):
        top = 0.0
        sum_ = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            size = abs(values[k]) / rows[i] / columns[j]
            sum_ += size
            top = max(top, size)
            across[j] = max(across[j], size)
        largest[i] = top
        total[i] = sum_


@njit(inline="always")
def _largest(indptr: Any, values: Any, i: Any) -> Any:
    top = 0.0
    for k in range(indptr[i], indptr[i + 1]):
        top = max(top, abs(values[k]))
    return top


@njit(inline="always")
def place_of(indptr: Any, indices: Any, i: Any, j: Any) -> Any:
    """Return the place of entry (i, j), or of the first one behind it in row i."""
    low, high = indptr[i], indptr[i + 1]
    while low < high:
        middle = (low + high) // 2
        if indices[middle] < j:
            low = middle + 1
        else:
            high = middle
    return low


@njit(inline="always")
def _unmatched(indptr: Any, indices: Any, values: Any, tolerance: Any, both: Any, i: Any) -> Any:
    """Return the first column j of row i with a_ji too far from a_ij, or −1; and a surplus.

    The surplus counts stored entries left of the diagonal, less the partners found of those right
    of it. Unless ``both``, only the latter are looked at.
    """
    surplus = 0
    # Unsigned places: of signed ones numba asks each time whether they count from the end.
    for k in range(indptr[np.uint64(i)], indptr[np.uint64(i) + np.uint64(1)]):
        j = indices[np.uint64(k)]
        if j < i:
            surplus += 1
        if j == i or (j < i and not both):
            continue
        first, last = indptr[np.uint64(j)], indptr[np.uint64(j) + np.uint64(1)]
        # Rows often mirror each other, as on grids; elsewhere the partner is searched for.
        place = indptr[np.uint64(i)] + last - 1 - k
        if not first <= place < last or indices[np.uint64(place)] != i:
            place = place_of(indptr, indices, j, i)
        partner = 0.0
        if place < last and indices[np.uint64(place)] == i:
            partner = values[np.uint64(place)]
            if j > i:
                surplus -= 1
        own = values[np.uint64(k)]
        off, least = abs(own - partner), min(abs(own), abs(partner))
        # The two are no larger than the largest of their rows: mostly that is enough.
        if off > tolerance * least and off > tolerance * min(
            _largest(indptr, values, i), _largest(indptr, values, j)
        ):
            return j, surplus
    return -1, surplus


@njit(cache=True, nogil=True)
def _asymmetries_of(
    indptr: Any, indices: Any, values: Any, tolerance: float, both: bool, chunk: int, found: Any
) -> None:
    """found[chunk] = the first row of a chunk that is not like its column, that column, surplus."""
    row, column, surplus = -1, -1, 0
    for i in range(chunk * CHUNK, min((chunk + 1) * CHUNK, indptr.size - 1)):
        j, more = _unmatched(indptr, indices, values, tolerance, both, i)
        surplus += more
        if j >= 0 and row < 0:
            row, column = i, j
    found[chunk, 0], found[chunk, 1], found[chunk, 2] = row, column, surplus


@njit(cache=True, nogil=True)
def _asymmetries(
    indptr: Any, indices: Any, values: Any, tolerance: float, both: bool, found: Any
) -> None:
    for chunk in range(found.shape[0]):
        _asymmetries_of(indptr, indices, values, tolerance, both, chunk, found)


@njit(cache=True, nogil=True, parallel=True)
def _asymmetries_parallel(
    indptr: Any, indices: Any, values: Any, tolerance: float, both: bool, found: Any
) -> None:
    for chunk in prange(found.shape[0]):
        _asymmetries_of(indptr, indices, values, tolerance, both, chunk, found)


def diagonal(indptr: Indices, indices: Indices, values: Floats) -> Floats:
    """Return the main diagonal of a square matrix; rows sorted, no duplicates."""
    out = np.empty(indptr.size - 1)
    run = _diagonal_parallel if out.size >= PARALLEL_ROWS else _diagonal
    run(indptr, indices, values, out)
    return out


@njit(inline="always")
def _entry(indptr: Any, indices: Any, values: Any, i: Any) -> Any:
    place = place_of(indptr, indices, i, i)
    return values[place] if place < indptr[i + 1] and indices[place] == i else 0.0


@njit(cache=True, nogil=True)
def _diagonal(indptr: Any, indices: Any, values: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = _entry(indptr, indices, values, i)


@njit(cache=True, nogil=True, parallel=True)
def _diagonal_parallel(indptr: Any, indices: Any, values: Any, out: Any) -> None:
    for i in prange(out.size):
        out[i] = _entry(indptr, indices, values, i)


def upper_triangle(
    indptr: NDArray[Any], indices: NDArray[Any], data: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.float64]]:
    """Return the CSR arrays of the upper triangle with every diagonal entry stored, also zeros.

    Of rows with sorted indices; serial: two passes over the entries.
    """
    start = np.empty(indptr.size, dtype=np.int64)
    _count_upper(indptr, indices, start)
    columns = np.empty(start[-1], dtype=indices.dtype)
    values = np.empty(start[-1])
    _fill_upper(indptr, indices, data, start, columns, values)
    return start, columns, values


@njit(cache=True, nogil=True)
def _count_upper(indptr, indices, start):  # type: ignore[no-untyped-def]
    start[0] = 0
    for row in range(indptr.size - 1):
        count = 1
        for place in range(indptr[row], indptr[row + 1]):
            if indices[place] > row:
                count += 1
        start[row + 1] = start[row] + count


@njit(cache=True, nogil=True)
def _fill_upper(indptr, indices, data, start, columns, values):  # type: ignore[no-untyped-def]
    for row in range(indptr.size - 1):
        to = start[row]
        columns[to] = row
        values[to] = 0.0
        for place in range(indptr[row], indptr[row + 1]):
            if indices[place] == row:
                values[start[row]] = data[place]
            elif indices[place] > row:
                to += 1
                columns[to] = indices[place]
                values[to] = data[place]


@njit(cache=True, nogil=True)
def bandwidths(indptr: Any, indices: Any) -> tuple[int, int]:
    """Return how far the entries reach to the left and to the right of the diagonal, at most.

    Of rows with sorted indices.
    """
    lower, upper = 0, 0
    for i in range(indptr.size - 1):
        if indptr[i] < indptr[i + 1]:
            lower = max(lower, i - np.int64(indices[indptr[i]]))  # type: ignore[assignment]
            upper = max(upper, np.int64(indices[indptr[i + 1] - 1]) - i)  # type: ignore[assignment]
    return lower, upper


@njit(cache=True, nogil=True)
def fill_bands(indptr: Any, indices: Any, values: Any, main: int, out: Any) -> None:
    """out[j, main + i − j] = a_ij where that lies inside; out (n, bands), zero before."""
    for i in range(indptr.size - 1):
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            place = main + i - j
            if 0 <= place < out.shape[1]:
                out[j, place] = values[k]
