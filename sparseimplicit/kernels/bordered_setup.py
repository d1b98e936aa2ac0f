"""Setting up transfers and coarse stencils on grids with borders on all sides, by vectors.

The same as in `transfers`, with the same tables, sorted; but nothing is counted round a border:
what would reach beyond one has a coefficient or weight of 0. Arrays are flat inside.
"""

from typing import Any, Final

import numpy as np
from numba import njit, prange

from .lanes import LANES
from .transfers import ROUNDING
from .vectorized import (
    larger,
    load,
    load_even,
    load_like,
    minus,
    nothing,
    plus,
    product,
    ratio,
    store,
    where_above,
)

# Points from which on threads share the work: of each there is ten times that of a product's row.
PARALLEL_POINTS: Final = 20_000
# What a term is in a row: outside the grid, with a weight of 1, or with one that is stored.
NONE: Final = 0
ONE: Final = 1
WEIGHTED: Final = 2


def interpolate(
    coefficients: Any,
    shape: Any,
    coarse: Any,
    steps: Any,
    odd: Any,
    reach: Any,
    parts: Any,
    weights: Any,
) -> None:
    """Set the weights of the fine points that are odd along the axes ``odd``, as `transfers`."""
    run = _interpolate_parallel if coefficients.shape[1] >= PARALLEL_POINTS else _interpolate
    c, w = coefficients.reshape(-1), weights.reshape(-1)
    run(c, shape, coarse, steps, odd, reach, parts, weights.shape[1], w)


def coarsen(
    coefficients: Any,
    weights: Any,
    shape: Any,
    coarse: Any,
    steps: Any,
    spread: Any,
    gather: Any,
    places: int,
    out: Any,
) -> None:
    """out (K', coarse points) = the stencil of Pᵀ A P; tables as in `transfers`, sorted."""
    run = _coarsen_parallel if coefficients.shape[1] >= PARALLEL_POINTS else _coarsen
    c, w, flat = coefficients.reshape(-1), weights.reshape(-1), out.reshape(-1)
    run(c, w, weights.shape[1], shape, coarse, steps, spread, gather, places, flat)


@njit(inline="always")
def _start(shape, z, y):  # type: ignore[no-untyped-def]
    """Return the number of the first point of a row, −1 where the grid has none."""
    inside = 0 <= z < shape[0] and 0 <= y < shape[1]
    return (z * shape[1] + y) * shape[2] if inside else -1


@njit(inline="always")
def _sum_up(c, z, y, along, shape, step, reach, inner, sums):  # type: ignore[no-untyped-def]
    """sums[p LANES:] = what couples points with their neighbours in each pattern p.

    Of 16 points where ``inner``, or of one; ``along`` is where the first stands in its row.
    """
    sums[:] = 0.0
    for e in range(reach.shape[0]):
        start = _start(shape, z + reach[e, 1], y + reach[e, 2])
        beside, to = along + reach[e, 3], reach[e, 4] * LANES
        at = reach[e, 0] * (shape[0] * shape[1] * shape[2]) + start + beside
        if start >= 0 and inner:
            some = load_even(c, at) if step == 2 else load(c, at)
            store(plus(load(sums, to), some), sums, to)
        elif start >= 0 and 0 <= beside < shape[2]:
            sums[to] += c[at]


@njit(inline="always")
def _average(z, y, along, i, coarse, steps, parts, count, inner, sums, center, w):  # type: ignore[no-untyped-def]
    """Set the weights of 16 points where ``inner``, or of one; of each weight the parts lie
    together.
    """
    t, n = 0, coarse[2]
    while t < parts.shape[0]:
        weight = parts[t, 1]
        up, over = (z + parts[t, 2]) >> (steps[0] - 1), (y + parts[t, 3]) >> (steps[1] - 1)
        start = _start(coarse, up, over) * count
        at = i + ((along + parts[t, 4]) >> (steps[2] - 1))
        total, one = nothing(sums), 0.0
        while t < parts.shape[0] and parts[t, 1] == weight:
            average, by = parts[t, 0] * LANES, start + parts[t, 5] * n + at
            if start >= 0 and inner:
                some = product(load(sums, average), load(center, 0))
                total = plus(
                    total, some if parts[t, 5] < 0 else product(some, load_like(w, by, sums))
                )
            elif start >= 0 and at < n:
                one += sums[average] * center[0] * (1.0 if parts[t, 5] < 0 else w[by])
            t += 1
        if start >= 0 and inner:
            store(total, w, start + weight * n + at)
        elif start >= 0 and at < n:
            w[start + weight * n + at] = one


@njit(inline="always")
def _lump(sums, diagonal, center):  # type: ignore[no-untyped-def]
    """Do as `transfers.lumped` with 16 points; center[LANES:] holds what is called rounding."""
    zero, total = nothing(sums), load(sums, 0)
    others = zero
    for to in range(LANES, sums.size, LANES):
        found = load(sums, to)
        positive = larger(found, zero)
        total, found = plus(total, positive), minus(found, positive)
        others = minus(others, found)
        store(found, sums, to)
    least = product(load(center, LANES), load(diagonal, 0))
    total = where_above(total, least, total, others)  # a sum of zero is meant
    total = where_above(total, least, total, load(diagonal, 0))
    store(ratio(load(center, 2 * LANES), total), center, 0)


@njit(cache=True, nogil=True)
def _interpolate_row(c, shape, coarse, steps, odd, reach, parts, count, row, room, w):  # type: ignore[no-untyped-def]
    """Work on a row of points; room: see `_room`; ``count`` weights a point."""
    z = steps[0] * (row // coarse[1]) + odd[0]
    y = steps[1] * (row % coarse[1]) + odd[1]
    here = _start(shape, z, y)
    if here < 0:
        return
    step, points = steps[2], (shape[2] - 1 - odd[2]) // steps[2] + 1
    center, diagonal, sums = room[: 3 * LANES], room[3 * LANES : 4 * LANES], room[4 * LANES :]
    i = 0
    while i < points:
        inner = 0 < i < points - 1 and points - 2 >= LANES
        i = min(i, points - 1 - LANES) if inner else i
        along = odd[2] + step * i
        _sum_up(c, z, y, along, shape, step, reach, inner, sums)
        if inner:
            taken = load_even(c, here + along) if step == 2 else load(c, here + along)
            store(taken, diagonal, 0)
        else:
            diagonal[0] = c[here + along]
        _lump(sums, diagonal, center)
        _average(z, y, odd[2], i, coarse, steps, parts, count, inner, sums, center, w)
        i += LANES if inner else 1


@njit(cache=True, nogil=True)
def _room(reach):  # type: ignore[no-untyped-def]
    """Return room for 16 points: −1 / Σ, what is rounding, −1, the diagonal, the patterns."""
    room = np.ones((reach[:, 4].max() + 5) * LANES)
    for lane in range(LANES):
        room[LANES + lane], room[2 * LANES + lane] = ROUNDING, -1.0
    return room


@njit(cache=True, nogil=True)
def _interpolate(c, shape, coarse, steps, odd, reach, parts, count, w):  # type: ignore[no-untyped-def]
    room = _room(reach)
    for row in range(coarse[0] * coarse[1]):
        _interpolate_row(c, shape, coarse, steps, odd, reach, parts, count, row, room, w)


@njit(cache=True, nogil=True, parallel=True)
def _interpolate_parallel(c, shape, coarse, steps, odd, reach, parts, count, w):  # type: ignore[no-untyped-def]
    for row in prange(coarse[0] * coarse[1]):
        _interpolate_row(c, shape, coarse, steps, odd, reach, parts, count, row, _room(reach), w)


@njit(cache=True, nogil=True)
def _terms_of_row(count, shape, coarse, steps, spread, gather, row):  # type: ignore[no-untyped-def]
    """Return what each term is and where its factors lie, for the first point of a coarse row.

    Of A P: kind, coefficient, weight; of Pᵀ (A P): kind, weight, coarse step along the row.
    """
    z, y, n, wide = row // coarse[1], row % coarse[1], coarse[2], shape[0] * shape[1] * shape[2]
    fine = np.zeros((spread.shape[0], 3), np.int64)
    for t in range(spread.shape[0]):
        start = _start(shape, steps[0] * z + spread[t, 3], steps[1] * y + spread[t, 4])
        if start >= 0:
            fine[t, 0] = ONE if spread[t, 1] < 0 else WEIGHTED
            fine[t, 1] = spread[t, 2] * wide + start + spread[t, 5]
            fine[t, 2] = (row * count + spread[t, 1]) * n
    other = np.zeros((gather.shape[0], 3), np.int64)
    for t in range(gather.shape[0]):
        start = _start(coarse, z + gather[t, 2], y + gather[t, 3])
        if start >= 0 and gather[t, 5] >= 0:
            other[t, 0] = ONE if gather[t, 1] < 0 else WEIGHTED
            other[t, 1] = start * count + gather[t, 1] * n + gather[t, 4]
            other[t, 2] = gather[t, 4]
    return fine, other


@njit(inline="always")
def _inside(terms, length, size):  # type: ignore[no-untyped-def]
    """Whether all that the terms of a row read lies in an array of that size."""
    for t in range(terms.shape[0]):
        if terms[t, 0] != NONE and not 0 <= terms[t, 1] <= size - length:
            return False
    return True


@njit(inline="always")
def _coarsen_piece(c, w, step, spread, fine, gather, other, i, room, points, out, to):  # type: ignore[no-untyped-def]
    """Work on 16 coarse points from the i-th of a row on: out[k points + to + i:] for each k."""
    t = 0
    while t < spread.shape[0]:
        place, total = spread[t, 0], nothing(room)
        while t < spread.shape[0] and spread[t, 0] == place:
            if fine[t, 0] != NONE:
                at = fine[t, 1] + step * i
                taken = load_even(c, at) if step == 2 else load(c, at)
                if fine[t, 0] == WEIGHTED:
                    taken = product(taken, load_like(w, fine[t, 2] + i, room))
                total = plus(total, taken)
            t += 1
        store(total, room, place * LANES)
    t = 0
    while t < gather.shape[0]:
        k, total = gather[t, 0], nothing(room)
        while t < gather.shape[0] and gather[t, 0] == k:
            if other[t, 0] != NONE:
                taken = load(room, gather[t, 5] * LANES)
                if other[t, 0] == WEIGHTED:
                    taken = product(taken, load_like(w, other[t, 1] + i, room))
                total = plus(total, taken)
            t += 1
        store(total, out, k * points + to + i)


@njit(cache=True, nogil=True)
def _coarsen_point(c, w, step, size, n, spread, fine, gather, other, i, room, points, out, to):  # type: ignore[no-untyped-def]
    """Work on one point at an end of a row."""
    room[:] = 0.0
    for t in range(spread.shape[0]):
        along = step * i + spread[t, 5]
        if fine[t, 0] != NONE and 0 <= along < size:
            weight = w[fine[t, 2] + i] if fine[t, 0] == WEIGHTED else 1.0
            room[spread[t, 0] * LANES] += c[fine[t, 1] + step * i] * weight
    for k in range(out.size // points):
        out[k * points + to + i] = 0.0
    for t in range(gather.shape[0]):
        if other[t, 0] != NONE and 0 <= i + other[t, 2] < n:
            weight = w[other[t, 1] + i] if other[t, 0] == WEIGHTED else 1.0
            out[gather[t, 0] * points + to + i] += room[gather[t, 5] * LANES] * weight


@njit(cache=True, nogil=True)
def _coarsen_row(c, w, count, shape, coarse, steps, spread, gather, row, room, out):  # type: ignore[no-untyped-def]
    """Work on a row of coarse points; room (places LANES,); ``count`` weights a point."""
    fine, other = _terms_of_row(count, shape, coarse, steps, spread, gather, row)
    n, step, to = coarse[2], steps[2], row * coarse[2]
    points = coarse[0] * coarse[1] * n
    pieces = n >= LANES and _inside(fine, step * n, c.size) and _inside(other, n, w.size)
    for first in range(0, n if pieces else 0, LANES):
        i = min(first, n - LANES)
        _coarsen_piece(c, w, step, spread, fine, gather, other, i, room, points, out, to)
    # What a piece has taken from beyond an end of the row is not meant: ends come one by one.
    for i in range(0, n, max(n - 1, 1) if pieces else 1):
        _coarsen_point(
            c, w, step, shape[2], n, spread, fine, gather, other, i, room, points, out, to
        )


@njit(cache=True, nogil=True)
def _coarsen(c, w, count, shape, coarse, steps, spread, gather, places, out):  # type: ignore[no-untyped-def]
    room = np.zeros(places * LANES)
    for row in range(coarse[0] * coarse[1]):
        _coarsen_row(c, w, count, shape, coarse, steps, spread, gather, row, room, out)


@njit(cache=True, nogil=True, parallel=True)
def _coarsen_parallel(c, w, count, shape, coarse, steps, spread, gather, places, out):  # type: ignore[no-untyped-def]
    for row in prange(coarse[0] * coarse[1]):
        room = np.zeros(places * LANES)
        _coarsen_row(c, w, count, shape, coarse, steps, spread, gather, row, room, out)
