"""Multigrid on regular grids: levels by black-box transfers, and the cycle over them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..kernels import (
    PARALLEL_ROWS,
    bordered,
    bordered_setup,
    bordered_transfers,
    seams,
    stencil,
    transfers,
)
from .grids import Offset, Seams, Shape, Transfer, transfer
from .room import Lease
from .smoothers import Smoother, indefinite, smoother, tilings
from .strengths import coarsening, line_axis, strengths, three_digits_do

LAST_LINES: Final = 16  # a level of no more lines is one block, and solved exactly


class Level:
    """One grid of the hierarchy, with room for a cycle.

    smoothers : of two tilings, or of one block that is the whole grid.
    seams : of the tilings, where blocks meet along one axis alone; what couples across them is then
        all that is held of the coefficients.
    bordered : nothing couples round a border.
    """

    def __init__(
        self,
        shape: Shape,
        offsets: tuple[Offset, ...],
        coefficients: NDArray[Any],
        smoothers: list[Smoother],
        seams: Seams | None,
        dtype: type[np.floating[Any]],
        lease: Lease,
        *,
        bordered: bool,
    ) -> None:
        self.bordered = bordered
        self.shape = np.array(shape)
        self.offsets = np.array(offsets)
        self.smoothers = smoothers
        self.seams = seams if bordered else None
        self.coefficients = coefficients if self.seams is None else None
        self.residual_rows = _residual_rows(shape, self.seams)
        self.across_seams = self._across_seams(coefficients, lease, dtype)
        n = coefficients.shape[1]
        self.b, self.x, self.r = (lease.empty((n,), dtype) for _ in range(3))
        self.r[...] = 0.0  # what is not at seams stays so
        self.transfer: Transfer  # to the next level, where there is one
        self.weights: NDArray[Any] = np.zeros((0, 0))
        self.coarse = self.shape

    def _across_seams(
        self, coefficients: NDArray[Any], lease: Lease, dtype: type[np.floating[Any]]
    ) -> list[NDArray[Any]]:
        """Return what couples across the seams of each tiling; nothing where there are none."""
        if self.seams is None:
            return []
        made = []
        for starts, blocks in zip(self.seams.starts, self.smoothers, strict=True):
            t, links = blocks.tiling, self.seams.links
            made.append(lease.empty((len(starts), len(links), t.points), dtype))
            seams.couplings(coefficients, starts, links, t.points, t.stride, made[-1])
        return made

    def residual(self) -> None:
        """r = b − A x, where there are no seams."""
        run = bordered.residual if self.bordered else stencil.residual
        run(self.coefficients, self.offsets, self.shape, self.x, self.b, self.r)

    def descend(self) -> None:
        """Smooth from x = 0, and leave the residual."""
        first, second = self.smoothers
        if self.seams is not None:
            self._descend_by_seams(self.seams)
            return
        first.solve(self.b, self.x, add=False)
        self.residual()
        second.solve(self.r, self.x, add=True)
        self.residual()

    def ascend(self) -> None:
        """Smooth in the other order."""
        first, second = self.smoothers
        if self.seams is not None:
            self._ascend_by_seams(self.seams)
            return
        self.residual()
        second.solve(self.r, self.x, add=True)
        self.residual()
        first.solve(self.r, self.x, add=True)

    # With A = M + O, M the blocks of a tiling and O what couples across its seams, b − A x is −O x
    # after M x = b; and x + M⁻¹(b − A x) = M⁻¹(b − O x) needs no x but beside the seams. So all
    # goes by the lines at seams: x holds there, and only there, what has been found, b and r what
    # is to be solved for. Where corrections reach rows at will, they spare the seams of the first
    # tiling; where lines are columns, b must have what x holds there before they come.

    def _descend_by_seams(self, at: Seams) -> None:
        first, second = self.smoothers
        first.solve(self.b, self.x, add=False, writes=at.first_own)
        self._across(0, self.r, add=False)
        self._clear(1, self.x)
        second.solve(self.r, self.x, add=True, reads=at.second_other, writes=at.second_both)
        if not at.along_rows:
            self._across(0, self.b, add=True)
            self._clear(0, self.r)
        self._across(1, self.r, add=False)

    def _ascend_by_seams(self, at: Seams) -> None:
        first, second = self.smoothers
        self._across(1, self.r, add=False)
        second.solve(self.r, self.x, add=at.along_rows, reads=at.second_own, writes=at.second_other)
        self._across(0, self.b, add=True)
        first.solve(self.b, self.x, add=False)

    def _across(self, tiling: int, out: NDArray[Any], *, add: bool) -> None:
        """out (+)= −O x at the seams of a tiling."""
        assert self.seams is not None  # noqa: S101 - the callers have looked
        t = self.smoothers[tiling].tiling
        seams.across(
            self.across_seams[tiling], self.seams.starts[tiling], self.seams.alongs, t.points,
            t.stride, self.x, add, out,
        )  # fmt: skip

    def _clear(self, tiling: int, out: NDArray[Any]) -> None:
        """out = 0 at the seams of a tiling."""
        assert self.seams is not None  # noqa: S101 - the callers have looked
        t = self.smoothers[tiling].tiling
        seams.clear(self.seams.starts[tiling], t.points, t.stride, out)

    def restrict(self, coarser: Level) -> None:
        """Bring the residual to the next level."""
        self._carry(bordered_transfers.restrict, transfers.restrict, self.r, coarser.b)

    def prolong(self, coarser: Level) -> None:
        """Add the correction of the next level."""
        self._carry(bordered_transfers.prolong, transfers.prolong, coarser.x, self.x)

    def _carry(self, within: Any, around: Any, given: NDArray[Any], out: NDArray[Any]) -> None:
        t = self.transfer
        tables = self.weights, t.reached, self.shape, self.coarse, t.steps
        if self.bordered:
            within(*tables, self.residual_rows, given, out)
        else:
            around(*tables, given, out)


def _residual_rows(shape: Shape, at: Seams | None) -> NDArray[np.bool_]:
    """Return which rows have a residual after `descend`, and no others a use for corrections."""
    rows = np.ones(shape[0] * shape[1], dtype=np.bool_)
    if at is not None and at.along_rows:
        rows[:] = False
        rows[at.starts[1] // shape[2]] = True
    return rows


def build(
    shape: Shape,
    offsets: tuple[Offset, ...],
    coefficients: NDArray[np.float64],
    dtype: type[np.floating[Any]],
    lease: Lease,
    *,
    bordered: bool = False,
    lean: bool = False,
) -> list[Level]:
    """Return the levels of a hierarchy, the finest first.

    bordered : nothing couples round a border.

    lean : hold no factors but of small levels, and of the finest level no second copy of the
        coefficients: about half of the bytes, for several times the time.
    """
    levels: list[Level] = []
    while True:
        strength = strengths(shape, offsets, coefficients)
        axis = line_axis(strength)
        last = int(np.prod(shape)) // shape[axis] <= LAST_LINES
        kinds, between, damping = tilings(shape, offsets, axis, last=last)
        precision = np.float64 if last else dtype
        by_seams = bordered and between is not None
        halved = precision == np.float32 and three_digits_do(
            shape, coefficients, strength, by_seams=by_seams
        )
        anew = lean and coefficients.shape[1] >= PARALLEL_ROWS and not last
        # Read again for residuals, or for factors: of the finest level then those of the user.
        copied = bool(levels) if anew else not by_seams
        held = lease.cast(coefficients, precision) if copied else coefficients
        smoothers = [
            smoother(
                held if anew else coefficients, kind, damping, precision, lease,
                halved=halved, lean=anew,
            )
            for kind in kinds
        ]  # fmt: skip
        level = Level(shape, offsets, held, smoothers, between, precision, lease, bordered=bordered)
        levels.append(level)
        given, done = coefficients, len(levels) > 1  # the finest are the user's
        if not last:
            steps = coarsening(shape, strength)
            shape, offsets, coefficients = _coarsen(
                level, shape, offsets, coefficients, steps, dtype, lease
            )
        if done:
            lease.room.give_back(given)
        if last:
            return levels


def _coarsen(
    level: Level,
    shape: Shape,
    offsets: tuple[Offset, ...],
    coefficients: NDArray[np.float64],
    steps: Shape,
    dtype: type[np.floating[Any]],
    lease: Lease,
) -> tuple[Shape, tuple[Offset, ...], NDArray[np.float64]]:
    t = transfer(offsets, steps, tuple(size > 1 for size in shape))
    coarse = tuple(-(-size // step) for size, step in zip(shape, steps, strict=True))
    level.transfer, level.coarse = t, np.array(coarse)
    points = int(np.prod(coarse))
    reached = coarse[0] * coarse[1], t.reached.shape[0], coarse[2]
    level.weights = weights = lease.empty(reached, dtype)
    weights[...] = 0.0  # also of what is not reached
    kernels = bordered_setup if level.bordered else transfers
    for odd, reach, parts in t.interpolation:
        kernels.interpolate(
            coefficients, level.shape, level.coarse, t.steps, odd, reach, parts, weights
        )
    made = lease.room.empty((len(t.coarse_offsets), points), np.float64)
    kernels.coarsen(
        coefficients, weights, level.shape, level.coarse, t.steps, t.spread, t.gather, t.places,
        made,
    )  # fmt: skip
    if not float(made[0].min()) > 0.0:  # P has full rank: Pᵀ A P is as definite as A
        raise indefinite(f"on a grid of {coarse} points a diagonal entry is {made[0].min():.3g}")
    return coarse, t.coarse_offsets, made  # type: ignore[return-value]


def cycle(levels: list[Level]) -> None:
    """Run one V-cycle on ``levels[0].b``; the result is ``levels[0].x``."""
    for finer, coarser in pairwise(levels):
        finer.descend()
        finer.restrict(coarser)
    levels[-1].smoothers[0].solve(levels[-1].b, levels[-1].x, add=False)
    for coarser, finer in pairwise(reversed(levels)):
        finer.prolong(coarser)
        finer.ascend()
