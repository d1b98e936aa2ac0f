"""Lifted terms of one image as its filters: arrays of a common window, weights as images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..stated.bound import BoundTerm

Array = NDArray[np.float64]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """Filters of ``size`` on an image: tap (p, q) of pixel x sees x + (p, q) − ``origin``.

    Unless the border is "inside" the origin is ⌊size/2⌋, as `linear.FilterOperator` has it.
    """

    grid: Pair
    size: Pair
    origin: Pair
    border: str

    @property
    def inner(self) -> tuple[slice, slice]:
        """Where the weights of the elements stand in an image of weights; the rest are 0."""
        if self.border != "inside":
            return slice(None), slice(None)
        first, last = (
            slice(a // 2, a // 2 + n - a + 1) for n, a in zip(self.grid, self.size, strict=True)
        )
        return first, last


def window_of(term: BoundTerm) -> Window | None:
    """Return the window of a term's unknowns if these are one image's; else None."""
    stencil = term.stencil
    if stencil is None or len(stencil.shape) != 2 or any(field for field, _ in stencil.points):
        return None
    sizes, origins = [], []
    for low, high in stencil.reach:
        size, origin = high - low + 1, -low
        if stencil.border != "inside" and origin != size // 2:  # taps of 0 centre the window
            origin = max(-low, high)
            size = 2 * origin + 1
        sizes.append(size)
        origins.append(origin)
    grid: Any = stencil.shape
    return Window(grid, (sizes[0], sizes[1]), (origins[0], origins[1]), stencil.border)


def common_size(windows: Iterable[Window]) -> Pair:
    """Return the smallest size that has room for all of these windows."""
    down, across = np.max([w.size for w in windows], axis=0)
    return int(down), int(across)


def squares(term: BoundTerm, filters: Array, own: Window, size: Pair) -> Array:
    """Return the filters as arrays of a common window, (R, a, b), with taps of 0 around them."""
    assert term.stencil is not None  # noqa: S101 - it has a window
    out = np.zeros((filters.shape[0], *size))
    up, left = (
        o + whole // 2 - a // 2 for o, whole, a in zip(own.origin, size, own.size, strict=True)
    )
    for i, (_, (p, q)) in enumerate(term.stencil.points):
        out[:, p + up, q + left] += filters[:, i]
    return out


def images(own: Window, curvature: Array) -> Array:
    """Return curvatures (N, E or some more) as images of weights (N, h, w), 0 where none count."""
    counts = own.grid
    if own.border == "inside":
        first, second = (n - a + 1 for n, a in zip(own.grid, own.size, strict=True))
        counts = first, second
    known = curvature[:, : counts[0] * counts[1]].reshape(-1, *counts)
    if own.border != "inside":
        return known
    out = np.zeros((curvature.shape[0], *own.grid))
    rows, columns = own.inner
    out[:, rows, columns] = known
    return out
