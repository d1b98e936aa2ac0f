"""Spectral: filters with averaged weights, inverted by cosine, sine or Fourier transforms."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar, Final

import numpy as np
from scipy import fft, ndimage

from ...errors import StructureError
from ..filters import FilterOperator
from ..operator import Array, Operator
from ..preconditioning import Preconditioner, PreparedPreconditioner

MODES: Final = {"zero": "nearest", "reflect": "reflect", "periodic": "wrap"}
LEAST: Final = 1e-12  # of the largest eigenvalue: a frequency that no filter sees


class Spectral(Preconditioner):
    """M = S⁻¹ T⁻¹ λ T S⁻¹ for a `FilterOperator`.

    S⁻² is the diagonal of H, smoothed over the width of the filters: it takes up how large the
    weights are from place to place. λ are the eigenvalues of S H S with its weights averaged over
    the image, which the transform T of the border diagonalises: cosines for a reflected border,
    sines for zeros, Fourier's for a periodic one (the last exactly, for any filter).

    Notes
    -----
    Best where the weights vary independently from pixel to pixel or slowly; least where all filters
    have their large weights in the same narrow places. Cost: two transforms, in float32.
    """

    name = "spectral"
    entries: ClassVar[bool] = False
    definite: ClassVar[bool] = True

    def prepare(self, operator: Operator, analysis: object = None) -> PreparedPreconditioner:
        """Average the weights, transform the filters.

        Raises
        ------
        StructureError
            If the operator wraps no `FilterOperator`.
        """
        h = operator.source
        if not isinstance(h, FilterOperator):
            raise StructureError(
                "preconditioner 'spectral' is for filter energies; this is another matrix.",
                where="preconditioner 'spectral', prepare",
                fix="give Operator(FilterOperator(...), ...), or use 'jacobi' or 'amg'.",
            )
        diagonal = h.diagonal().reshape(h.grid)
        sigma = [0.5 * size for size in h.filters.shape[1:]]
        smooth = ndimage.gaussian_filter(diagonal, sigma, mode=MODES[h.border])
        weight = 1.0 / np.where(smooth > 0, smooth, 1.0)
        return _Spectral(np.sqrt(weight), eigenvalues(h, weight), h.border)


def eigenvalues(h: FilterOperator, scale: Array) -> Array:
    """Return λ of diag(√scale) H diag(√scale) with all weights averaged, by frequencies.

    Of a filter f: w̄ |F(θ_y, θ_x)|², averaged over ±θ_x where the transform has no signs.
    """
    data, averages = float((h.data * scale).mean()), (h.weights * scale).mean(axis=(1, 2))
    angles = [_angles(size, h.border) for size in h.grid]
    rows = np.exp(1j * np.outer(angles[0], np.arange(h.filters.shape[1])))
    columns = np.exp(1j * np.outer(angles[1], np.arange(h.filters.shape[2])))
    if h.border == "periodic":
        columns = columns[: h.grid[1] // 2 + 1]
    total = np.full((len(rows), len(columns)), data)
    for f, average in zip(h.filters, averages, strict=True):
        power = np.abs(rows @ f @ columns.T) ** 2
        if h.border != "periodic":
            power = 0.5 * (power + np.abs(rows @ f @ columns.conj().T) ** 2)
        total += average * power
    return np.asarray(np.maximum(total, LEAST * total.max()))


def _angles(size: int, border: str) -> Array:
    if border == "periodic":
        return 2 * np.pi * np.arange(size) / size
    if border == "zero":
        return np.pi * np.arange(1, size + 1) / (size + 1)
    return np.pi * np.arange(size) / size


class _Spectral(PreparedPreconditioner):
    def __init__(self, scale: Array, values: Array, border: str) -> None:
        self._scale = scale.astype(np.float32)
        self._inverse = (1.0 / values).astype(np.float32)
        self._transforms = _TRANSFORMS[border]
        self.bytes_estimate = self._scale.nbytes + self._inverse.nbytes

    def apply(self, r: Array) -> Array:
        """Return S T⁻¹ λ⁻¹ T S r."""
        forward, backward = self._transforms
        grid, out = self._scale.shape, np.empty_like(r)
        for k in range(r.shape[1]):
            # To the range of float32: residuals may be of any size.
            size = float(np.max(np.abs(r[:, k]), initial=0.0))
            unit = size if size > 0 else 1.0
            image = (r[:, k] / unit).astype(np.float32).reshape(grid) * self._scale
            image = backward(forward(image) * self._inverse, grid) * self._scale
            out[:, k] = image.ravel()
            out[:, k] *= unit
        return out

    apply_transpose = apply


def _threads() -> int:
    return len(os.sched_getaffinity(0))


_TRANSFORMS: Final[dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]]] = {
    "zero": (
        lambda x: fft.dstn(x, type=1, norm="ortho", workers=_threads()),
        lambda x, grid: fft.idstn(x, type=1, norm="ortho", workers=_threads()),
    ),
    "reflect": (
        lambda x: fft.dctn(x, norm="ortho", workers=_threads()),
        lambda x, grid: fft.idctn(x, norm="ortho", workers=_threads()),
    ),
    "periodic": (
        lambda x: fft.rfft2(x, workers=_threads()),
        lambda x, grid: fft.irfft2(x, s=grid, workers=_threads()),
    ),
}
