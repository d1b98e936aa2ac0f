"""Smoothers of multigrid on regular grids: overlapping blocks of lines, solved exactly.

A level is smoothed by solving blocks of neighbouring lines exactly, first those of one tiling,
then those of another that is shifted by half a block, and in the other order on the way back. What
couples strongly inside a block needs not be seen by the coarse grid: that is what makes 3 to 20
iterations of coefficients that vary from point to point over four decades.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numba
import numpy as np
from numpy.typing import NDArray

from ..errors import NotPositiveDefinite
from ..kernels import PARALLEL_ROWS, line_factors, lines
from ..kernels.lanes import LANES
from .grids import CENTRE, Offset, Seams, Shape, Table, Tiling, seams, tiling
from .room import Lease

PLANAR_LINES: Final = 8  # a block on a plane; half of it is the overlap of the two tilings
SPATIAL_LINES: Final = 2  # and in space, along each of two axes
SPATIAL_DAMPING: Final = 0.9  # blocks that meet at edges correct the same point up to four times


@dataclass(frozen=True, eq=False)
class Smoother:
    """The blocks of one tiling, with their factors or with room to make one at a time.

    pivots, lower : of all groups of blocks, or of one a task where `coefficients` are held.
    """

    tiling: Tiling
    pivots: NDArray[Any]
    lower: NDArray[Any]
    damping: float
    scratch: NDArray[Any]
    coefficients: NDArray[Any] | None = None

    def solve(
        self,
        r: NDArray[Any],
        x: NDArray[Any],
        *,
        add: bool,
        reads: Table | None = None,
        writes: Table | None = None,
    ) -> None:
        """x (+)= damping M⁻¹ r; reads, writes: the lines where r is not 0, where x is wanted."""
        t = self.tiling
        reads = t.lines if reads is None else reads
        writes = t.lines if writes is None else writes
        if self.coefficients is None:
            lines.solve(
                self.pivots, self.lower, reads, writes, t.points, t.stride, t.band, self.damping,
                add, r, x, self.scratch,
            )  # fmt: skip
        else:
            lines.solve_anew(
                self.coefficients, t.lines, t.links, reads, writes, t.points, t.stride, t.band,
                self.damping, add, r, x, self.scratch, self.pivots, self.lower,
            )  # fmt: skip


def smoother(
    coefficients: NDArray[Any],
    kind: Tiling,
    damping: float,
    dtype: type[np.floating[Any]],
    lease: Lease,
    *,
    halved: bool,
    lean: bool,
) -> Smoother:
    """Factorize the blocks of a tiling in the precision of ``dtype``, or later if ``lean``.

    halved : hold what is below the diagonal in float16: half of the bytes.
    """
    tasks = 1
    if coefficients.shape[1] >= PARALLEL_ROWS:
        tasks = min(numba.get_num_threads(), kind.lines.shape[0])
    scratch = lease.empty((tasks, kind.rows * LANES), dtype)
    held, numbers = (tasks if lean else kind.groups), kind.rows * LANES
    pivots = lease.empty((held, numbers), dtype)
    below = np.uint16 if halved else dtype
    lower = lease.empty((held, numbers * kind.band), below)
    if lean:
        return Smoother(kind, pivots, lower, damping, scratch, coefficients)
    _, negative = line_factors.factorize(
        coefficients, kind.lines, kind.links, kind.points, kind.stride, kind.band, pivots, lower
    )
    if negative:
        raise indefinite(f"Cholesky of {negative} of its blocks of lines met a negative pivot")
    return Smoother(kind, pivots, lower, damping, scratch)


def indefinite(found: str) -> NotPositiveDefinite:
    """Return the error for what a level was found to be."""
    return NotPositiveDefinite(
        f"the matrix is not positive definite: {found}.",
        where="solver 'multigrid', prepare",
        fix="use 'minres' or a direct solver for an indefinite matrix.",
    )


def tilings(
    shape: Shape, offsets: tuple[Offset, ...], axis: int, *, last: bool
) -> tuple[list[Tiling], Seams | None, float]:
    """Return the blocks of both tilings, their lines along ``axis``, the seams, and the damping."""
    if last:
        return [tiling(shape, offsets, axis, _across(shape, axis, shape), CENTRE)], None, 1.0
    spatial = min(shape) > 1
    lines = SPATIAL_LINES if spatial else PLANAR_LINES
    size = _across(shape, axis, (lines, lines, lines))
    shifted = size[0] // 2, size[1] // 2, size[2] // 2
    kinds = [tiling(shape, offsets, axis, size, at) for at in (CENTRE, shifted)]
    if spatial:
        return kinds, None, SPATIAL_DAMPING
    return kinds, seams(shape, offsets, axis, size, shifted), 1.0


def _across(shape: Shape, axis: int, size: Shape) -> Shape:
    """Return the size of a block, with one line along its own axis and along those of one point."""
    z, y, x = (1 if a == axis or shape[a] == 1 else size[a] for a in range(3))
    return z, y, x


def stored_bytes(shape: Shape, pivot: int, below: int) -> int:
    """Return about the bytes of all factors, which a lean hierarchy does without.

    pivot, below : bytes of a number on and below the diagonal.
    """
    spatial = min(shape) > 1
    band = SPATIAL_LINES**2 + 1 if spatial else PLANAR_LINES + 1
    return int(2 * (pivot + below * band) * np.prod(shape) * (1.5 if spatial else 1.4))
