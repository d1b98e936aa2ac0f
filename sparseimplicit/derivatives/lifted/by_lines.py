"""Products with filters line by line, by tiles of images; see `kernels.lifts`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...kernels import lifts
from ..programs.lists import frozen
from ..programs.threads import spread
from ..stated.grids import Stencil
from .lines import Lines, responses_room
from .transposed import Transposed

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Share = Callable[[int, int], None]

PARALLEL: Final = 20_000_000  # products F[r, i] y; below it threads cost as much
TALL: Final = 8  # pairs of lines that one task of the transpose computes
GROUPS: Final = 64  # of lines of elements, whose sums by filters are taken apart


class LineProducts:
    """F u, Fᵀ q and Σ q uᵀ of the elements of a stencil.

    Results have the same bits for any number of threads.
    """

    def __init__(self, stencil: Stencil) -> None:
        self.lines = Lines(stencil)
        self._made: dict[int, Transposed] = {}

    def lift(self, filters: Array, u: Array) -> Array:
        """Return F u_loc of every element, (R, E)."""
        lines = self.lines
        out = responses_room(filters.shape[0], lines.elements)
        paired = np.zeros((-(-filters.shape[0] // 2), 2, lines.shifts.size))
        paired.reshape(-1, lines.shifts.size)[: filters.shape[0]] = filters
        pairs, v = np.ascontiguousarray(paired.swapaxes(1, 2)), lines.padded(u)

        def share(first: int, last: int) -> None:
            lifts.lift_lines(first, last, pairs, v, lines.pixels, lines.shifts, lines.width, out)

        self._run(share, lines.pixels.size, filters)
        return out

    def lower(self, filters: Array, q: Array, out: Array) -> None:
        """Add Fᵀ q of every element to the unknowns."""
        lines = self.lines
        whole = out[: lines.size] if lines.padding is None else np.zeros(lines.size)
        by = self._transposed(filters.shape[0])
        c, edges, flat = by.coefficients(filters), by.edges(q), frozen(q).reshape(-1)

        def share(first: int, last: int) -> None:
            lifts.lower_lines(
                first, last, TALL, c, by.starts, by.places, by.lines, flat, lines.width, edges,
                by.at_edge, by.edge_of, lines.row, whole,
            )  # fmt: skip

        self._run(share, -(-by.lines.shape[0] // TALL), filters)
        if lines.padding is not None:
            images = lines.padding.fold(whole.reshape(lines.fields, *lines.shape))
            target = out[: lines.stencil.size].reshape(images.shape)
            target += images

    def outer(self, q: Array, u: Array) -> Array:
        """Return Σ_e q_e u_locᵀ, (R, k)."""
        lines = self.lines
        group = -(-lines.pixels.size // GROUPS)
        groups = -(-lines.pixels.size // group)
        parts = np.zeros((groups, q.shape[0], lines.shifts.size))
        rows, _ = lifts.TALL
        if q.shape[0] < rows:  # as many are read
            q = np.concatenate([q, np.zeros((rows - q.shape[0], q.shape[1]))])
        flat, v = frozen(q).reshape(-1), lines.padded(u)
        runs, ordered = self._short_runs

        def share(first: int, last: int) -> None:
            lifts.outer_lines(
                first, last, flat, q.shape[1], v, lines.pixels, lines.shifts, runs, ordered,
                lines.width, group, parts,
            )  # fmt: skip

        self._run(share, groups, q)
        return np.asarray(parts.sum(axis=0))

    def _run(self, share: Share, tasks: int, responses: Array) -> None:
        if responses.shape[0] * self.lines.elements * self.lines.shifts.size < PARALLEL:
            share(0, tasks)
        else:
            spread(share, tasks)

    @cached_property
    def _short_runs(self) -> tuple[Ints, Ints]:
        """Bounds of runs of 8 taps at most, and 0, 1, 2, … along a line."""
        _, lanes = lifts.TALL
        runs = self.lines.runs
        pieces = [np.arange(a, b, lanes) for a, b in itertools.pairwise(runs.tolist())]
        return np.concatenate([*pieces, runs[-1:]]), np.arange(self.lines.width)

    def _transposed(self, responses: int) -> Transposed:
        """Return what the transpose of so many filters needs; made once."""
        if responses not in self._made:
            self._made[responses] = Transposed(self.lines, responses)
        return self._made[responses]
