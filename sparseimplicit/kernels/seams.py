"""What the blocks of a tiling leave along the seams between them.

Blocks of neighbouring lines that are solved exactly, from x = 0, leave a residual on the lines at
their seams alone: minus what couples across a seam. starts (seams, 2): index of the first point of
the last line before a seam, and of the first one behind it. links (couplings, 3): the coefficient
array, whether its point lies behind the seam, and how far along the line the other point lies.
"""

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from . import PARALLEL_ROWS


def couplings(
    coefficients: NDArray[Any], starts: Any, links: Any, points: int, stride: int, out: NDArray[Any]
) -> None:
    """out (seams, couplings, points) = those of the points before a seam, 0 where one has none.

    Held apart they lie side by side, and each is read once for both its points.
    """
    out[...] = 0.0
    for link, (array, behind, along) in enumerate(links):
        shift = along if behind else 0  # of the point before the seam, from the coefficient's
        first, last = max(0, -shift), points - max(0, shift)
        places = starts[:, int(behind), None] + np.arange(first, last) * stride
        out[:, link, first + shift : last + shift] = coefficients[array][places]


def across(
    held: Any, starts: Any, alongs: Any, points: int, stride: int, x: Any, add: bool, r: Any
) -> None:
    """r (+)= −(couplings across the seams) x on the lines at the seams; others are not touched.

    held : see `couplings`; alongs (couplings,): how far along the point behind a seam lies.
    """
    run = _across_parallel if x.size >= PARALLEL_ROWS else _across
    run(held, starts, alongs, points, stride, x, add, r)


def clear(starts: Any, points: int, stride: int, r: Any) -> None:
    """r = 0 on the lines at the seams."""
    run = _clear_parallel if r.size >= PARALLEL_ROWS else _clear
    run(starts, points, stride, r)


@njit(inline="always")
def _subtract(c, x, there, r, here, count, stride):  # type: ignore[no-untyped-def]
    """r[here + p stride] −= c[p] x[there + p stride]."""
    if stride == 1:  # slices, for vectors
        ours, of = r[here : here + count], x[there : there + count]
        for p in range(count):
            ours[p] -= c[p] * of[p]
    else:
        for p in range(count):
            r[here + p * stride] -= c[p] * x[there + p * stride]


@njit(cache=True, nogil=True)
def _clear_one(start, points, stride, r):  # type: ignore[no-untyped-def]
    for here in start:
        for p in range(here, here + points * stride, stride):
            r[p] = 0.0


@njit(cache=True, nogil=True)
def _across_one(held, start, alongs, points, stride, x, add, r):  # type: ignore[no-untyped-def]
    if not add:
        _clear_one(start, points, stride, r)
    for link in range(alongs.size):
        along = alongs[link]
        first, count = max(0, -along), points - abs(along)
        c = held[link, first : first + count]
        before, behind = start[0] + first * stride, start[1] + (first + along) * stride
        _subtract(c, x, behind, r, before, count, stride)
        _subtract(c, x, before, r, behind, count, stride)


@njit(cache=True, nogil=True)
def _across(held, starts, alongs, points, stride, x, add, r):  # type: ignore[no-untyped-def]
    for seam in range(starts.shape[0]):
        _across_one(held[seam], starts[seam], alongs, points, stride, x, add, r)


@njit(cache=True, nogil=True, parallel=True)
def _across_parallel(held, starts, alongs, points, stride, x, add, r):  # type: ignore[no-untyped-def]
    for seam in prange(starts.shape[0]):
        _across_one(held[seam], starts[seam], alongs, points, stride, x, add, r)


@njit(cache=True, nogil=True)
def _clear(starts, points, stride, r):  # type: ignore[no-untyped-def]
    for seam in range(starts.shape[0]):
        _clear_one(starts[seam], points, stride, r)


@njit(cache=True, nogil=True, parallel=True)
def _clear_parallel(starts, points, stride, r):  # type: ignore[no-untyped-def]
    for seam in prange(starts.shape[0]):
        _clear_one(starts[seam], points, stride, r)
