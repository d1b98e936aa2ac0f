"""Which taps bring which line of elements to a pair of lines of unknowns: Fᵀ q, gathered.

Unknown j of line L gets F[r, i] q[r, n, j − x] from every line n of elements at line L − d, where
tap i stands d lines below and x columns beyond the first column of the grid. Of lines L and L + 1
the same numbers of q are wanted, by taps with d and with d + 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from ...kernels import lifts
from .lines import Lines, responses_room

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


class Transposed:
    """The structure of one transpose; see `lifts.lower_lines` for what the arrays mean."""

    def __init__(self, grid: Lines, responses: int) -> None:
        self.responses, self.width, self.rows = responses, grid.width, grid.pixels.size
        down, across = np.divmod(grid.column + grid.shifts, grid.row)
        taps, self._which = np.unique(np.stack([down, across]), axis=1, return_inverse=True)
        self._which = self._which.reshape(-1)
        self._taps = taps.shape[1]
        number = {(d, x): i for i, (d, x) in enumerate(taps.T.tolist())}
        steps = sorted({d - lift for d, _ in number for lift in (0, 1)})
        none = self._taps  # a column of zeros
        self._reach = int(across.min()), int(across.max())
        starts: list[int] = [0]
        take: list[Any] = []
        places: list[Any] = []
        at_edge: list[Any] = []
        response = np.arange(responses)[:, None]
        apart = responses_room(0, grid.elements).shape[1]
        wide = lifts.LANES + self._reach[1] - self._reach[0]
        for d in steps:
            columns = sorted({x for e, x in number if e in (d, d + 1)})
            both = [[number.get((e, x), none) for e in (d, d + 1)] for x in columns]
            x = np.array(columns)
            take.append((response[..., None] * (none + 1) + np.array(both)).reshape(-1, 2))
            places.append((response * apart - x).reshape(-1))
            at_edge.append((response * wide + self._reach[1] - x).reshape(-1))
            starts.append(starts[-1] + responses * x.size)
        self._take: Ints = np.concatenate(take)
        self.places: Ints = np.concatenate(places)
        self.at_edge: Ints = np.concatenate(at_edge)
        self.starts: Ints = np.array(starts, dtype=np.int64)
        self.lines = _lines(grid, np.array(steps))
        begins = np.arange(0, grid.row, lifts.LANES)
        inside = (begins >= self._reach[1]) & (
            begins + lifts.LANES - 1 - self._reach[0] < grid.width
        )
        self._edges = begins[~inside]
        self.edge_of: Ints = np.where(inside, -1, np.cumsum(~inside) - 1).astype(np.int64)

    def coefficients(self, filters: Array) -> Array:
        """Return the taps in the order in which they are read, for both lines of a pair."""
        sums = np.zeros((self.responses, self._taps + 1))
        if self._taps == filters.shape[1]:
            sums[:, self._which] = filters
        else:  # an offset is named twice
            np.add.at(sums, (slice(None), self._which), filters)
        return np.asarray(sums.reshape(-1)[self._take])

    def edges(self, q: Array) -> Array:
        """Return the numbers of tiles at the ends of lines, (tiles, lines, R · …), with zeros."""
        low, high = self._reach
        wide = lifts.LANES + high - low
        lines = as_strided(
            q, (self.rows, self.responses, self.width), (8 * self.width, q.strides[0], 8)
        )
        out = np.zeros((self._edges.size, self.rows, self.responses, wide))
        for to, begin in zip(out, self._edges.tolist(), strict=True):
            first = begin - high
            a, b = max(first, 0), min(first + wide, self.width)
            if a < b:
                to[:, :, a - first : b - first] = lines[:, :, a:b]
        return out.reshape(*out.shape[:2], self.responses * wide)


def _lines(grid: Lines, steps: Ints) -> Ints:
    """Return the line of elements at line 2 pair − d, (pairs, steps); −1 where there is none."""
    total = grid.size // grid.row
    number = np.full(total, -1, dtype=np.int64)
    number[grid.line] = np.arange(grid.line.size)
    places = np.arange(0, total, 2)[:, None] - steps
    known = (places >= 0) & (places < total)
    return np.ascontiguousarray(np.where(known, number[np.where(known, places, 0)], -1))
