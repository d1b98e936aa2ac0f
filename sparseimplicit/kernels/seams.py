"""What the blocks of a tiling leave along the seams between them.

Blocks of neighbouring lines that are solved exactly, from x = 0, leave a residual on the lines at
their seams alone: minus what couples across a seam. starts (seams, 2): index of the first point of
the last line before a seam, and of the first one behind it. links (couplings, 3): the coefficient
array, whether its point lies behind the seam, and how far along the line the other point lies.
"""

from typing import Any

from numba import njit, prange

from . import PARALLEL_ROWS


def across(
    coefficients: Any, starts: Any, links: Any, points: int, stride: int, x: Any, add: bool, r: Any
) -> None:
    """r (+)= −(couplings across the seams) x on the lines at the seams; others are not touched."""
    run = _across_parallel if x.size >= PARALLEL_ROWS else _across
    run(coefficients, starts, links, points, stride, x, add, r)


def clear(starts: Any, points: int, stride: int, r: Any) -> None:
    """r = 0 on the lines at the seams."""
    run = _clear_parallel if r.size >= PARALLEL_ROWS else _clear
    run(starts, points, stride, r)


@njit(inline="always")
def _subtract_along(c, at, along, x, other, r, to, points, stride):  # type: ignore[no-untyped-def]
    """r[to + p stride] −= c[at + p stride] x[other + (p + along) stride] along a line."""
    first, count = max(0, -along), points - abs(along)
    if stride == 1:  # slices, for vectors
        ours = r[to + first : to + first + count]
        by = c[at + first : at + first + count]
        of = x[other + first + along : other + first + along + count]
        for p in range(count):
            ours[p] -= by[p] * of[p]
    else:
        for p in range(first * stride, (first + count) * stride, stride):
            r[to + p] -= c[at + p] * x[other + p + along * stride]


@njit(cache=True, nogil=True)
def _across_one(coefficients, start, links, points, stride, x, add, r):  # type: ignore[no-untyped-def]
    for side in range(2):  # one line after the other: it stays in the cache
        here, there = start[side], start[1 - side]
        if not add:
            for p in range(here, here + points * stride, stride):
                r[p] = 0.0
        for link in range(links.shape[0]):
            array, behind, along = links[link]
            c = coefficients[array]
            if behind == side:
                _subtract_along(c, here, along, x, there, r, here, points, stride)
            else:  # the coefficient stands at the other point
                at = there - along * stride
                _subtract_along(c, at, -along, x, there, r, here, points, stride)


@njit(cache=True, nogil=True)
def _across(coefficients, starts, links, points, stride, x, add, r):  # type: ignore[no-untyped-def]
    for seam in range(starts.shape[0]):
        _across_one(coefficients, starts[seam], links, points, stride, x, add, r)


@njit(cache=True, nogil=True, parallel=True)
def _across_parallel(coefficients, starts, links, points, stride, x, add, r):  # type: ignore[no-untyped-def]
    for seam in prange(starts.shape[0]):
        _across_one(coefficients, starts[seam], links, points, stride, x, add, r)


@njit(cache=True, nogil=True)
def _clear_one(start, points, stride, r):  # type: ignore[no-untyped-def]
    for here in start:
        for p in range(here, here + points * stride, stride):
            r[p] = 0.0


@njit(cache=True, nogil=True)
def _clear(starts, points, stride, r):  # type: ignore[no-untyped-def]
    for seam in range(starts.shape[0]):
        _clear_one(starts[seam], points, stride, r)


@njit(cache=True, nogil=True, parallel=True)
def _clear_parallel(starts, points, stride, r):  # type: ignore[no-untyped-def]
    for seam in prange(starts.shape[0]):
        _clear_one(starts[seam], points, stride, r)
