"""Lifts on grids, line by line: no index is stored for an element.

Beyond a border that is not "inside" stand copies of pixels. They are written around each field
first, so that all elements are alike; what the transpose brings to them is folded back.
"""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...kernels import lifts
from ...linear.padding import Padding
from ..stated.grids import Stencil, flat

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

MODES: Final = {"symmetric": "symmetric", "nearest": "edge", "periodic": "wrap"}


class Lines:
    """The elements of a stencil as lines of the (padded) state.

    line : of each line of elements the line of the (padded) grid on which it stands, from column
    ``column`` on; pixels : its first unknown. Unknown i of element t is pixels + shifts[i] + t.
    runs : bounds of taps that follow one another. size : of the padded state.
    """

    def __init__(self, stencil: Stencil) -> None:
        self.stencil = stencil
        self.fields = stencil.size // stencil.pixels
        inside = stencil.border == "inside"
        margins = tuple((0, 0) if inside else (-low, high) for low, high in stencil.reach)
        self.padding = None if inside else Padding(stencil.shape, margins, MODES[stencil.border])
        self.shape = stencil.shape if self.padding is None else self.padding.padded_shape
        box = stencil.element_box
        first = [-low for low, _ in stencil.reach]
        counts = [b - a for a, b in box]
        self.width = counts[-1]
        line = np.zeros((1,) * (len(counts) - 1), dtype=np.int64)
        for axis, (start, count, n) in enumerate(
            zip(first[:-1], counts[:-1], self.shape[:-1], strict=True)
        ):
            form = [1] * (len(counts) - 1)
            form[axis] = count
            line = line * n + np.arange(start, start + count).reshape(form)
        self.row = self.shape[-1]
        self.line: Ints = line.reshape(-1)
        self.column = first[-1]
        self.pixels: Ints = self.line * self.row + self.column
        pixels = int(np.prod(self.shape))
        self.size = self.fields * pixels
        shifts = [field * pixels + flat(self.shape, o) for field, o in stencil.points]
        self.shifts = np.array(shifts, dtype=np.int64)
        self.runs = _runs(stencil)

    @property
    def elements(self) -> int:
        """Number of elements, line by line."""
        return int(self.pixels.size * self.width)

    def padded(self, u: Array) -> Array:
        """Return the fields of the stencil with their copies beyond the border, flat, and slack."""
        out = np.empty(self.size + lifts.SLACK)
        out[self.size :] = 0.0
        images = u[: self.stencil.size].reshape(self.fields, *self.stencil.shape)
        whole = out[: self.size].reshape(self.fields, *self.shape)
        if self.padding is None:
            whole[...] = images
        else:
            self.padding.spread(images, whole)
        return out


def _runs(stencil: Stencil) -> Ints:
    """Return the bounds of taps that follow one another on a line of one field."""
    bounds = [0]
    for i, ((f, o), (g, p)) in enumerate(itertools.pairwise(stencil.points), start=1):
        if (f, o[:-1], o[-1] + 1) != (g, p[:-1], p[-1]):
            bounds.append(i)
    return np.array([*bounds, len(stencil.points)], dtype=np.int64)


def responses_room(responses: int, elements: int) -> Array:
    """Return room for numbers of all responses, (R, E or some more).

    Rows stand an odd number of cache lines apart. Else the responses of a pixel of an image of 256²
    would all compete for the same few places of the cache: the transpose is then half as fast.
    """
    return np.empty((responses, 8 * (-(-elements // 8) | 1)))
