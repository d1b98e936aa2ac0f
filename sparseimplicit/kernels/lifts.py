"""Linear lifts of local unknowns: r = F y_loc of every element, its transpose, and by filters.

Two forms. Lists: ``places[e, i]`` is where unknown i of element e stands. Lines: elements stand in
lines of ``width``; unknown i of element t of line n is number pixels[n] + shifts[i] + t of the
state u. Lines are computed by tiles, which read up to `SLACK` numbers beyond their end: u and q
have as many behind them. Arrays u and q are flat here.
"""

from typing import Any, Final

import numpy as np
from numba import njit

from .tiles import TALL, WIDE, add_tall, add_wide

TILE = 256  # elements of a list whose responses are summed apart
SLACK: Final = 24
STRIP: Final = 72  # columns of an image that are worked on down some lines: they stay in the cache
LANES: Final = WIDE[1]


@njit(cache=True, nogil=True)
def lift_lines(
    first: int, last: int, pairs: Any, u: Any, pixels: Any, shifts: Any, width: int, out: Any
) -> None:
    """out[r, n width + t] = Σ_i F[r, i] u[pixels[n] + shifts[i] + t] of lines first … last − 1.

    pairs[p, i] = F[2p, i], F[2p + 1, i], (⌈R/2⌉, k, 2).
    """
    rows, elements = out.shape
    c, flat, taps = pairs.reshape(-1), out.reshape(-1), shifts.size
    room = np.empty(2 * LANES)
    for n in range(first, last):
        for begin in range(0, width, LANES):
            size, base = min(LANES, width - begin), pixels[n] + begin
            for p in range(pairs.shape[0]):
                at, to = 2 * taps * p, 2 * p * elements + n * width + begin
                if size == LANES and 2 * p + 1 < rows:
                    flat[to : to + LANES] = 0.0
                    flat[to + elements : to + elements + LANES] = 0.0
                    add_wide(c, at, 2, 1, shifts, taps, u, base, flat, to, elements)
                else:
                    room[:] = 0.0
                    add_wide(c, at, 2, 1, shifts, taps, u, base, room, 0, LANES)
                    for r in range(min(2, rows - 2 * p)):
                        for j in range(size):
                            flat[to + r * elements + j] = room[r * LANES + j]


@njit(cache=True, nogil=True)
def lower_lines(
    first: int, last: int, tall: int, c: Any, starts: Any, places: Any, lines: Any, q: Any,
    width: int, edges: Any, at_edge: Any, edge_of: Any, row: int, out: Any,
) -> None:  # fmt: skip
    """Add Σ_r F[r, i] q[r, n width + t] to the unknowns, see `lift_lines`, by their own lines.

    Blocks first … last − 1 of ``tall`` pairs of lines of ``row`` unknowns, in tiles along them.
    Pair L, L + 1 reads the lines of elements n = lines[L / 2, d], unless that is −1: by all
    responses and taps from starts[d] to starts[d + 1] − 1, c[t] = F of line L, F of line L + 1,
    q[n width + j + places[t]] for unknown j of the line. Where that is not on line n, tile number
    b = edge_of[tile] ≥ 0 has its numbers in edges[b, …], with zeros beyond the ends, and reads
    edges[b, n, at_edge[t] + lane]. Unknowns belong to one block: no two threads write to the same.
    """
    flat, margins = c.reshape(-1), edges.reshape(-1)
    total = out.size // row
    room = np.empty(2 * LANES)
    for block in range(first, last):
        ends = min((block + 1) * tall, lines.shape[0])
        for strip in range(0, row, STRIP):
            for pair in range(block * tall, ends):
                for begin in range(strip, min(strip + STRIP, row), LANES):
                    room[:] = 0.0
                    edge = edge_of[begin // LANES]
                    for d in range(lines.shape[1]):
                        n, s, e = lines[pair, d], starts[d], starts[d + 1]
                        if n < 0:
                            continue
                        if edge < 0:
                            add_wide(flat, 2 * s, 2, 1, places[s:e], e - s, q, n * width + begin,
                                     room, 0, LANES)  # fmt: skip
                        else:
                            add_wide(flat, 2 * s, 2, 1, at_edge[s:e], e - s, margins,
                                     (edge * edges.shape[1] + n) * edges.shape[2], room, 0,
                                     LANES)  # fmt: skip
                    for r in range(min(2, total - 2 * pair)):
                        to = (2 * pair + r) * row + begin
                        for j in range(min(LANES, row - begin)):
                            out[to + j] += room[r * LANES + j]


@njit(cache=True, nogil=True)
def outer_lines(
    first: int, last: int, q: Any, elements: int, u: Any, pixels: Any, shifts: Any, runs: Any,
    ordered: Any, width: int, group: int, out: Any,
) -> None:  # fmt: skip
    """out[c, r, i] += Σ_t q[r, n width + t] u[pixels[n] + shifts[i] + t] of ``group`` lines n each.

    Groups first … last − 1. Taps runs[g] … runs[g + 1] − 1, 8 at most, follow one another. ordered
    is 0, 1, 2, …; q has 6 rows of ``elements`` or more, the last ones possibly beyond those of out.
    """
    rows, lanes = TALL
    responses = out.shape[1]
    room = np.empty(rows * lanes)
    for c in range(first, last):
        for n in range(c * group, min((c + 1) * group, pixels.size)):
            for r in range(0, responses, rows):
                # The last rows again, where too few are left: what is there already is not added.
                top = min(r, max(responses - rows, 0))
                for g in range(runs.size - 1):
                    i = runs[g]
                    room[:] = 0.0
                    add_tall(q, top * elements + n * width, 1, elements, ordered, width, u,
                             pixels[n] + shifts[i], room, 0, lanes)  # fmt: skip
                    for s in range(r, min(r + rows, responses)):
                        for j in range(runs[g + 1] - i):
                            out[c, s, i + j] += room[(s - top) * lanes + j]


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
