"""An image that is too large for memory: the same minimiser, found tile by tile.

Each tile is solved with a margin around it, and only what lies within is kept. What the margins do
wrong is put right by sweeps: with r the gradient of the whole at the image so far, v, a tile
minimises

    g_T(u) + ⟨r − ∇g_T(v), u⟩

whose gradient at v is that of the whole. So the sweeps stand still at stationary points of the
whole, and each takes off what decays across a margin; when to stop is told by the gradient of the
whole alone. Source: Brandt 1977 (corrections τ between the grids of multigrid); Cai and Sarkis 1999
(restricted additive Schwarz, which keeps what lies within).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from scipy import ndimage
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
from .tiles import Slices, Tile, extent, tiles_of, widened

SIDE: Final = 512  # of a tile, without its margin
MARGIN: Final = 32
SWEEPS: Final = 40
PATIENCE: Final = 4  # sweeps
SHARE: Final = 0.8  # of the memory that is free
# A tile is solved closer than the whole is to be: the seams have a share in what is left.
CLOSER: Final = 0.3

OnTile = Callable[[int, int, int], Any]


def tiling_for(
    model: Model,
    observed: Observation,
    theta: Any,
    linear_solver: str | Solver | None,
    wanted: int | None,
) -> Tiling | None:
    """Return the tiles in which an image is to be solved; None for the whole at once.

    wanted : their side, 0 for none; None leaves it to the memory that there is.

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
    room, whole = SHARE * available_bytes(), model.memory(observed.shape, observed.blur)
    tiling = None
    if wanted or (wanted is None and model.reach is not None and whole > room):
        tiling = Tiling(model, observed, theta, linear_solver, wanted or SIDE)
    needed = tiling.memory if tiling else whole
    if needed > room:
        fix = "give the job more memory, or smaller tiles."
        if tiling is None:
            fix = "leave tile to be chosen." if model.reach else "give a part of the image."
        what = "one tile" if tiling else "the image"
        if observed.blur is not None:
            what += " with a blur of {} × {}".format(*observed.blur.shape)
        raise MemoryBudgetExceeded(
            f"a solve of {what} by model '{model.kind}' needs "
            f"about {told_bytes(needed)}; {told_bytes(room)} are to be had.",
            where="denoise",
            fix=fix,
        )
    return tiling


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
    side : int
        Of the part of a tile that is kept, in pixels.
    margin : int
        At the least; what `tiles` makes of it is wider where that is needed.
    """

    model: Model
    observed: Observation
    theta: Any
    linear_solver: str | Solver | None = None
    side: int = SIDE
    margin: int = MARGIN

    @cached_property
    def tiles(self) -> list[Tile]:
        """All tiles, row by row.

        Margins are twice what filter or blur is wide, so that gradients in the core are those of
        the whole; and twice as wide as the way to a measured pixel is long from anywhere in the
        tile: where nothing was measured, what one pixel does is felt far off.
        """
        blur, weights = self.observed.blur, self.observed.weights
        reach = max(self.model.reach or 0, max(blur.shape) if blur is not None else 0)
        tiles = tiles_of(self.observed.shape, self.side, max(self.margin, 2 * reach))
        if weights is None or weights.all():
            return tiles
        distance = ndimage.distance_transform_edt(weights == 0.0)
        return [widened(tile, distance) for tile in tiles]

    @property
    def memory(self) -> int:
        """Bytes that the solve of the largest tile takes, about."""
        blur = self.observed.blur
        return max(self.model.memory(extent(tile.whole), blur) for tile in self.tiles)

    def part(self, tile: Tile) -> Observation:
        """Return what was measured in a tile."""
        weights = self.observed.weights
        return Observation(
            self.observed.image[tile.whole],
            None if weights is None else weights[tile.whole],
            self.observed.blur,
        )

    def gradient(self, image: Array) -> tuple[Array, float]:
        """Return the gradient of the whole energy at an image, (h, w), and ‖A image‖."""
        out, square = np.empty_like(image), 0.0
        for tile in self.tiles:
            slope, product = self._at(tile, image[tile.whole])
            out[tile.core] = slope[tile.inner]
            square += norm(product[tile.inner].ravel()) ** 2
        return out, float(np.sqrt(square))

    def _at(self, tile: Tile, image: Array) -> tuple[Array, Array]:
        """Return the gradient of a tile's own energy, and its Hessian times the image."""
        problem, y = self.model.problem(self.part(tile)), image.ravel()
        hessian = Operator(problem.hessian(self.theta, y), Structure.SYMMETRIC)
        slope, product = problem.gradient(self.theta, y), hessian.apply(y)
        return np.reshape(slope, image.shape), np.reshape(product, image.shape)

    def smallest_curvature(self, image: Array) -> float:
        """Return a bound from above on the smallest eigenvalue of the Hessian of the whole.

        Of its blocks that belong to the cores, whose smallest eigenvalues are no smaller.
        """
        return min(self._curvature(tile, image[tile.whole]) for tile in self.tiles)

    def _curvature(self, tile: Tile, image: Array) -> float:
        problem = self.model.problem(self.part(tile))
        hessian = Operator(problem.hessian(self.theta, image.ravel()), Structure.SYMMETRIC)
        return smallest_ritz_value(_block(hessian, image.shape, tile.inner))

    def solved(
        self, tile: Tile, image: Array, slope: Array | None, rtol: float
    ) -> tuple[Array, StateReport]:
        """Return the minimiser of one tile's energy, tilted to a slope of the whole at an image."""
        part, y = self.part(tile), image.ravel()
        problem: MinimizationProblem = self.model.problem(part)
        if slope is not None:
            tilt = slope.ravel() - problem.gradient(self.theta, y)
            if part.weights is not None:
                problem = self.model.problem(_held(part, tilt.reshape(part.shape), image))
            problem = tilted(problem, tilt)
        solver = self.linear_solver or self.model.solver_for(self.observed)
        state = ImplicitFunction(problem, solver).solve(self.theta, y, rtol=rtol)
        return state.y.reshape(image.shape), state.report

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
        before = norm(self.gradient(image)[0].ravel())
        # What each tile leaves in its margin, too, is not to add up to more than is wanted.
        extents = [max(extent(tile.whole)) / max(extent(tile.core)) for tile in self.tiles]
        closer = CLOSER * rtol / max(extents)
        slope: Array | None = None
        reports, sizes = [], []
        for sweep in range(1, SWEEPS + 1):
            after = np.empty_like(image)
            for k, tile in enumerate(self.tiles):
                tell(k + 1, sweep, len(self.tiles))
                tilt = None if slope is None else slope[tile.whole]
                solved, report = self.solved(tile, image[tile.whole], tilt, closer)
                after[tile.core] = solved[tile.inner]
                reports.append(report)
            image = after
            slope, scale = self.gradient(image)
            sizes.append(norm(slope.ravel()))
            if sizes[-1] <= rtol * scale or stagnates(sizes):
                break
        report = _summary(reports, before, sizes, scale, rtol, len(self.tiles))
        if not report.converged:
            raise NotConverged(
                f"after sweep {len(sizes)} over {len(self.tiles)} tiles a gradient is left of "
                f"{report.residual_relative:.1e}, {rtol:.0e} was wanted: what one tile does is "
                "felt beyond the margins.",
                best=image,
                report=report,
                where="denoise",
                fix="give larger tiles, none (0) if memory suffices, or a larger rtol.",
            )
        return TiledState(image, report)


def stagnates(sizes: list[float]) -> bool:
    """Tell whether the last few sweeps have not halved the gradient."""
    return len(sizes) > PATIENCE and sizes[-1] > 0.5 * sizes[-1 - PATIENCE]


def _held(part: Observation, tilt: Array, image: Array) -> Observation:
    """Return what was measured, and the image itself where nothing was and the tilt acts.

    There nothing else holds against the tilt: a potential that grows like a logarithm does not.
    """
    assert part.weights is not None  # noqa: S101 - the caller has looked
    loose = (part.weights == 0.0) & (tilt != 0.0)
    weights = np.where(loose, 1.0, part.weights)
    return replace(part, image=np.where(loose, image, part.image), weights=weights)


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

    n = int(np.prod(extent(inner)))
    block = LinearOperator((n, n), matvec=multiply, dtype=np.float64)
    return Operator(block, Structure.SYMMETRIC)


def _summary(
    reports: list[StateReport],
    before: float,
    sizes: list[float],
    scale: float,
    rtol: float,
    tiles: int,
) -> StateReport:
    """Return one report for all solves; its residuals are of the whole."""
    relative = sizes[-1] / scale if scale else sizes[-1]
    return replace(
        reports[0],
        method=f"{len(sizes)} sweeps over {tiles} tiles by {reports[0].method}",
        converged=sizes[-1] <= rtol * scale,
        rtol=rtol,
        residual=sizes[-1],
        residual_relative=relative,
        residual_before=before,
        objective=None,
        iterations=sum(r.iterations for r in reports),
        linear_iterations=sum(r.linear_iterations for r in reports),
        factorizations=sum(r.factorizations for r in reports),
        history=tuple(sizes),
        seconds={
            name: sum(r.seconds.get(name, 0.0) for r in reports) for name in reports[0].seconds
        },
    )
