"""Black-box multigrid transfers on grids: weights, restriction, prolongation, coarse stencils.

A coarse point I stands on the fine point f = s I, with steps s of 1 or 2 an axis, and reaches the
fine points f + q, q in −1, 0, 1 along the axes with step 2. weights (rows, Q, coarse points a row):
for each q but 0, whose weight is 1; those of a row lie together. Source: Alcouffe, Brandt, Dendy
and Painter 1981; Dendy 1982.

What depends on the shape of the stencil alone comes in as tables of integers, made once by
`sparseimplicit.linear.grids`. Neighbours are counted round the border, as in `stencil`.
"""

from typing import Any, Final

import numpy as np
from numba import njit, prange

from . import PARALLEL_ROWS

ROUNDING: Final = 1e-7  # of the diagonal: a smaller sum of a row is one of zero


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
    """Set the weights of the fine points that are odd along the axes ``odd`` (3,), 0 or 1 each.

    Along the other axes the stencil is summed up; then a point is the average of its neighbours,
    Σ_p a_p u(f + p) = 0, where those that are no coarse points are interpolated themselves and
    positive couplings count as part of the centre.
    reach (entries, 5): coefficient array, the offset to where it stands, and p as a number, 0 for
    the centre; parts (terms, 6): p, the weight to set, the sign s of its coarse point f + s (3),
    and the weight of f + p towards that point (−1: it is that point).
    """
    run = _interpolate_parallel if coefficients.shape[1] >= PARALLEL_ROWS else _interpolate
    run(coefficients, shape, coarse, steps, odd, reach, parts, weights)


def restrict(
    weights: Any, reached: Any, shape: Any, coarse: Any, steps: Any, r: Any, out: Any
) -> None:
    """out[I] = r[f] + Σ_q weights_q[I] r[f + q]; reached (Q, 3) lists q."""
    run = _restrict_parallel if r.size >= PARALLEL_ROWS else _restrict
    run(weights, reached, shape, coarse, steps, r, out)


def prolong(
    weights: Any, reached: Any, shape: Any, coarse: Any, steps: Any, e: Any, x: Any
) -> None:
    """x[f] += e[I] and x[f + q] += weights_q[I] e[I], for all I."""
    run = _prolong_parallel if x.size >= PARALLEL_ROWS else _prolong
    run(weights, reached, shape, coarse, steps, e, x)


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
    """out (K', coarse points) = the stencil of Pᵀ A P.

    spread (terms, 6): for A P, row by row of the grid: the place of the product around f (of
    ``places`` in all), q as a weight or −1, the coefficient array, and where it stands relative to
    f (3). gather (terms, 13): for Pᵀ (A P): the array of the result, the weight or −1, the coarse
    offset of the other point (3), and the place or −1; eight of these, for the axes on which that
    point stands one fine step away instead of two.
    """
    run = _coarsen_parallel if coefficients.shape[1] >= PARALLEL_ROWS else _coarsen
    run(coefficients, weights, shape, coarse, steps, spread, gather, places, out)


@njit(inline="always")
def _index(shape, z, y, x):  # type: ignore[no-untyped-def]
    """Return the number of a point, counted round the border."""
    return ((z % shape[0]) * shape[1] + y % shape[1]) * shape[2] + x % shape[2]


@njit(inline="always")
def _take(row, first, step, out):  # type: ignore[no-untyped-def]
    """out[i] = row[first + step i], counted round its ends."""
    n = row.size
    low = min(max(0, -((first) // step)), out.size)
    high = max(low, min(out.size, (n - 1 - first) // step + 1))
    for i in range(low):
        out[i] = row[(first + step * i + n) % n]
    start = np.uint64(first + step * low)
    for i in range(np.uint64(high - low)):
        out[np.uint64(low) + i] = row[start + np.uint64(step) * i]
    for i in range(high, out.size):
        out[i] = row[(first + step * i + n) % n]


@njit(inline="always")
def lumped(a, diagonal, center, others, count):  # type: ignore[no-untyped-def]
    """center = −1 / Σ of what couples with the point itself; positive couplings in a become 0.

    a (patterns, points): sums of couplings, the first of them the point's own; others: room. No
    weight is to be below 0 or above 1: what couples the wrong way counts as part of the centre.
    """
    center[:count] = a[0, :count]
    others[:count] = 0.0
    for p in range(1, a.shape[0]):
        sums = a[p, :count]
        for i in range(count):
            positive = max(sums[i], 0.0)
            center[i] += positive
            sums[i] -= positive
            others[i] -= sums[i]
    for i in range(count):
        total, least = center[i], ROUNDING * diagonal[i]
        total = total if total > least else others[i]  # a sum of zero is meant
        center[i] = -1.0 / (total if total > least else diagonal[i])


@njit(cache=True, nogil=True)
def _interpolate_row(coefficients, shape, coarse, steps, odd, reach, parts, row, room, weights):  # type: ignore[no-untyped-def]
    """Work on a row of points; room (patterns + 3, coarse points a row)."""
    z = steps[0] * (row // coarse[1]) + odd[0]
    y = steps[1] * (row % coarse[1]) + odd[1]
    count = (shape[2] - 1 - odd[2]) // steps[2] + 1
    if z >= shape[0] or y >= shape[1]:
        return
    a, center, taken, others = room[3:, :count], room[0, :count], room[1, :count], room[2]
    a[:] = 0.0
    for e in range(reach.shape[0]):
        start = _index(shape, z + reach[e, 1], y + reach[e, 2], 0)
        _take(
            coefficients[reach[e, 0], start : start + shape[2]],
            odd[2] + reach[e, 3], steps[2], taken,
        )  # fmt: skip
        sums = a[reach[e, 4]]
        for i in range(count):
            sums[i] += taken[i]
    start = _index(shape, z, y, 0)
    _take(coefficients[0, start : start + shape[2]], odd[2], steps[2], taken)
    lumped(a, taken, center, others, count)
    for t in range(parts.shape[0]):
        # The coarse points at f + s, from the first one on in their row.
        up, over = (z + parts[t, 2]) // steps[0], (y + parts[t, 3]) // steps[1]
        start = _index(coarse, up, over, 0)
        first = (odd[2] + parts[t, 4]) // steps[2]
        to = weights[start // coarse[2], parts[t, 1]]
        average = a[parts[t, 0]]
        if parts[t, 5] < 0:
            for i in range(count):
                to[(i + first) % coarse[2]] += average[i] * center[i]
        else:
            by = weights[start // coarse[2], parts[t, 5]]
            for i in range(count):
                at = (i + first) % coarse[2]
                to[at] += average[i] * center[i] * by[at]


@njit(cache=True, nogil=True)
def _interpolate(coefficients, shape, coarse, steps, odd, reach, parts, weights):  # type: ignore[no-untyped-def]
    room = np.empty((reach[:, 4].max() + 4, coarse[2]))
    for row in range(coarse[0] * coarse[1]):
        _interpolate_row(coefficients, shape, coarse, steps, odd, reach, parts, row, room, weights)


@njit(cache=True, nogil=True, parallel=True)
def _interpolate_parallel(coefficients, shape, coarse, steps, odd, reach, parts, weights):  # type: ignore[no-untyped-def]
    patterns = reach[:, 4].max() + 1
    for row in prange(coarse[0] * coarse[1]):
        room = np.empty((patterns + 3, coarse[2]))
        _interpolate_row(coefficients, shape, coarse, steps, odd, reach, parts, row, room, weights)


@njit(inline="always")
def _restrict_row(weights, reached, shape, coarse, steps, r, row, out):  # type: ignore[no-untyped-def]
    n, step = coarse[2], steps[2]
    z, y = steps[0] * (row // coarse[1]), steps[1] * (row % coarse[1])
    to = out[row * n : (row + 1) * n]
    start = (z * shape[1] + y) * shape[2]
    fine = r[start : start + shape[2]]
    for i in range(n):
        to[i] = fine[step * i]
    for q in range(reached.shape[0]):
        start = _index(shape, z + reached[q, 0], y + reached[q, 1], 0)
        fine = r[start : start + shape[2]]
        by = weights[row, q]
        along = reached[q, 2]
        low = 1 if along < 0 else 0
        high = min(n, (shape[2] - 1 - along) // step + 1)
        for i in range(low, high):
            to[i] += by[i] * fine[step * i + along]
        if low:
            to[0] += by[0] * fine[shape[2] - 1]
        for i in range(high, n):
            to[i] += by[i] * fine[(step * i + along) % shape[2]]


@njit(cache=True, nogil=True)
def _restrict(weights, reached, shape, coarse, steps, r, out):  # type: ignore[no-untyped-def]
    for row in range(coarse[0] * coarse[1]):
        _restrict_row(weights, reached, shape, coarse, steps, r, row, out)


@njit(cache=True, nogil=True, parallel=True)
def _restrict_parallel(weights, reached, shape, coarse, steps, r, out):  # type: ignore[no-untyped-def]
    for row in prange(coarse[0] * coarse[1]):
        _restrict_row(weights, reached, shape, coarse, steps, r, row, out)


@njit(inline="always")
def _prolong_row(weights, reached, shape, coarse, steps, e, row, x):  # type: ignore[no-untyped-def]
    n, step = coarse[2], steps[2]
    z, y = row // shape[1], row % shape[1]
    to = x[row * shape[2] : (row + 1) * shape[2]]
    if z % steps[0] == 0 and y % steps[1] == 0:
        start = (z // steps[0] * coarse[1] + y // steps[1]) * n
        for i in range(n):
            to[step * i] += e[start + i]
    for q in range(reached.shape[0]):
        up, over, along = z - reached[q, 0], y - reached[q, 1], reached[q, 2]
        up, over = (up + shape[0]) % shape[0], (over + shape[1]) % shape[1]
        if up % steps[0] or over % steps[1]:
            continue
        start = (up // steps[0] * coarse[1] + over // steps[1]) * n
        by, source = weights[start // n, q], e[start : start + n]
        low = 1 if along < 0 else 0
        high = min(n, (shape[2] - 1 - along) // step + 1)
        for i in range(low, high):
            to[step * i + along] += by[i] * source[i]
        if low:
            to[shape[2] - 1] += by[0] * source[0]
        for i in range(high, n):
            to[(step * i + along) % shape[2]] += by[i] * source[i]


@njit(cache=True, nogil=True)
def _prolong(weights, reached, shape, coarse, steps, e, x):  # type: ignore[no-untyped-def]
    for row in range(shape[0] * shape[1]):
        _prolong_row(weights, reached, shape, coarse, steps, e, row, x)


@njit(cache=True, nogil=True, parallel=True)
def _prolong_parallel(weights, reached, shape, coarse, steps, e, x):  # type: ignore[no-untyped-def]
    for row in prange(shape[0] * shape[1]):
        _prolong_row(weights, reached, shape, coarse, steps, e, row, x)


@njit(cache=True, nogil=True)
def _coarsen_row(coefficients, weights, shape, coarse, steps, spread, gather, row, product, out):  # type: ignore[no-untyped-def]
    """Work on a row of coarse points; product (places + 1, coarse points a row)."""
    n = coarse[2]
    z, y = row // coarse[1], row % coarse[1]
    taken = product[-1]
    product[:-1] = 0.0
    for t in range(spread.shape[0]):
        start = _index(shape, steps[0] * z + spread[t, 3], steps[1] * y + spread[t, 4], 0)
        c = coefficients[spread[t, 2], start : start + shape[2]]
        _take(c, spread[t, 5], steps[2], taken)
        _add_product(product[spread[t, 0]], taken, weights[row], spread[t, 1], 0)
    for k in range(out.shape[0]):
        out[k, row * n : (row + 1) * n] = 0.0
    for t in range(gather.shape[0]):
        up, over, along = gather[t, 2], gather[t, 3], gather[t, 4]
        start = _index(coarse, z + up, y + over, 0)
        to = out[gather[t, 0], row * n : (row + 1) * n]
        near = (
            5
            + 4 * _meet(shape, coarse, steps, 0, z, up)
            + 2 * _meet(shape, coarse, steps, 1, y, over)
        )
        low, high = max(0, -along), min(n, n - along)
        place = gather[t, near]
        if place >= 0 and low < high:
            _add_product(
                to[low:high], product[place, low:high], weights[start // n], gather[t, 1],
                low + along,
            )  # fmt: skip
        if along:
            end = n - 1 if along > 0 else 0
            place = gather[t, near + _meet(shape, coarse, steps, 2, end, along)]
            if place >= 0:
                first = (end + along + n) % n
                _add_product(
                    to[end : end + 1], product[place, end : end + 1], weights[start // n],
                    gather[t, 1], first,
                )  # fmt: skip


@njit(inline="always")
def _add_product(to, by, weights, w, first):  # type: ignore[no-untyped-def]
    """To += by · weights[w, first:], or += by where w is −1."""
    if w < 0:
        for i in range(to.size):
            to[i] += by[i]
    else:
        weight = weights[w, first : first + to.size]
        for i in range(to.size):
            to[i] += by[i] * weight[i]


@njit(inline="always")
def _meet(shape, coarse, steps, axis, at, along):  # type: ignore[no-untyped-def]
    """Tell whether the step over the border leads from a coarse point to one right beside it.

    So it is round a periodic axis with an odd number of points, where first and last are coarse.
    """
    end = coarse[axis] - 1
    over = (along > 0 and at == end) or (along < 0 and at == 0)
    return 1 if over and steps[axis] == 2 and shape[axis] % 2 == 1 else 0


@njit(cache=True, nogil=True)
def _coarsen(coefficients, weights, shape, coarse, steps, spread, gather, places, out):  # type: ignore[no-untyped-def]
    product = np.empty((places + 1, coarse[2]), coefficients.dtype)
    for row in range(coarse[0] * coarse[1]):
        _coarsen_row(coefficients, weights, shape, coarse, steps, spread, gather, row, product, out)


@njit(cache=True, nogil=True, parallel=True)
def _coarsen_parallel(coefficients, weights, shape, coarse, steps, spread, gather, places, out):  # type: ignore[no-untyped-def]
    for row in prange(coarse[0] * coarse[1]):
        product = np.empty((places + 1, coarse[2]), coefficients.dtype)
        _coarsen_row(coefficients, weights, shape, coarse, steps, spread, gather, row, product, out)
