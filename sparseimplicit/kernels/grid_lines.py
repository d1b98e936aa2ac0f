"""Lines of a grid in tiles: what generated kernels of grid terms read, clear and write.

A tile holds ``size`` numbers of a line from column ``left`` on, also columns off the grid; it
stands in ``out`` from ``at`` on.
"""

from typing import Any

from numba import njit


@njit(cache=True, nogil=True)
def stage(
    source: Any, places: Any, n: int, el: int, lines: int, width: int, left: int, out: Any, at: int,
    size: int,
) -> None:  # fmt: skip
    """Copy a tile of line el + places[n, 1] of the grid at source[places[n, 0]]; 0 off the grid."""
    line = el + places[n, 1]
    low, high = min(max(0, -left), size), max(0, min(size, width - left))
    if line < 0 or line >= lines or high <= low:
        low, high = size, size
    tile = out[at : at + size]
    tile[:low] = 0.0
    tile[high:] = 0.0
    if high > low:
        begin = places[n, 0] + line * width + left
        tile[low:high] = source[begin + low : begin + high]


@njit(cache=True, nogil=True)
def stage_data(
    c: Any, i: int, element: int, low: int, high: int, out: Any, at: int, size: int
) -> None:
    """Copy c[element + t, i] for low ≤ t < high, else 0; ``element`` is that of t = 0."""
    out[at : at + size] = 0.0
    for t in range(low, high):
        out[at + t] = c[element + t, i]


@njit(cache=True, nogil=True)
def stage_indexed(
    source: Any,
    places: Any,
    i: int,
    element: int,
    low: int,
    high: int,
    out: Any,
    at: int,
    size: int,
) -> None:
    """Copy source[places[element + t, i]] for low ≤ t < high, else 0."""
    out[at : at + size] = 0.0
    for t in range(low, high):
        out[at + t] = source[places[element + t, i]]


@njit(cache=True, nogil=True)
def within(boxes: Any, n: int, left: int, size: int) -> tuple[int, int]:
    """Return the part of a tile that lies in columns boxes[n, 0] … boxes[n, 1] − 1."""
    low = min(max(boxes[n, 0] - left, 0), size)
    return low, max(min(boxes[n, 1] - left, size), low)


@njit(cache=True, nogil=True)
def clear(out: Any, first: int, count: int, size: int, low: int, high: int) -> None:
    """Set tiles first … first + count − 1 to 0 but for their part low … high − 1."""
    for m in range(first, first + count):
        out[m * size : m * size + low] = 0.0
        out[m * size + high : (m + 1) * size] = 0.0


@njit(cache=True, nogil=True)
def put_irregular(
    sums: Any, tile: int, j0: int, first: int, last: int, columns: Any, bounds: Any, table: Any,
    out: Any,
) -> None:  # fmt: skip
    """Write the sums of the rows first … last − 1 that have not all neighbours, by their tables.

    sums[s tile + t] is slot s of column j0 + t; out[bounds[q, 0] : bounds[q, 1]] is row q.
    """
    for q in range(first, last):
        t = columns[q] - j0
        if 0 <= t < tile:
            out[bounds[q, 0] : bounds[q, 1]] = 0.0
            for s in range(table.shape[1]):
                k = table[q, s]
                if k >= 0:
                    out[k] = sums[s * tile + t]


@njit(cache=True, nogil=True)
def fill_columns(begins: Any, rows: Any, count: int, shifts: Any, out: Any) -> None:
    """Fill the columns of ``count`` rows of each line from rows[line] on: row + each shift.

    A line whose begin is negative is left out.
    """
    for line in range(begins.size):
        k = begins[line]
        if k >= 0:
            for i in range(rows[line], rows[line] + count):
                for s in range(shifts.size):
                    out[k] = i + shifts[s]
                    k += 1
