"""Linear lifts of local unknowns: r = F y_loc of every element, its transpose, and by filters.

Two forms. Lists: ``places[e, i]`` is where unknown i of element e stands. Lines: elements stand in
lines of ``width``; unknown i of element t of line n is number pixels[n] + shifts[i] + t.
"""

from typing import Any

import numpy as np
from numba import njit

TILE = 256  # elements whose responses are summed at once, in registers and the first cache


@njit(cache=True, nogil=True)
def lift_lines(
    first: int, last: int, filters: Any, u: Any, pixels: Any, shifts: Any, width: int, out: Any
) -> None:
    """out[r, n width + t] = Σ_i F[r, i] u[pixels[n] + shifts[i] + t] of lines first … last − 1."""
    for n in range(first, last):
        for begin in range(0, width, TILE):
            size = min(TILE, width - begin)
            for r in range(filters.shape[0]):
                line = out[r, n * width + begin : n * width + begin + size]
                line[:] = 0.0
                for i in range(shifts.size):
                    at = pixels[n] + shifts[i] + begin
                    source = u[at : at + size]
                    f = filters[r, i]
                    for t in range(size):
                        line[t] += f * source[t]


@njit(cache=True, nogil=True)
def lower_lines(
    first: int, last: int, filters: Any, q: Any, pixels: Any, shifts: Any, width: int, out: Any
) -> None:
    """out[pixels[n] + shifts[i] + t] += Σ_r F[r, i] q[r, n width + t]; see `lift_lines`.

    One after another: lines of elements share unknowns.
    """
    for n in range(first, last):
        for i in range(shifts.size):
            at = pixels[n] + shifts[i]
            target = out[at : at + width]
            for r in range(filters.shape[0]):
                line = q[r, n * width : (n + 1) * width]
                f = filters[r, i]
                for t in range(width):
                    target[t] += f * line[t]


@njit(cache=True, nogil=True)
def outer_lines(
    first: int, last: int, q: Any, u: Any, pixels: Any, shifts: Any, width: int, out: Any
) -> None:
    """out[n, r, i] = Σ_t q[r, n width + t] u[pixels[n] + shifts[i] + t]; see `lift_lines`."""
    for n in range(first, last):
        for r in range(q.shape[0]):
            line = q[r, n * width : (n + 1) * width]
            for i in range(shifts.size):
                at = pixels[n] + shifts[i]
                source = u[at : at + width]
                total = 0.0
                for t in range(width):
                    total += line[t] * source[t]
                out[n, r, i] = total


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
