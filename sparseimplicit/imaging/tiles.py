"""An image that is too large for memory: the same minimiser, found tile by tile.

Each tile is solved with a margin around it, and only what lies within is kept. What the margins do
wrong is put right by sweeps: with r the gradient of the whole at the image so far, v, a tile
minimises

    g_T(u) + ⟨r − ∇g_T(v), u⟩

whose gradient at v is that of the whole. So the sweeps stand still at the minimiser of the whole
and nowhere else, and each takes off what decays across a margin. Source: Brandt 1977 (corrections
τ between the grids of multigrid); Toselli and Widlund 2005, ch. 1 (overlapping Schwarz methods).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np
from scipy.sparse.linalg import LinearOperator

from ..errors import MemoryBudgetExceeded, NotConverged, ShapeError
from ..implicit import ImplicitFunction
from ..linear import Operator, Solver, Structure
from ..linear.memory import available_bytes, told_bytes
from ..linear.operator import Array, norm
from ..problem import MinimizationProblem, altered
from ..state_report import StateReport
from .curvature import smallest_ritz_value
from .models.model import Model
from .observation import Observation

SIDE: Final = 512  # of a tile, without its margin
MARGIN: Final = 32
SWEEPS: Final = 20
SHARE: Final = 0.8  # of the memory that is free
# A tile is solved closer than the whole is to be: the seams have a share in what is left.
CLOSER: Final = 0.3

Slices = tuple[slice, slice]
OnTile = Callable[[int, int, int], Any]


@dataclass(frozen=True)
class Tile:
    """A part of an image, and the part around it with which it is solved; rows and columns."""

    core: Slices
    whole: Slices

    @property
    def inner(self) -> Slices:
        """The core within the whole."""
        rows, columns = (
            slice(core.start - whole.start, core.stop - whole.start)
            for core, whole in zip(self.core, self.whole, strict=True)
        )
        return rows, columns


def tiles_of(shape: tuple[int, int], side: int = SIDE, margin: int = MARGIN) -> list[Tile]:
    """Return tiles whose cores, about side × side and of almost one size, cover an image once."""
    spans = []
    for length in shape:
        edges = np.linspace(0, length, -(-length // side) + 1).round().astype(int).tolist()
        spans.append(
            [
                (slice(a, b), slice(max(a - margin, 0), min(b + margin, length)))
                for a, b in pairwise(edges)
            ]
        )
    return [
        Tile((r, c), (around_r, around_c)) for r, around_r in spans[0] for c, around_c in spans[1]
    ]


def side_of_tiles(model: Model, shape: tuple[int, int], wanted: int | None) -> int:
    """Return the side of the tiles in which an image is to be solved, 0 for the whole at once.

    wanted : what was asked for; None leaves it to the memory that there is.

    Raises
    ------
    ShapeError, MemoryBudgetExceeded
    """
    if wanted and (wanted < 1 or model.reach is None):
        raise ShapeError(
            f"tiles of {wanted} pixels a side for model '{model.kind}'.",
            where="denoise",
            fix="leave tile out: only fields of experts have tiles."
            if model.reach is None
            else "give a positive number.",
        )
    room = SHARE * available_bytes()
    tiled = wanted is None and model.reach is not None and model.memory(shape) > room
    side = wanted or (SIDE if tiled else 0)
    height, width = (min(side + 2 * MARGIN, length) if side else length for length in shape)
    needed = model.memory((height, width))
    if needed > room:
        raise MemoryBudgetExceeded(
            f"{height} × {width} pixels of model '{model.kind}' need about {told_bytes(needed)}; "
            f"{told_bytes(room)} are to be had.",
            where="denoise",
            fix="leave tile to be chosen, or give smaller ones." if wanted is not None
            else "give the job more memory, or smaller tiles.",
        )  # fmt: skip
    return side


@dataclass(frozen=True, eq=False)
class TiledState:
    """The minimiser, (h, w), and how it was found."""

    image: Array
    report: StateReport


@dataclass(frozen=True, eq=False)
class Tiling:
    """The energy of a whole image, tile by tile.

    Parameters
    ----------
    model : Model
        Its state is the image, and its parameters do not depend on the image's shape.
    observed : Observation
    theta : array
    linear_solver : str or Solver, optional
    side, margin : int
        Of a tile, in pixels. The margin is at least twice what filter or blur is wide, so that
        gradients in the core are those of the whole.
    """

    model: Model
    observed: Observation
    theta: Any
    linear_solver: str | Solver | None = None
    side: int = SIDE
    margin: int = MARGIN

    @cached_property
    def tiles(self) -> list[Tile]:
        """All tiles, row by row; larger where nothing near them was measured."""
        blur = self.observed.blur
        reach = max(self.model.reach or 0, max(blur.shape) if blur is not None else 0)
        margin = max(self.margin, 2 * reach)
        return [self._with_data(t) for t in tiles_of(self.observed.shape, self.side, margin)]

    def _with_data(self, tile: Tile) -> Tile:
        """Return the tile with a margin so wide that some pixel in it was measured."""
        weights = self.observed.weights
        margin = self.margin
        while weights is not None and not weights[tile.whole].any():
            margin *= 2
            rows, columns = (
                slice(max(core.start - margin, 0), min(core.stop + margin, length))
                for core, length in zip(tile.core, self.observed.shape, strict=True)
            )
            tile = replace(tile, whole=(rows, columns))
        return tile

    def part(self, tile: Tile) -> Observation:
        """Return what was measured in a tile."""
        weights = self.observed.weights
        return Observation(
            self.observed.image[tile.whole],
            None if weights is None else weights[tile.whole],
            self.observed.blur,
        )

    def problems(self) -> Iterator[tuple[int, Tile, MinimizationProblem]]:
        """Yield each tile with its energy, one at a time."""
        for k, tile in enumerate(self.tiles):
            yield k, tile, self.model.problem(self.part(tile))

    def gradient(self, image: Array) -> tuple[Array, float]:
        """Return the gradient of the whole energy at an image, (h, w), and ‖A image‖."""
        out, square = np.empty_like(image), 0.0
        for _, tile, problem in self.problems():
            y = image[tile.whole].ravel()
            shape = image[tile.whole].shape
            own = np.reshape(problem.gradient(self.theta, y), shape)
            out[tile.core] = own[tile.inner]
            hessian = Operator(problem.hessian(self.theta, y), Structure.SYMMETRIC)
            square += norm(np.reshape(hessian.apply(y), shape)[tile.inner].ravel()) ** 2
        return out, float(np.sqrt(square))

    def smallest_curvature(self, image: Array) -> float:
        """Return a bound from above on the smallest eigenvalue of the Hessian of the whole.

        Of its blocks that belong to the cores, whose smallest eigenvalues are no smaller.
        """
        found = []
        for _, tile, problem in self.problems():
            y = image[tile.whole]
            hessian = Operator(problem.hessian(self.theta, y.ravel()), Structure.SYMMETRIC)
            found.append(smallest_ritz_value(_block(hessian, y.shape, tile.inner)))
        return min(found)

    def sweep(
        self, image: Array, slope: Array | None, rtol: float, on_start: Callable[[int], Any]
    ) -> tuple[Array, list[StateReport]]:
        """Solve every tile once, from an image and the gradient of the whole there."""
        out, reports = np.empty_like(image), []
        for k, tile, problem in self.problems():
            on_start(k)
            y = image[tile.whole].ravel()
            if slope is not None:
                tilt = slope[tile.whole].ravel() - problem.gradient(self.theta, y)
                problem = tilted(problem, tilt)
            solver = self.linear_solver or self.model.solver_for(self.observed)
            solved = ImplicitFunction(problem, solver).solve(self.theta, y, rtol=rtol)
            out[tile.core] = solved.y.reshape(image[tile.whole].shape)[tile.inner]
            reports.append(solved.report)
        return out, reports

    def solve(self, rtol: float, *, on_tile: OnTile | None = None) -> TiledState:
        """Return the minimiser: ‖∇g‖ ≤ rtol ‖A u‖, both of the whole.

        on_tile : callable, optional
            Called before each tile with its number and that of the sweep, from 1, and their count.

        Raises
        ------
        NotConverged
            If the sweeps come no nearer: what decays across a margin is too little.
        """
        tell = on_tile or (lambda *_: None)
        image = self.model.first_guess(self.observed).reshape(self.observed.shape)
        count = len(self.tiles)
        slope, done, sizes = None, [], []
        for sweep in range(1, SWEEPS + 1):

            def on_start(k: int, sweep: int = sweep) -> None:
                tell(k + 1, sweep, count)

            image, reports = self.sweep(image, slope, CLOSER * rtol, on_start)
            done += reports
            slope, scale = self.gradient(image)
            sizes.append(norm(slope.ravel()))
            if sizes[-1] <= rtol * scale:
                break
            if sweep > 2 and sizes[-1] > 0.7 * sizes[-2]:
                break
        report = _summary(done, sizes, scale, rtol, count)
        if not report.converged:
            raise NotConverged(
                f"after sweep {len(sizes)} over {count} tiles a gradient is left of "
                f"{report.residual_relative:.1e}, {rtol:.0e} was wanted: what one tile does is "
                f"felt beyond the {self.margin} pixels around it.",
                where="denoise",
                fix="give larger tiles, more memory, or a larger rtol.",
            )
        return TiledState(image, report)


def tilted(problem: MinimizationProblem, slope: Array) -> MinimizationProblem:
    """Return the energy plus ⟨slope, y⟩."""
    assert problem.objective is not None  # noqa: S101 - an energy has one
    objective = problem.objective
    return altered(
        problem,
        objective=lambda x, y: objective(x, y) + float(slope @ y),
        gradient=lambda x, y: problem.gradient(x, y) + slope,
    )


def _block(hessian: Operator, shape: tuple[int, ...], inner: Slices) -> Operator:
    """Return the rows and columns of the pixels within."""

    def multiply(v: Array) -> Array:
        spread = np.zeros(shape)
        spread[inner] = v.reshape(spread[inner].shape)
        return np.reshape(hessian.apply(spread.ravel()), shape)[inner].ravel()

    n = int(np.prod(np.zeros(shape, dtype=bool)[inner].shape))
    block = LinearOperator((n, n), matvec=multiply, dtype=np.float64)
    return Operator(block, Structure.SYMMETRIC)


def _summary(
    reports: list[StateReport], sizes: list[float], scale: float, rtol: float, tiles: int
) -> StateReport:
    """Return one report for all solves, with the residual of the whole."""
    relative = sizes[-1] / scale if scale else 0.0
    return replace(
        reports[0],
        method=f"{len(sizes)} sweeps over {tiles} tiles by {reports[0].method}",
        converged=sizes[-1] <= rtol * scale,
        rtol=rtol,
        residual=sizes[-1],
        residual_relative=relative,
        residual_before=sizes[0],
        objective=None,
        iterations=sum(r.iterations for r in reports),
        linear_iterations=sum(r.linear_iterations for r in reports),
        factorizations=sum(r.factorizations for r in reports),
        history=tuple(sizes),
        seconds={
            name: sum(r.seconds.get(name, 0.0) for r in reports) for name in reports[0].seconds
        },
    )
