"""Spectral: filters with averaged weights, inverted by cosine, sine or Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

import numba
import numpy as np
from scipy import fft, ndimage

from ...errors import StructureError
from ..filters import FilterOperator
from ..operator import Array, Operator
from ..preconditioning import Preconditioner, PreparedPreconditioner

MODES: Final = {"zero": "nearest", "reflect": "reflect", "periodic": "wrap"}
LEAST: Final = 1e-12  # of the largest eigenvalue: a frequency that no filter sees
DATA: Final = 0.1  # of the mean data term: where weights < 0 take away more, M stays definite
SCALE: Final = 1e-3  # of the mean scale, likewise
WIDTH: Final = 0.58  # σ over the width of a filter, whose own spread is 0.29 of it
PARALLEL: Final = 100_000  # pixels; below it threads cost as much


class Spectral(Preconditioner):
    """M = S⁻¹ T⁻¹ λ T S⁻¹ for a `FilterOperator`.

    S⁻² is d + Σ_k ‖fᵏ‖² wᵏ, smoothed over the width of the filters, which is about the diagonal of
    H: it takes up how large the weights are from place to place. λ are the eigenvalues of S H S
    with its weights averaged over the image, which the transform T of the border diagonalises:
    cosines for a reflected border, sines for zeros, Fourier's for a periodic one (the last exactly,
    for any filter).

    Notes
    -----
    Best where the weights vary independently from pixel to pixel or slowly; least where all filters
    have their large weights in the same narrow places. Weights may be negative: M is positive
    definite all the same. Cost: two passes over the weights; then two transforms, in float32.
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
        squares = np.einsum("kab,kab->k", h.filters, h.filters)
        energy = h.data + np.einsum("k,kij->ij", squares, h.weights)
        sigma = [WIDTH * size for size in h.filters.shape[1:]]
        smooth = ndimage.gaussian_filter(energy, sigma, mode=MODES[h.border])
        least = SCALE * float(smooth.mean())
        weight = 1.0 / (np.maximum(smooth, least) if least > 0 else np.ones_like(smooth))
        return _Spectral(np.sqrt(weight), eigenvalues(h, weight), h.border)


def eigenvalues(h: FilterOperator, scale: Array) -> Array:
    """Return λ of diag(√scale) H diag(√scale) with all weights averaged, by frequencies.

    Of a filter f: w̄ |F(θ_y, θ_x)|², averaged over ±θ_x where the transform has no signs. The
    filters are summed up as one autocorrelation Σ_k w̄ₖ Σ_p fᵏ[p] fᵏ[p + δ], whose transform it is.
    """
    data = float((h.data * scale).mean())
    averages = np.einsum("kij,ij->k", h.weights, scale) / scale.size
    sizes = [2 * n - 1 for n in h.filters.shape[1:]]
    power = np.abs(fft.rfft2(h.filters, s=sizes)) ** 2
    pairs = fft.irfft2(np.einsum("k,kij->ij", averages, power), s=sizes)
    far = [fft.fftfreq(n, 1 / n) for n in sizes]
    rows, columns = (np.outer(_angles(n, h.border), d) for n, d in zip(h.grid, far, strict=True))
    if h.border == "periodic":
        columns = columns[: h.grid[1] // 2 + 1]
    total = data + _product(np.cos(rows), pairs, np.cos(columns))
    if h.border == "periodic":
        total -= _product(np.sin(rows), pairs, np.sin(columns))
    return np.asarray(np.maximum(total, max(LEAST * total.max(), DATA * data)))


def _product(rows: Array, pairs: Array, columns: Array) -> Array:
    """Return R A Cᵀ; by einsum, since the threads of BLAS spin on and slow the next kernel."""
    return np.asarray(np.einsum("ia,aj->ij", rows, np.einsum("ab,jb->aj", pairs, columns)))


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
        self._threads = int(numba.get_num_threads()) if scale.size >= PARALLEL else 1
        self.bytes_estimate = self._scale.nbytes + self._inverse.nbytes

    def apply(self, r: Array) -> Array:
        """Return S T⁻¹ λ⁻¹ T S r."""
        return self.apply_into(r, np.empty_like(r))

    def apply_into(self, r: Array, out: Array) -> Array:
        """Return the same in ``out``."""
        forward, backward = self._transforms
        grid = self._scale.shape
        for k in range(r.shape[1]):
            # To the range of float32: residuals may be of any size.
            column = r[:, k]
            size = max(float(column.max(initial=0.0)), -float(column.min(initial=0.0)))
            unit = size if size > 0 else 1.0
            image = (column / unit).astype(np.float32).reshape(grid)
            image *= self._scale
            image = forward(image, self._threads)
            image *= self._inverse
            image = backward(image, grid, self._threads)
            image *= self._scale
            np.multiply(image.ravel(), unit, out=out[:, k], dtype=np.float64)
        return out

    apply_transpose = apply


Forward = Callable[[Any, int], Any]
Backward = Callable[[Any, Any, int], Any]
_TRANSFORMS: Final[dict[str, tuple[Forward, Backward]]] = {
    "zero": (
        lambda x, workers: fft.dstn(
            x, type=1, norm="ortho", overwrite_x=True, workers=workers),
        lambda x, grid, workers: fft.idstn(
            x, type=1, norm="ortho", overwrite_x=True, workers=workers),
    ),
    "reflect": (
        lambda x, workers: fft.dctn(x, norm="ortho", overwrite_x=True, workers=workers),
        lambda x, grid, workers: fft.idctn(x, norm="ortho", overwrite_x=True, workers=workers),
    ),
    "periodic": (
        lambda x, workers: fft.rfft2(x, workers=workers),
        lambda x, grid, workers: fft.irfft2(x, s=grid, workers=workers),
    ),
}  # fmt: skip
