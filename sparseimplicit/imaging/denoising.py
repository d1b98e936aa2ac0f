"""One image by one model: the minimiser, scaled to the noise, and how sure it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from ..errors import ShapeError
from ..implicit import ImplicitFunction, SolvedState
from ..linear import Operator, Solver, Structure
from ..linear.operator import Array, norm
from ..problem import MinimizationProblem, altered
from ..state_report import StateReport
from .curvature import smallest_ritz_value
from .models.model import Model
from .observation import Observation, checked_image
from .tiling import OnTile, tiling_for

# Below this part of the data's curvature the state is called loose: what comes back from an adjoint
# solve is then amplified by up to its inverse.
LOOSE: Final = 0.05


@dataclass(frozen=True)
class Denoised:
    """An image, the state it is part of, and what there is to know about it.

    Attributes
    ----------
    image : array, (h, w)
    report : StateReport
        How it was found.
    solved : SolvedState or None
        In the model's grey levels, which are those of the image times ``scale``. None if it was
        found tile by tile.
    tiles : int
        How many; 1 is the whole at once.
    scale : float
    smallest_curvature : float or None
        A bound from above on the smallest eigenvalue of the Hessian, by a few Lanczos steps; None
        for convex models, where it is not looked for.
    warnings : tuple of str
        What casts doubt on the state as a strict minimiser.
    """

    image: Array
    report: StateReport
    solved: SolvedState | None = None
    scale: float = 1.0
    smallest_curvature: float | None = None
    warnings: tuple[str, ...] = ()
    tiles: int = 1


def denoise(
    observed: Observation | Any,
    model: Model,
    theta: Any = None,
    *,
    sigma: float | None = None,
    model_sigma: float | None = None,
    linear_solver: str | Solver | None = None,
    rtol: float = 1e-5,
    tile: int | None = None,
    progress: Callable[[float], Any] | None = None,
    on_tile: OnTile | None = None,
) -> Denoised:
    """Return the minimiser u of a model's energy for one measured image.

    Parameters
    ----------
    observed : Observation, or array (h, w)
        Grey levels 0 to 255.
    model, theta : Model, array
        θ defaults to the model's start.
    sigma : float, optional
        Standard deviation of the noise. If it is not the model's, the image is scaled by the ratio
        to where its noise is, and the result back. None takes the image as it is.
    model_sigma : float, optional
        Of the noise that θ is for; by default ``model.sigma``.
    linear_solver, rtol
        As for `ImplicitFunction`.
    tile : int, optional
        Solve the image tile by tile, this many pixels a side, which comes to the same minimiser; 0
        solves it at once. By default it is tiled where it would not fit into memory.
    progress : callable, optional
        Called with the size of the gradient at each point that Newton's method looks at, of the
        whole image at once.
    on_tile : callable, optional
        Called before each tile: its number, that of the sweep, and how many tiles there are.

    Raises
    ------
    NotConverged, NotPositiveDefinite, SingularSystem, ShapeError, NonFinite
    MemoryBudgetExceeded
        If the image does not fit into memory, and tiles are not wanted or do not fit either.

    Notes
    -----
    Memory: `Model.memory` of the image or of one tile, and a few images. Where the potential is not
    convex, the curvature at the state is looked into: 40 more products with the Hessian.
    """
    if not isinstance(model, Model):
        raise ShapeError(
            f"{model!r} is no model.", where="denoise", fix="give one, as TotalVariation()."
        )
    if not isinstance(observed, Observation):
        observed = Observation(checked_image(observed, "the image"))
    scale = _scale(sigma, model.sigma if model_sigma is None else model_sigma)
    if scale != 1.0:
        observed = replace(observed, image=scale * observed.image)
    theta = model.start(observed.shape) if theta is None else theta
    tiling = tiling_for(model, observed, theta, linear_solver, tile)
    if tiling is not None:
        tiled = tiling.solve(rtol, on_tile=on_tile)
        found = Denoised(tiled.image / scale, tiled.report, scale=scale, tiles=len(tiling.tiles))
        if model.convex:
            return found
        return _doubted(found, tiling.smallest_curvature(tiled.image), observed)
    problem = model.problem(observed)
    watched = problem if progress is None else _watched(problem, progress)
    solver = model.solver_for(observed) if linear_solver is None else linear_solver
    solved = ImplicitFunction(watched, solver).solve(theta, model.first_guess(observed), rtol=rtol)
    image = model.image(solved.y, observed.shape) / scale
    found = Denoised(image, solved.report, solved, scale)
    if model.convex:
        return found
    # The structure is what is to be found out, so it is not declared positive definite.
    hessian = Operator(problem.hessian(solved.x, solved.y), Structure.SYMMETRIC)
    return _doubted(found, smallest_ritz_value(hessian), observed)


def _doubted(found: Denoised, smallest: float, observed: Observation) -> Denoised:
    doubts = _doubts(smallest, observed)
    return replace(found, smallest_curvature=smallest, warnings=doubts)


def _scale(sigma: float | None, model_sigma: float) -> float:
    for value in (sigma, model_sigma):
        if value is not None and not 0.0 < value < np.inf:
            raise ShapeError(
                f"sigma is {value}.", where="denoise", fix="give a positive standard deviation."
            )
    return 1.0 if sigma is None else model_sigma / sigma


def _watched(problem: MinimizationProblem, progress: Callable[[float], Any]) -> MinimizationProblem:
    def gradient(x: Any, y: Any) -> Any:
        found = problem.gradient(x, y)
        progress(norm(found))
        return found

    return altered(problem, gradient=gradient)


def _doubts(smallest: float, observed: Observation) -> tuple[str, ...]:
    data = 1.0 if observed.weights is None else float(observed.weights.mean())
    if smallest <= 0.0:
        return (
            f"the Hessian at the state has a curvature of {smallest:.2g} or less: the state is a "
            "saddle, not a minimiser, and derivatives of it mean little.",
        )
    if smallest < LOOSE * data:
        return (
            f"the Hessian at the state is nearly singular: a curvature of {smallest:.2g} or less, "
            f"{data:.2g} is the data's. The state is loose there, and its derivatives are large.",
        )
    return ()
