"""Blocks of neighbouring lines of a grid, each solved exactly, `LANES` of them side by side.

A block is m lines of p points. Its unknowns are numbered point by point along the lines, so that
its matrix is a band of m + 1 below the diagonal: factorized as L D Lᵀ by `line_factors`. D⁻¹ is
stored apart from the rows (l₁, l₂, …) of L below its diagonal, with the lane innermost. L may be
held in float16 (see `lanes`): the rounded L D Lᵀ is positive definite like the exact one and nearly
as good a smoother, while its bytes are what a solve waits for. Blocks of one tiling do not overlap;
what they leave along their borders is for the other tiling, shifted by half a block.

lines (groups, m, LANES): index of the first point of each line, −1 where the grid has no more; what
is not there is solved as 1 · 0 = 0. links (links, 6): for each entry below the diagonal its line l,
its distance below the diagonal, the coefficient array, the line l' of the column, whether that is
one point back, and whether the coefficient stands at the column's point.
"""

from typing import Any, Final

import numpy as np
from numba import njit, prange

from . import PARALLEL_ROWS
from .lanes import LANES, eliminate
from .line_factors import factorize_block, whole_blocks
from .transposed import gather, scatter, scatter_add

RUN: Final = 64 * LANES  # points of lines brought over at a time: long runs, that stay in the cache


def solve(
    pivots: Any,
    lower: Any,
    reads: Any,
    writes: Any,
    points: int,
    stride: int,
    band: int,
    damping: float,
    add: bool,
    r: Any,
    x: Any,
    scratch: Any,
) -> None:
    """x (+)= damping M⁻¹ r for the blocks of a tiling; scratch (tasks, m p LANES).

    reads, writes : ``lines``, or with −1 for a line where r is 0, or where x is not wanted.

    Tasks share out the groups; what a group does is the same whoever does it.
    """
    run = _solve_parallel if r.size >= PARALLEL_ROWS else _solve
    damping = pivots.dtype.type(damping)
    run(pivots, lower, reads, writes, points, stride, band, damping, add, r, x, scratch)


def solve_anew(
    coefficients: Any,
    lines: Any,
    links: Any,
    reads: Any,
    writes: Any,
    points: int,
    stride: int,
    band: int,
    damping: float,
    add: bool,
    r: Any,
    x: Any,
    scratch: Any,
    pivots: Any,
    lower: Any,
) -> None:
    """Do as `solve` with factors that are made again and forgotten.

    pivots (tasks, m p LANES) and lower (tasks, m p band LANES), the room for one a task, are all
    that is held of them.
    """
    _solve_anew_parallel(
        coefficients, lines, links, reads, writes, points, stride, band,
        pivots.dtype.type(damping), add, r, x, scratch, pivots, lower,
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _anywhere(lines):  # type: ignore[no-untyped-def]
    """Return for each line whether one of the blocks has it."""
    there = np.zeros(lines.shape[0], np.bool_)
    for line in range(lines.shape[0]):
        for v in range(LANES):
            if lines[line, v] >= 0:
                there[line] = True
    return there


@njit(cache=True, nogil=True)
def _gather(r, lines, there, first, last, stride, whole, t):  # type: ignore[no-untyped-def]
    """t[(at m + l) LANES + v] = r[lines[line, v] + at stride] of some points; 0 for no line.

    whole : as many points as lanes at a time, side by side.
    """
    m = lines.shape[0]
    for line in range(m):
        if not there[line]:
            for at in range(first, last):
                t[(at * m + line) * LANES : (at * m + line + 1) * LANES] = 0.0
        elif whole:
            for at in range(first, last, LANES):
                gather(r, lines, line, at, t, (at * m + line) * LANES, m * LANES)
        else:
            for v in range(LANES):
                start = lines[line, v]
                if start >= 0:
                    for at in range(first, last):
                        t[np.uint64((at * m + line) * LANES + v)] = r[
                            np.uint64(start + at * stride)
                        ]
                else:
                    for at in range(first, last):
                        t[np.uint64((at * m + line) * LANES + v)] = 0.0


@njit(cache=True, nogil=True)
def _scatter(t, lines, there, first, last, stride, whole, damping, add, x):  # type: ignore[no-untyped-def]
    """x[lines[line, v] + at stride] (+)= damping t[(at m + l) LANES + v] of some points."""
    m = lines.shape[0]
    if damping != 1.0:
        for i in range(first * m * LANES, last * m * LANES):
            t[i] *= damping
    for line in range(m):
        if not there[line]:
            continue
        if whole:
            for at in range(first, last, LANES):
                to = (at * m + line) * LANES
                if add:
                    scatter_add(t, to, m * LANES, x, lines, line, at)
                else:
                    scatter(t, to, m * LANES, x, lines, line, at)
            continue
        for v in range(LANES):
            start = lines[line, v]
            if start < 0:
                continue
            if add:
                for at in range(first, last):
                    x[np.uint64(start + at * stride)] += t[np.uint64((at * m + line) * LANES + v)]
            else:
                for at in range(first, last):
                    x[np.uint64(start + at * stride)] = t[np.uint64((at * m + line) * LANES + v)]


@njit(cache=True, nogil=True)
def _forward(lower, first, last, band, ones, t):  # type: ignore[no-untyped-def]
    """t = L⁻¹ t of some rows, those before them being done."""
    width = band * LANES
    for row in range(first, last):
        reach = min(band, row)
        eliminate(
            t, row * LANES, ones, 0, lower, row * width, LANES, t, (row - 1) * LANES, -LANES, reach
        )


@njit(cache=True, nogil=True)
def _backward(pivots, lower, first, last, rows, band, t):  # type: ignore[no-untyped-def]
    """t = L⁻ᵀ D⁻¹ t of some rows, those behind them being done."""
    width = band * LANES
    for row in range(last - 1, first - 1, -1):  # the column below a diagonal: one row further each
        reach = min(band, rows - 1 - row)
        eliminate(
            t, row * LANES, pivots, row * LANES, lower, (row + 1) * width, width + LANES,
            t, (row + 1) * LANES, LANES, reach,
        )  # fmt: skip


@njit(cache=True, nogil=True)
def _solve_group(pivots, lower, reads, writes, points, stride, band, ones, damping, add, r, x, t):  # type: ignore[no-untyped-def]
    """Solve the blocks of one group: as it is brought over, and as it is brought back."""
    m, blocks = reads.shape[0], whole_blocks(points, stride)
    read, written = _anywhere(reads), _anywhere(writes)
    runs = (blocks + RUN - 1) // RUN
    all_runs = runs + (points - blocks + RUN - 1) // RUN
    for run in range(all_runs):
        first, last, whole = _points_of(run, runs, blocks, points)
        _gather(r, reads, read, first, last, stride, whole, t)
        _forward(lower, first * m, last * m, band, ones, t)
    for run in range(all_runs - 1, -1, -1):
        first, last, whole = _points_of(run, runs, blocks, points)
        _backward(pivots, lower, first * m, last * m, points * m, band, t)
        _scatter(t, writes, written, first, last, stride, whole, damping, add, x)


@njit(inline="always")
def _points_of(run, runs, blocks, points):  # type: ignore[no-untyped-def]
    """Return the points of a run, and whether it is made of whole blocks."""
    if run < runs:
        return run * RUN, min((run + 1) * RUN, blocks), True
    first = blocks + (run - runs) * RUN
    return first, min(first + RUN, points), False


@njit(inline="always")
def _solve_groups(  # type: ignore[no-untyped-def]
    pivots, lower, reads, writes, points, stride, band, damping, add, r, x, first, tasks, t
):
    ones = np.ones(LANES, pivots.dtype)
    for g in range(first, reads.shape[0], tasks):
        _solve_group(
            pivots[g], lower[g], reads[g], writes[g], points, stride, band, ones, damping, add,
            r, x, t,
        )  # fmt: skip


@njit(cache=True, nogil=True)
def _solve(pivots, lower, reads, writes, points, stride, band, damping, add, r, x, scratch):  # type: ignore[no-untyped-def]
    _solve_groups(
        pivots, lower, reads, writes, points, stride, band, damping, add, r, x, 0, 1, scratch[0]
    )


@njit(cache=True, nogil=True, parallel=True)
def _solve_parallel(  # type: ignore[no-untyped-def]
    pivots, lower, reads, writes, points, stride, band, damping, add, r, x, scratch
):
    tasks = scratch.shape[0]
    for task in prange(tasks):
        _solve_groups(
            pivots, lower, reads, writes, points, stride, band, damping, add, r, x, task, tasks,
            scratch[task],
        )  # fmt: skip


@njit(cache=True, nogil=True, parallel=True)
def _solve_anew_parallel(  # type: ignore[no-untyped-def]
    coefficients,
    lines,
    links,
    reads,
    writes,
    points,
    stride,
    band,
    damping,
    add,
    r,
    x,
    scratch,
    pivots,
    lower,
):
    tasks = scratch.shape[0]
    for task in prange(tasks):
        ones, t, d, low = np.ones(LANES, pivots.dtype), scratch[task], pivots[task], lower[task]
        counts = np.zeros(2, np.int64)
        for g in range(task, lines.shape[0], tasks):
            factorize_block(coefficients, lines[g], links, points, stride, band, d, low, counts)
            _solve_group(
                d, low, reads[g], writes[g], points, stride, band, ones, damping, add, r, x, t
            )
