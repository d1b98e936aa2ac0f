"""Smoothed isotropic total variation denoising, as local terms."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..derivatives import Energy, shared, stencil, term
from ..errors import NonFinite, ShapeError
from ..linear.operator import Array


def total_variation(
    noisy: Any, *, epsilon: float = 1.0, weight_map: bool = False, assembled: bool = True
) -> Energy:
    """Denoise by ``g(θ, u) = ½‖u − f‖² + Σ_p exp(θ_p) √(|∇u|_p² + ε²)``.

    Parameters
    ----------
    noisy : array, shape (h, w)
        f, on the scale 0 to 255.
    epsilon : float
        ε > 0, in grey levels: differences below it are smoothed quadratically.
    weight_map : bool
        One weight a pixel, x = θ of shape (h·w,); else one for all, x of shape (1,).
    assembled : bool
        The Hessian as CSR, which every solver takes: 88 bytes a pixel. Else as a
        `linear.StencilOperator`, for the solver "multigrid": 32 bytes a pixel.

    Returns
    -------
    Energy
        A `MinimizationProblem` of the state u, shape (h·w,), row by row. Its Hessian has 7 points
        and is positive definite with smallest eigenvalue ≥ 1; all Hessians share one pattern.

    Raises
    ------
    ShapeError, NonFinite

    Notes
    -----
    Forward differences, zero at the far border. Cost of a Hessian: one pass over the image. Kernels
    are compiled once for each ε, and kept on disk.
    Source: Rudin, Osher, Fatemi 1992; Kunisch and Pock 2013 for the learning.
    """
    f = checked_image(noisy, "noisy")
    if not 0 < epsilon < np.inf:
        raise ShapeError(
            f"epsilon must be positive and finite, got {epsilon}.", where="total_variation"
        )
    square = float(epsilon) ** 2
    pixels = stencil(f.shape, [(0, 0)])
    data = term(lambda u, x, f: 0.5 * (u[0] - f[0]) ** 2, y=pixels, c=f.reshape(-1, 1), name="data")
    smoothness = term(
        lambda u, x, c: np.exp(x[0]) * np.sqrt((u[1] - u[0]) ** 2 + (u[2] - u[0]) ** 2 + square),
        y=stencil(f.shape, [(0, 0), (0, 1), (1, 0)]),
        x=pixels if weight_map else shared(1),
        name="total variation",
    )
    n_x = f.size if weight_map else 1
    return Energy([data, smoothness], n_y=f.size, n_x=n_x, assembled=assembled)


def checked_image(image: Any, name: str) -> Array:
    """Return an image as float64 (h, w), finite, with at least one pixel."""
    if np.iscomplexobj(image) or np.ndim(image) != 2 or 0 in np.shape(image):
        raise ShapeError(
            f"{name} must be a grey image of shape (h, w), got shape {np.shape(image)}.",
            fix="convert colour to grey, or denoise the channels apart.",
        )
    array = np.ascontiguousarray(image, dtype=np.float64)
    if not np.isfinite(array).all():
        i, j = np.unravel_index(int(np.argmin(np.isfinite(array))), array.shape)
        raise NonFinite(f"{name} is {array[i, j]} at pixel ({i}, {j}).")
    return array
