"""Learning the parameters of a denoising model on pairs of noisy and true images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..hypergradient import Loss
from ..implicit import ImplicitFunction
from ..kernels.vectors import dot
from ..linear import Solver
from ..linear.operator import Array
from ..outer import Evaluation, MinimizeResult, minimize
from .data import psnr
from .tv import checked_image, total_variation


@dataclass(frozen=True)
class Score:
    """One image before and after learning: PSNR in dB, and the denoised images."""

    noisy: float
    start: float
    learned: float
    denoised: Array


@dataclass(frozen=True)
class Learned:
    """θ, the scores by image, and the upper-level run."""

    theta: Array
    scores: tuple[Score, ...]
    result: MinimizeResult


def squared_error(truth: Any, scale: float = 1.0) -> Loss:
    """Return the loss ``½ scale ‖u − truth‖²`` of a state u."""
    target = np.asarray(truth, dtype=np.float64).ravel()

    def loss(_x: Array, y: Array) -> tuple[float, None, Array]:
        error = y - target
        return 0.5 * scale * dot(error, error), None, scale * error

    return loss


def learn(
    noisy: Sequence[Any],
    truth: Sequence[Any],
    *,
    epsilon: float = 1.0,
    weight_map: bool = False,
    start: float | Array = 0.0,
    bounds: tuple[float, float] | None = (-8.0, 8.0),
    linear_solver: str | Solver = "auto",
    gradient_rtol: float = 1e-6,
    stop_rtol: float = 1e-4,
    max_iterations: int = 50,
    checkpoint: str | Path | None = None,
    callback: Callable[[Evaluation], Any] | None = None,
) -> Learned:
    """Learn the weight of total variation: minimise half the mean squared error over θ.

    Parameters
    ----------
    noisy, truth : sequences of arrays (h, w)
        Pairs of any sizes; with ``weight_map`` all of one size. Grey levels 0 to 255.
    epsilon, weight_map
        As for `total_variation`.
    start : float or array
        θ to begin with; the weight is exp(θ).
    bounds : (low, high) or None
        Of θ.
    linear_solver, gradient_rtol, stop_rtol, max_iterations, checkpoint, callback
        As for `minimize`.

    Returns
    -------
    Learned

    Raises
    ------
    ShapeError, NonFinite
        If the images do not pair up, or are no images.
    """
    pairs = _pairs(noisy, truth, weight_map)
    pixels = sum(f.size for f, _ in pairs)
    implicits = [
        ImplicitFunction(total_variation(f, epsilon=epsilon, weight_map=weight_map), linear_solver)
        for f, _ in pairs
    ]
    n_x = pairs[0][0].size if weight_map else 1
    theta = np.broadcast_to(np.asarray(start, dtype=np.float64), (n_x,)).copy()
    before = [
        implicit.solve(theta, f.ravel(), rtol=1e-4).y
        for implicit, (f, _) in zip(implicits, pairs, strict=True)
    ]
    result = minimize(
        [squared_error(u, 1.0 / pixels) for _, u in pairs],
        implicits,
        theta,
        y0=before,
        bounds=bounds,
        gradient_rtol=gradient_rtol,
        stop_rtol=stop_rtol,
        max_iterations=max_iterations,
        checkpoint=checkpoint,
        callback=callback,
    )
    scores = tuple(
        Score(
            noisy=psnr(f, u),
            start=psnr(y.reshape(f.shape), u),
            learned=psnr(solved.y.reshape(f.shape), u),
            denoised=solved.y.reshape(f.shape),
        )
        for (f, u), y, solved in zip(pairs, before, result.solved, strict=True)
    )
    return Learned(result.x, scores, result)


def _pairs(
    noisy: Sequence[Any], truth: Sequence[Any], weight_map: bool
) -> list[tuple[Array, Array]]:
    if len(noisy) != len(truth) or not len(noisy):
        raise ShapeError(f"{len(noisy)} noisy images and {len(truth)} true ones.", where="learn")
    pairs = [
        (checked_image(f, f"noisy image {i}"), checked_image(u, f"true image {i}"))
        for i, (f, u) in enumerate(zip(noisy, truth, strict=True))
    ]
    for i, (f, u) in enumerate(pairs):
        if f.shape != u.shape or (weight_map and f.shape != pairs[0][0].shape):
            raise ShapeError(
                f"image {i}: noisy {f.shape}, true {u.shape}, first image {pairs[0][0].shape}.",
                where="learn",
                fix="pairs must be of one shape; with a weight map, all images.",
            )
    return pairs
