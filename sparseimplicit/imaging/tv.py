"""Smoothed isotropic total variation denoising, with exact derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NonFinite, ShapeError
from ..kernels import tv
from ..kernels.vectors import dot
from ..linear import StencilOperator
from ..linear.operator import Array, csr_from_parts
from ..problem import MinimizationProblem


def total_variation(
    noisy: Any, *, epsilon: float = 1.0, weight_map: bool = False, assembled: bool = True
) -> MinimizationProblem:
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
    MinimizationProblem
        Of the state u, shape (h·w,), row by row. Its Hessian has 7 points and is positive
        definite with smallest eigenvalue ≥ 1; all Hessians share one pattern.

    Raises
    ------
    ShapeError, NonFinite

    Notes
    -----
    Forward differences, zero at the far border. Cost of a Hessian: one pass over the image.
    Source: Rudin, Osher, Fatemi 1992; Kunisch and Pock 2013 for the learning.
    """
    f = checked_image(noisy, "noisy")
    if not 0 < epsilon < np.inf:
        raise ShapeError(
            f"epsilon must be positive and finite, got {epsilon}.", where="total_variation"
        )
    return _TotalVariation(f, float(epsilon), weight_map, assembled).problem()


class _TotalVariation:
    """The callables of one model; the patterns are made once and shared by every Hessian."""

    def __init__(self, f: Array, epsilon: float, weight_map: bool, assembled: bool) -> None:
        self.f, self.epsilon, self.weight_map = f, epsilon, weight_map
        self.hessian_pattern = hessian_pattern(*f.shape) if assembled else None
        self.cross_pattern = cross_pattern(*f.shape) if weight_map else None

    def problem(self) -> MinimizationProblem:
        return MinimizationProblem(
            objective=self.objective,
            gradient=self.gradient,
            hessian=self.hessian,
            cross_hessian=self.cross_hessian,
        )

    def weight(self, x: Array) -> Array:
        expected = self.f.size if self.weight_map else 1
        if x.size != expected:
            raise ShapeError(
                f"θ has {x.size} entries; this model has {expected}.",
                where="total_variation",
                fix="give one number, or with weight_map=True one for each pixel.",
            )
        return np.exp(x)

    def objective(self, x: Array, y: Array) -> float:
        difference = y - self.f.ravel()
        u = y.reshape(self.f.shape)
        smoothness = tv.energy(u, self.weight(x), self.epsilon)
        return 0.5 * dot(difference, difference) + smoothness

    def regulariser_gradient(self, x: Array, y: Array) -> Array:
        out = np.empty(self.f.shape)
        tv.gradient(y.reshape(self.f.shape), self.weight(x), self.epsilon, out)
        return out.reshape(-1)

    def gradient(self, x: Array, y: Array) -> Array:
        out = self.regulariser_gradient(x, y)
        out += y
        out -= self.f.ravel()
        return out

    def hessian(self, x: Array, y: Array) -> Any:
        if self.hessian_pattern is None:
            coefficients = np.empty((4, *self.f.shape))
            u, weight = y.reshape(self.f.shape), self.weight(x)
            tv.hessian_stencil(u, weight, self.epsilon, coefficients)
            return StencilOperator(coefficients, [(0, 0), (0, 1), (1, -1), (1, 0)])
        indptr, indices = self.hessian_pattern
        values = np.empty(indices.size)
        tv.hessian_values(y.reshape(self.f.shape), self.weight(x), self.epsilon, indptr, values)
        return csr_from_parts(values, indices, indptr, (y.size, y.size))

    def cross_hessian(self, x: Array, y: Array) -> Any:
        if self.cross_pattern is None:
            return self.regulariser_gradient(x, y)[:, None]
        indptr, indices = self.cross_pattern
        values = np.empty(indices.size)
        tv.cross_values(y.reshape(self.f.shape), self.weight(x), self.epsilon, indptr, values)
        return csr_from_parts(values, indices, indptr, (y.size, y.size))


def hessian_pattern(height: int, width: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return indptr and indices of the 7-point Hessian: above, above right, left, … in order."""
    return _stencil(height, width, [(-1, 0), (-1, 1), (0, -1), (0, 0), (0, 1), (1, -1), (1, 0)])


def cross_pattern(height: int, width: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return indptr and indices of the cross-Hessian of a weight map: above, left, itself."""
    return _stencil(height, width, [(-1, 0), (0, -1), (0, 0)])


def _stencil(
    height: int, width: int, offsets: list[tuple[int, int]]
) -> tuple[NDArray[Any], NDArray[Any]]:
    n = height * width
    dtype = np.int32 if n * len(offsets) <= np.iinfo(np.int32).max else np.int64
    pixels = np.arange(n, dtype=dtype).reshape(height, width)
    neighbours = np.full((height, width, len(offsets)), -1, dtype=dtype)
    for k, (down, right) in enumerate(offsets):
        rows = slice(max(0, -down), height - max(0, down))
        columns = slice(max(0, -right), width - max(0, right))
        neighbours[rows, columns, k] = pixels[rows, columns] + (down * width + right)
    inside = neighbours >= 0
    indptr = np.zeros(n + 1, dtype=dtype)
    np.cumsum(inside.sum(axis=2).ravel(), out=indptr[1:])
    return indptr, neighbours[inside]


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
