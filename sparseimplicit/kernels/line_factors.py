"""The blocks of `lines`, factorized: L D Lᵀ of `LANES` bands side by side, without pivoting.

A matrix is held by columns, those that are at work and those they reach. It is factorized in
float64 and then stored as it is wanted: in float32 a pivot of 1e-6 of the diagonal would have no
digit, nor would what comes after it.
"""

from typing import Any, Final

import numpy as np
from numba import njit, prange

from . import PARALLEL_ROWS
from .lanes import LANES
from .transposed import gather
from .vectorized import load, minus, plus, product, ratio, store, where_above

TINY: Final = 1e-12  # of the diagonal: a smaller pivot is rounding, the diagonal takes its place
NEGATIVE: Final = 0.01  # of the diagonal: no rounding makes a pivot as negative as this
ASSEMBLED: Final = LANES  # points whose rows are filled at a time


def factorize(
    coefficients: Any,
    lines: Any,
    links: Any,
    points: int,
    stride: int,
    band: int,
    pivots: Any,
    lower: Any,
) -> tuple[int, int]:
    """pivots (groups, m p LANES), lower (groups, m p band LANES) of all blocks of a tiling.

    Returns the number of pivots replaced, and of those the ones that are negative beyond rounding:
    with one of these the matrix is not positive definite, as a part of it is not.
    """
    run = _factorize_parallel if coefficients.shape[1] >= PARALLEL_ROWS else _factorize
    counts = np.zeros((lines.shape[0], 2), np.int64)
    run(coefficients, lines, links, points, stride, band, pivots, lower, counts)
    return int(counts[:, 0].sum()), int(counts[:, 1].sum())


@njit(inline="always")
def whole_blocks(points, stride):  # type: ignore[no-untyped-def]
    """Return up to which point lines can be brought over in blocks of `LANES` points each."""
    return points // LANES * LANES if stride == 1 else 0


@njit(cache=True, nogil=True)
def _assemble(coefficients, lines, links, first, last, stride, width, whole, columns, start):  # type: ignore[no-untyped-def]
    """Set the rows of the points from first to last of a matrix held as (a_ii, a_i+1,i, …).

    start : where the column of the first of these points begins.
    whole : as many points as lanes, to be brought over by blocks.
    """
    m = lines.shape[0]
    step = m * width
    both = np.empty((1, LANES), np.int64)
    columns[start : start + (last - first) * step] = 0.0
    for line in range(m):
        if whole:
            gather(coefficients[0], lines, line, first, columns, start + line * width, step)
            for v in range(LANES):
                if lines[line, v] < 0:
                    for at in range(last - first):
                        columns[np.uint64(start + at * step + line * width + v)] = 1.0
            continue
        for v in range(LANES):
            begin, to = lines[line, v], start + line * width + v
            for at in range(first, last):
                columns[np.uint64((at - first) * step + to)] = (
                    coefficients[0, np.uint64(begin + at * stride)] if begin >= 0 else 1.0
                )
    for link in range(links.shape[0]):
        line, below, array, other, back, there = links[link]
        from_ = other if there else line
        shift = back if there else 0
        to = start + (line - below) * width + below * LANES
        if whole and first >= back:
            for v in range(LANES):
                coupled = lines[line, v] >= 0 and lines[other, v] >= 0
                both[0, v] = lines[from_, v] if coupled else -1
            gather(coefficients[array], both, 0, first - shift, columns, to, step)
            continue
        for v in range(LANES):
            if lines[line, v] < 0 or lines[other, v] < 0:
                continue
            begin = lines[from_, v] - shift * stride
            for at in range(max(first, back), last):
                columns[np.uint64((at - first) * step + to + v)] = coefficients[
                    array, np.uint64(begin + at * stride)
                ]


@njit(cache=True, nogil=True)
def _eliminate_column(columns, here, reach, width, limits, multipliers, counts, lower, row, band):  # type: ignore[no-untyped-def]
    """Store a column of L, take it out of those behind it, and return 1/d.

    columns : (a_ii, a_i+1,i, …, a_ii before any elimination) of this column and of those behind it.
    limits : 0, 1, `TINY` and −`NEGATIVE`, each for all lanes.
    counts : of pivots replaced, and of negative ones, lane by lane.
    """
    none, one = load(limits, 0), load(limits, LANES)
    diagonal, whole = load(columns, here), load(columns, here + width - LANES)
    least = product(whole, load(limits, 2 * LANES))
    replaced = where_above(diagonal, least, none, one)
    least_of_rounding = product(whole, load(limits, 3 * LANES))
    negative = product(replaced, where_above(diagonal, least_of_rounding, none, one))
    store(plus(load(counts, 0), replaced), counts, 0)
    store(plus(load(counts, LANES), negative), counts, LANES)
    inverse = ratio(one, where_above(diagonal, least, diagonal, whole))
    for k in range(1, reach + 1):
        value = product(load(columns, here + k * LANES), inverse)
        store(value, multipliers, k * LANES)
        store(value, lower, ((row + k) * band + k - 1) * LANES)
    for j in range(1, reach + 1):
        by, to = load(multipliers, j * LANES), here + j * (width - LANES)
        for k in range(j, reach + 1):
            less = product(by, load(columns, here + k * LANES))
            store(minus(load(columns, to + k * LANES), less), columns, to + k * LANES)
    return inverse


@njit(cache=True, nogil=True)
def factorize_block(coefficients, lines, links, points, stride, band, pivots, lower, counts):  # type: ignore[no-untyped-def]
    """pivots (m p LANES,), lower (m p band LANES,): L D Lᵀ of one group, some columns at a time."""
    m, width = lines.shape[0], (band + 2) * LANES
    limits = np.repeat(np.array([0.0, 1.0, TINY, -NEGATIVE]), LANES)
    multipliers, counted = np.empty((band + 1) * LANES), np.zeros(2 * LANES)
    columns = np.zeros((band + ASSEMBLED * m) * width)
    blocks = whole_blocks(points, stride)
    held, row = 0, 0  # columns that wait for the rows they reach, and the first of them
    for first in range(0, points, ASSEMBLED):
        last = min(first + ASSEMBLED, points)
        made, whole = held + (last - first) * m, last <= blocks
        _assemble(
            coefficients, lines, links, first, last, stride, width, whole, columns, held * width
        )
        for k in range(held, made):
            store(load(columns, k * width), columns, (k + 1) * width - LANES)
        ready = made if last == points else max(made - band, 0)
        for k in range(ready):
            reach = min(band, made - 1 - k)
            inverse = _eliminate_column(
                columns, k * width, reach, width, limits, multipliers, counted, lower, row + k, band
            )
            store(inverse, pivots, (row + k) * LANES)
        held, row = made - ready, row + ready
        columns[: held * width] = columns[ready * width : made * width].copy()
    counts[0] += int(counted[:LANES].sum())
    counts[1] += int(counted[LANES:].sum())


@njit(cache=True, nogil=True)
def _factorize(coefficients, lines, links, points, stride, band, pivots, lower, counts):  # type: ignore[no-untyped-def]
    for g in range(lines.shape[0]):
        factorize_block(
            coefficients, lines[g], links, points, stride, band, pivots[g], lower[g], counts[g]
        )


@njit(cache=True, nogil=True, parallel=True)
def _factorize_parallel(coefficients, lines, links, points, stride, band, pivots, lower, counts):  # type: ignore[no-untyped-def]
    for g in prange(lines.shape[0]):
        factorize_block(
            coefficients, lines[g], links, points, stride, band, pivots[g], lower[g], counts[g]
        )
