"""Lines of a grid in tiles: what generated kernels of grid terms read, clear and write.

A tile holds ``size`` numbers of a line from column ``left`` on, also columns off the grid.
"""

from typing import Any


from numba import njit


@njit(cache=True, nogil=True)
def stage(source: Any, begin: int, width: int, left: int, out: Any) -> None:
    """out[t] = source[begin + left + t] on the grid, columns 0 … width − 1; else 0."""
    size = out.size
    low, high = min(max(0, -left), size), max(0, min(size, width - left))
    for t in range(low):
        out[t] = 0.0
    if high > low:
        line = source[begin + left + low : begin + left + high]
        part = out[low:high]
        for t in range(part.size):
            part[t] = line[t]
    for t in range(max(low, high), size):
        out[t] = 0.0


@njit(cache=True, nogil=True)
def stage_data(c: Any, i: int, element: int, low: int, high: int, out: Any) -> None:
    """out[t] = c[element + t, i] for low ≤ t < high; else 0. ``element`` is that of t = 0."""
    out[:] = 0.0
    if high > low:
        rows = c[element + low : element + high]
        part = out[low:high]
        for t in range(part.size):
            part[t] = rows[t, i]


@njit(cache=True, nogil=True)
def stage_indexed(
    source: Any, places: Any, i: int, element: int, low: int, high: int, out: Any
) -> None:
    """out[t] = source[places[element + t, i]] for low ≤ t < high; else 0."""
    out[:] = 0.0
    for t in range(low, high):
        out[t] = source[places[element + t, i]]


@njit(cache=True, nogil=True)
def clear(out: Any, count: int, size: int, low: int, high: int) -> None:
    """Set out[m size + t] = 0 for each m < count and each t that is not in low … high − 1."""
    for m in range(count):
        for t in range(low):
            out[m * size + t] = 0.0
        for t in range(max(low, high), size):
            out[m * size + t] = 0.0


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
def fill_columns(begin: int, row: int, count: int, shifts: Any, out: Any) -> None:
    """Fill the columns of ``count`` rows from ``row`` on, each row + shift for each shift."""
    k = begin
    for i in range(row, row + count):
        for s in range(shifts.size):
            out[k] = i + shifts[s]
            k += 1


@njit(cache=True, nogil=True)
def fill_all_columns(begins: Any, rows: Any, count: int, shifts: Any, out: Any) -> None:
    """Run `fill_columns` for each line; a negative begin leaves a line out."""
    for line in range(begins.size):
        if begins[line] >= 0:
            fill_columns(begins[line], rows[line], count, shifts, out)
