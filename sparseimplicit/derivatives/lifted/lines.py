"""Lifts on grids, line by line: no index is stored for an element.

Beyond a border that is not "inside" stand copies of pixels. They are written around each field
first, so that all elements are alike; what the transpose brings to them is folded back.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ...kernels import lifts
from ...linear.padding import Padding
from ..programs.lists import frozen
from ..programs.threads import spread
from ..stated.grids import Stencil, flat

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Share = Callable[[int, int], None]

MODES: Final = {"symmetric": "symmetric", "nearest": "edge", "periodic": "wrap"}
PARALLEL: Final = 500_000  # products F[r, i] y; below it threads cost as much
TILE: Final = 16_384  # unknowns of a tile of the transpose: with what it reads in the second cache
GROUPS: Final = 64  # of lines of elements, whose sums by filters are taken apart


class Lines:
    """The elements of a stencil as lines of the (padded) state, and products with filters there.

    Results have the same bits for any number of threads.
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
        size = int(np.prod(self.shape))
        shifts = [field * size + flat(self.shape, o) for field, o in stencil.points]
        self.shifts = np.array(shifts, dtype=np.int64)
        self.runs = _runs(stencil)

    @property
    def elements(self) -> int:
        """Number of elements, line by line."""
        return int(self.pixels.size * self.width)

    def padded(self, u: Array) -> Array:
        """Return the fields of the stencil with their copies beyond the border, flat."""
        if self.padding is None:
            return frozen(u)
        images = u[: self.stencil.size].reshape(self.fields, *self.stencil.shape)
        return frozen(self.padding.spread(images).reshape(-1))

    def lift(self, filters: Array, u: Array) -> Array:
        """Return F u_loc of every element, (R, E)."""
        out = np.empty((filters.shape[0], self.elements))
        f, v = frozen(filters), self.padded(u)

        def share(first: int, last: int) -> None:
            lifts.lift_lines(
                first, last, f, v, self.pixels, self.shifts, self.runs, self.width, out
            )

        self._run(share, self.pixels.size, filters)
        return out

    def lower(self, filters: Array, q: Array, out: Array) -> None:
        """Add Fᵀ q of every element to the unknowns."""
        whole = out
        if self.padding is not None:
            whole = np.zeros(self.fields * int(np.prod(self.shape)))
        tall, slots, columns, starts, needed = self._tiles
        flipped, read = frozen(filters[:, self._backwards]), frozen(q)
        reach = int(np.diff(self.runs).max()) - 1

        def share(first: int, last: int) -> None:
            lifts.lower_lines(
                first, last, flipped, read, tall, self.row, slots, columns, starts, needed,
                self.runs, self.width, reach, whole,
            )  # fmt: skip

        self._run(share, starts.size - 1, filters)
        if self.padding is not None:
            images = self.padding.fold(whole.reshape(self.fields, *self.shape))
            target = out[: self.stencil.size].reshape(images.shape)
            target += images

    def outer(self, q: Array, u: Array) -> Array:
        """Return Σ_e q_e u_locᵀ, (R, k)."""
        group = -(-self.pixels.size // GROUPS)
        groups = -(-self.pixels.size // group)
        parts = np.zeros((groups, q.shape[0], self.shifts.size))
        read, v = frozen(q), self.padded(u)

        def share(first: int, last: int) -> None:
            lifts.outer_lines(
                first, last, read, v, self.pixels, self.shifts, self.runs, self.width, group, parts
            )

        self._run(share, groups, q)
        return np.asarray(parts.sum(axis=0))

    def _run(self, share: Share, tasks: int, responses: Array) -> None:
        if responses.shape[0] * self.elements * self.shifts.size < PARALLEL:
            share(0, tasks)
        else:
            spread(share, tasks)

    @cached_property
    def _backwards(self) -> Ints:
        """The taps with each run backwards."""
        pairs = zip(self.runs[:-1].tolist(), self.runs[1:].tolist(), strict=True)
        return np.concatenate([np.arange(b - 1, a - 1, -1) for a, b in pairs])

    @cached_property
    def _tiles(self) -> tuple[int, Any, Ints, Ints, Ints]:
        """Lines of a tile and what the transpose reads for them; see `lifts.lower_lines`."""
        lines = self.fields * int(np.prod(self.shape[:-1]))
        down, columns = np.divmod(self.column + self.shifts[self.runs[:-1]], self.row)
        feeds = np.full((lines, down.size), -1, dtype=np.int64)
        for g, step in enumerate(down.tolist()):
            feeds[self.line + step, g] = np.arange(self.line.size)
        tall = max(TILE // self.row, 4)
        starts: list[int] = [0]
        needed: list[Ints] = []
        for first in range(0, lines, tall):
            tile = feeds[first : first + tall]
            wanted = np.unique(tile[tile >= 0])
            tile[tile >= 0] = np.searchsorted(wanted, tile[tile >= 0])
            needed.append(wanted)
            starts.append(starts[-1] + wanted.size)
        return (
            tall, feeds, np.ascontiguousarray(columns), np.array(starts), np.concatenate(needed)
        )  # fmt: skip


def _runs(stencil: Stencil) -> Ints:
    """Return the bounds of taps that follow one another on a line of one field."""
    bounds = [0]
    for i, ((f, o), (g, p)) in enumerate(itertools.pairwise(stencil.points), start=1):
        if (f, o[:-1], o[-1] + 1) != (g, p[:-1], p[-1]):
            bounds.append(i)
    return np.array([*bounds, len(stencil.points)], dtype=np.int64)
