"""Lines of a grid in tiles: what kernels of grid terms read, clear and write.

A tile holds ``size`` numbers of a line from column ``left`` on, also columns off the grid; it
stands in ``out`` from ``at`` on. What is read is an array or a pointer. Loops in place of slices
that are assigned: numba compiles these for seconds.
"""

from typing import Any, Final

from numba import njit

ABSENT: Final = -(2**62)  # the first element of a line that has none


@njit(cache=True, nogil=True)
def stage(
    source: Any, base: int, line: int, lines: int, width: int, left: int, out: Any, at: int,
    size: int,
) -> None:  # fmt: skip
    """Copy a tile of a line of the grid at source[base]; 0 off the grid."""
    low, high = min(max(0, -left), size), max(0, min(size, width - left))
    if line < 0 or line >= lines or high <= low:
        low, high = size, size
    begin = base + line * width + left
    tile = out[at : at + size]
    for t in range(low):
        tile[t] = 0.0
    for t in range(low, high):
        tile[t] = source[begin + t]
    for t in range(high, size):
        tile[t] = 0.0


@njit(cache=True, nogil=True)
def stage_data(
    c: Any, k: int, i: int, element: int, low: int, high: int, out: Any, at: int, size: int
) -> None:
    """Copy c[(element + t) k + i] for low ≤ t < high, else 0; ``element`` is that of t = 0."""
    tile = out[at : at + size]
    for t in range(size):
        tile[t] = 0.0
    for t in range(low, high):
        tile[t] = c[(element + t) * k + i]


@njit(cache=True, nogil=True)
def stage_indexed(
    source: Any, places: Any, k: int, i: int, element: int, low: int, high: int, out: Any,
    at: int, size: int,
) -> None:  # fmt: skip
    """Copy source[places[(element + t) k + i]] for low ≤ t < high, else 0."""
    tile = out[at : at + size]
    for t in range(size):
        tile[t] = 0.0
    for t in range(low, high):
        tile[t] = source[places[(element + t) * k + i]]


@njit(cache=True, nogil=True)
def within(first: int, last: int, left: int, size: int) -> tuple[int, int]:
    """Return the part of a tile that lies in columns first … last − 1."""
    low = min(max(first - left, 0), size)
    return low, max(min(last - left, size), low)


@njit(cache=True, nogil=True)
def clear(out: Any, first: int, count: int, size: int, low: int, high: int) -> None:
    """Set tiles first … first + count − 1 to 0 but for their part low … high − 1."""
    for m in range(first, first + count):
        for t in range(m * size, m * size + low):
            out[t] = 0.0
        for t in range(m * size + high, (m + 1) * size):
            out[t] = 0.0


@njit(cache=True, nogil=True)
def put_irregular(
    sums: Any, slots: int, tile: int, j0: int, first: int, last: int, columns: Any, bounds: Any,
    table: Any, begin: int, out: Any,
) -> None:  # fmt: skip
    """Write the sums of the rows first … last − 1 that have not all neighbours, by their tables.

    sums[s tile + t] is slot s of column j0 + t; out[bounds[q, 0] : bounds[q, 1]] is row q, whose
    slots have their places in ``table`` from begin + q slots on.
    """
    for q in range(first, last):
        t = columns[q] - j0
        if 0 <= t < tile:
            for k in range(bounds[q, 0], bounds[q, 1]):
                out[k] = 0.0
            for s in range(slots):
                k = table[begin + q * slots + s]
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
