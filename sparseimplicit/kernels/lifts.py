"""Linear lifts of local unknowns: r = F y_loc of every element, its transpose, and by filters.

Two forms. Lists: ``places[e, i]`` is where unknown i of element e stands. Lines: elements stand in
lines of ``width``; unknown i of element t of line n is number pixels[n] + shifts[i] + t. ``runs``
are the bounds of taps whose shifts follow one another: a row of a filter.
"""

from typing import Any

import numpy as np
from numba import njit

from .taps import add_row, dot_row

TILE = 256  # elements whose responses are summed at once, in registers and the first cache


@njit(cache=True, nogil=True)
def lift_lines(
    first: int, last: int, filters: Any, u: Any, pixels: Any, shifts: Any, runs: Any, width: int,
    out: Any,
) -> None:  # fmt: skip
    """out[r, n width + t] = Σ_i F[r, i] u[pixels[n] + shifts[i] + t] of lines first … last − 1."""
    for n in range(first, last):
        for begin in range(0, width, TILE):
            size = min(TILE, width - begin)
            for r in range(filters.shape[0]):
                line = out[r, n * width + begin : n * width + begin + size]
                line[:] = 0.0
                for g in range(runs.size - 1):
                    i = runs[g]
                    add_row(line, u[pixels[n] + shifts[i] + begin :], filters[r, i : runs[g + 1]])


@njit(cache=True, nogil=True)
def lower_lines(
    first: int, last: int, flipped: Any, q: Any, tall: int, row: int, slots: Any, columns: Any,
    starts: Any, needed: Any, runs: Any, width: int, reach: int, out: Any,
) -> None:  # fmt: skip
    """Add Σ_r F[r, i] q[r, n width + t] to the unknowns, see `lift_lines`, by their own lines.

    Tiles first … last − 1 of ``tall`` lines of ``row`` unknowns. Tile k reads the lines of elements
    needed[starts[k]] … needed[starts[k + 1] − 1]; slots[L, g] is which of them run g brings to line
    L, from columns[g] on, −1 for none. flipped has each run of a filter backwards; reach is the
    longest run − 1. Unknowns belong to one tile: no two threads write to the same.
    """
    most = 0
    for k in range(first, last):
        most = max(most, starts[k + 1] - starts[k])
    room = np.zeros((most, width + 2 * reach))  # lines of q, with zeros around
    for k in range(first, last):
        lines = range(k * tall, min((k + 1) * tall, slots.shape[0]))
        for r in range(q.shape[0]):
            for s in range(starts[k], starts[k + 1]):
                n = needed[s]
                source = q[r, n * width : (n + 1) * width]
                room[s - starts[k], reach : reach + width] = source
            for line in lines:
                target = out[line * row : (line + 1) * row]
                for g in range(columns.size):
                    slot = slots[line, g]
                    if slot >= 0:
                        more = runs[g + 1] - runs[g] - 1
                        add_row(
                            target[columns[g] : columns[g] + width + more],
                            room[slot, reach - more :],
                            flipped[r, runs[g] : runs[g + 1]],
                        )


@njit(cache=True, nogil=True)
def outer_lines(
    first: int, last: int, q: Any, u: Any, pixels: Any, shifts: Any, runs: Any, width: int,
    group: int, out: Any,
) -> None:  # fmt: skip
    """out[c, r, i] += Σ_t q[r, n width + t] u[pixels[n] + shifts[i] + t] of ``group`` lines n each.

    Groups first … last − 1; see `lift_lines`.
    """
    for c in range(first, last):
        for n in range(c * group, min((c + 1) * group, pixels.size)):
            for begin in range(0, width, TILE):
                size = min(TILE, width - begin)
                for r in range(q.shape[0]):
                    line = q[r, n * width + begin : n * width + begin + size]
                    for g in range(runs.size - 1):
                        i = runs[g]
                        source = u[pixels[n] + shifts[i] + begin :]
                        dot_row(line, source, out[c, r, i : runs[g + 1]])


@njit(cache=True, nogil=True)
def lift_list(first: int, last: int, filters: Any, u: Any, places: Any, out: Any) -> None:
    """out[r, e] = Σ_i F[r, i] u[places[e, i]]."""
    for e in range(first, last):
        for r in range(filters.shape[0]):
            total = 0.0
            for i in range(places.shape[1]):
                total += filters[r, i] * u[places[e, i]]
            out[r, e] = total


@njit(cache=True, nogil=True)
def lower_list(filters: Any, q: Any, places: Any, out: Any) -> None:
    """out[places[e, i]] += Σ_r F[r, i] q[r, e]."""
    for e in range(places.shape[0]):
        for i in range(places.shape[1]):
            total = 0.0
            for r in range(filters.shape[0]):
                total += filters[r, i] * q[r, e]
            out[places[e, i]] += total


@njit(cache=True, nogil=True)
def outer_list(q: Any, u: Any, places: Any, out: Any) -> None:
    """out[e // TILE, r, i] += q[r, e] u[places[e, i]]."""
    for e in range(places.shape[0]):
        for r in range(q.shape[0]):
            for i in range(places.shape[1]):
                out[e // TILE, r, i] += q[r, e] * u[places[e, i]]


@njit(cache=True, nogil=True)
def add_curvature(
    filters: Any, h: Any, first: Any, second: Any, places: Any, indptr: Any, indices: Any, out: Any
) -> None:
    """Add Fᵀ H_e F of every element to the entries of a sparse matrix that has all its places.

    H_e[first[a], second[a]] = h[a, e].
    """
    k = places.shape[1]
    half = np.empty((filters.shape[0], k))
    for e in range(places.shape[0]):
        half[:] = 0.0
        for a in range(first.size):
            for j in range(k):
                half[first[a], j] += h[a, e] * filters[second[a], j]
        for i in range(k):
            row = places[e, i]
            for j in range(k):
                total = 0.0
                for r in range(filters.shape[0]):
                    total += filters[r, i] * half[r, j]
                low, high = indptr[row], indptr[row + 1]
                while low < high:
                    middle = (low + high) // 2
                    if indices[middle] < places[e, j]:
                        low = middle + 1
                    else:
                        high = middle
                out[low] += total
