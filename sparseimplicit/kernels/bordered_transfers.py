"""Restriction and prolongation on grids with borders on all sides, by vectors.

The same as in `transfers`, with the same tables, but nothing is counted round a border: what would
reach beyond one has a weight of 0. rows (fine rows,): where r is not 0 and is looked at, or where x
is wanted.
"""

from typing import Any

import numpy as np
from numba import njit, prange

from . import PARALLEL_ROWS
from .lanes import LANES
from .vectorized import (
    load,
    load_even,
    load_like,
    load_odd,
    nothing,
    plus,
    product,
    store,
    store_pairs,
)


def restrict(
    weights: Any, reached: Any, shape: Any, coarse: Any, steps: Any, rows: Any, r: Any, out: Any
) -> None:
    """out[I] = r[f] + Σ_q weights_q[I] r[f + q]; reached (Q, 3) lists q."""
    run = _restrict_parallel if r.size >= PARALLEL_ROWS else _restrict
    run(weights.reshape(-1), reached, shape, coarse, steps, rows, r, out)


def prolong(
    weights: Any, reached: Any, shape: Any, coarse: Any, steps: Any, rows: Any, e: Any, x: Any
) -> None:
    """x[f] += e[I] and x[f + q] += weights_q[I] e[I], for all I."""
    run = _prolong_parallel if x.size >= PARALLEL_ROWS else _prolong
    run(weights.reshape(-1), reached, shape, coarse, steps, rows, e, x)


@njit(cache=True, nogil=True)
def _restrict_row(w, reached, shape, coarse, steps, rows, r, row, out):  # type: ignore[no-untyped-def]
    n, step = coarse[2], steps[2]
    z, y, here = steps[0] * (row // coarse[1]), steps[1] * (row % coarse[1]), row * n
    start = (z * shape[1] + y) * shape[2]
    own = rows[z * shape[1] + y]
    used, count = np.empty((reached.shape[0], 2), np.int64), 0  # where weights and r lie
    for q in range(reached.shape[0]):
        up, over = z + reached[q, 0], y + reached[q, 1]
        if 0 <= up < shape[0] and 0 <= over < shape[1] and rows[up * shape[1] + over]:
            used[count, 0] = (row * reached.shape[0] + q) * n
            used[count, 1] = (up * shape[1] + over) * shape[2] + reached[q, 2]
            count += 1
    if count == 0 and not own:
        out[here : here + n] = 0.0
        return
    # The ends of the row one by one; pieces in between, the last of which may overlap.
    i = 0
    while i < n:
        if 0 < i < n - 1 and n - 2 >= LANES:
            i = min(i, n - 1 - LANES)
            at = step * i
            total = nothing(r)
            if own:
                total = load_even(r, start + at) if step == 2 else load(r, start + at)
            for k in range(count):
                fine = used[k, 1] + at
                taken = load_even(r, fine) if step == 2 else load(r, fine)
                total = plus(total, product(load(w, used[k, 0] + i), taken))
            store(total, out, here + i)
            i += LANES
        else:
            one = r[start + step * i] if own else r.dtype.type(0.0)
            for k in range(count):
                weight = w[used[k, 0] + i]
                if weight != 0.0:
                    one += weight * r[used[k, 1] + step * i]
            out[here + i] = one
            i += 1


@njit(cache=True, nogil=True)
def _restrict(w, reached, shape, coarse, steps, rows, r, out):  # type: ignore[no-untyped-def]
    for row in range(coarse[0] * coarse[1]):
        _restrict_row(w, reached, shape, coarse, steps, rows, r, row, out)


@njit(cache=True, nogil=True, parallel=True)
def _restrict_parallel(w, reached, shape, coarse, steps, rows, r, out):  # type: ignore[no-untyped-def]
    for row in prange(coarse[0] * coarse[1]):
        _restrict_row(w, reached, shape, coarse, steps, rows, r, row, out)


@njit(cache=True, nogil=True)
def _reaching(reached, shape, coarse, steps, row):  # type: ignore[no-untyped-def]
    """Return for each weight that reaches a fine row: where it lies, where e lies, and q's step.

    −1 in the place of the weight of 1.
    """
    z, y = row // shape[1], row % shape[1]
    used, count = np.empty((reached.shape[0] + 1, 3), np.int64), 0
    for q in range(-1, reached.shape[0]):
        up = z if q < 0 else z - reached[q, 0]
        over = y if q < 0 else y - reached[q, 1]
        # Steps are 1 or 2, and divisions would take as long as all the rest.
        if up & (steps[0] - 1) or over & (steps[1] - 1):
            continue
        up, over = up >> (steps[0] - 1), over >> (steps[1] - 1)
        if 0 <= up < coarse[0] and 0 <= over < coarse[1]:
            other = up * coarse[1] + over
            used[count, 0] = -1 if q < 0 else (other * reached.shape[0] + q) * coarse[2]
            used[count, 1] = other * coarse[2]
            used[count, 2] = 0 if q < 0 else reached[q, 2]
            count += 1
    return used[:count]


@njit(inline="always")
def _part(w, weight, e, at, i):  # type: ignore[no-untyped-def]
    """Return the weights times e of 16 coarse points, from the i-th of a row on."""
    correction = load_like(e, at + i, w)
    return correction if weight < 0 else product(load(w, weight + i), correction)


@njit(cache=True, nogil=True)
def _prolong_row(w, reached, shape, coarse, steps, e, row, x):  # type: ignore[no-untyped-def]
    n, step, size = coarse[2], steps[2], shape[2]
    used = _reaching(reached, shape, coarse, steps, row)
    if used.shape[0] == 0:
        return
    start = row * size
    # A last point between two coarse ones may be off the grid.
    low = (n if step * n <= size else n - 1) // LANES * LANES
    for i in range(0, low, LANES):
        at = start + step * i
        even = load_even(x, at) if step == 2 else load(x, at)
        odd = load_odd(x, at) if step == 2 else even
        for k in range(used.shape[0]):
            if used[k, 2] == 0:
                even = plus(even, _part(w, used[k, 0], e, used[k, 1], i))
            elif used[k, 2] > 0:
                odd = plus(odd, _part(w, used[k, 0], e, used[k, 1], i))
            elif i + LANES < n:  # of a point between two coarse ones the right one is the next
                odd = plus(odd, _part(w, used[k, 0], e, used[k, 1], i + 1))
        if step == 2:
            store_pairs(even, odd, x, at)
        else:
            store(even, x, at)
    for k in range(used.shape[0]):
        along, done = used[k, 2], low
        if along < 0 and low > 0:
            done = 1 + (low - LANES if low == n else low)
        for i in range(done, n):
            to = step * i + along
            if 0 <= to < size:
                by = e[used[k, 1] + i]
                x[start + to] += by if used[k, 0] < 0 else w[used[k, 0] + i] * by


@njit(cache=True, nogil=True)
def _prolong(w, reached, shape, coarse, steps, rows, e, x):  # type: ignore[no-untyped-def]
    for row in range(rows.size):
        if rows[row]:
            _prolong_row(w, reached, shape, coarse, steps, e, row, x)


@njit(cache=True, nogil=True, parallel=True)
def _prolong_parallel(w, reached, shape, coarse, steps, rows, e, x):  # type: ignore[no-untyped-def]
    for row in prange(rows.size):
        if rows[row]:
            _prolong_row(w, reached, shape, coarse, steps, e, row, x)
