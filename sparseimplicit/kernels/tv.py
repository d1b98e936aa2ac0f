"""Smoothed isotropic total variation of an image: energy, gradient, exact second derivatives.

    R(u) = Σ_p w_p √(u_x² + u_y² + ε²),    u_x = u[i, j+1] − u[i, j],  u_y = u[i+1, j] − u[i, j]

with zero difference at the far border. A term couples a pixel, its right and its lower neighbour;
the Hessian has 7 points. Images are (h, w), flattened row by row where they are unknowns; w is an
array of one weight, or of one a pixel. Every loop gathers: a pixel computes what is its own.
"""

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from . import PARALLEL_ROWS

Floats = NDArray[np.float64]


def energy(u: Floats, weight: Floats, epsilon: float) -> float:
    """Return R(u). Summed row by row, then over rows: the same bits for any number of threads."""
    rows = np.empty(u.shape[0])
    (_energy_parallel if u.size >= PARALLEL_ROWS else _energy)(u, weight, epsilon, rows)
    return float(rows.sum())


def gradient(u: Floats, weight: Floats, epsilon: float, out: Floats) -> None:
    """out = ∇R(u), (h, w)."""
    (_gradient_parallel if u.size >= PARALLEL_ROWS else _gradient)(u, weight, epsilon, out)


def hessian_values(
    u: Floats, weight: Floats, epsilon: float, indptr: NDArray[Any], out: Floats
) -> None:
    """out = the values of I + R″(u) on the 7-point pattern, rows and columns in order."""
    run = _hessian_parallel if u.size >= PARALLEL_ROWS else _hessian
    run(u, weight, epsilon, indptr, out)


def hessian_stencil(u: Floats, weight: Floats, epsilon: float, out: Floats) -> None:
    """out (4, h, w) = I + R″(u): the diagonal, couplings to the right, to the left below, below."""
    run = _stencil_parallel if u.size >= PARALLEL_ROWS else _stencil
    run(u, weight, epsilon, out)


def cross_values(
    u: Floats, weight: Floats, epsilon: float, indptr: NDArray[Any], out: Floats
) -> None:
    """out = the values of ∂(∇R)/∂(log w)ᵀ for a map of weights; row q: above, left, q itself."""
    run = _cross_parallel if u.size >= PARALLEL_ROWS else _cross
    run(u, weight, epsilon, indptr, out)


@njit(inline="always")
def _differences(u: Any, i: Any, j: Any) -> Any:
    ux = u[i, j + 1] - u[i, j] if j + 1 < u.shape[1] else 0.0
    uy = u[i + 1, j] - u[i, j] if i + 1 < u.shape[0] else 0.0
    return ux, uy


@njit(inline="always")
def _weight(weight: Any, i: Any, j: Any, width: Any) -> Any:
    return weight[i * width + j] if weight.size > 1 else weight[0]


@njit(inline="always")
def _slopes(u: Any, weight: Any, epsilon: Any, i: Any, j: Any) -> Any:
    """Return the derivatives of the term of pixel (i, j) by u_x and u_y."""
    ux, uy = _differences(u, i, j)
    scale = _weight(weight, i, j, u.shape[1]) / np.sqrt(ux * ux + uy * uy + epsilon * epsilon)
    return scale * ux, scale * uy


@njit(inline="always")
def _curvatures(u: Any, weight: Any, epsilon: Any, i: Any, j: Any) -> Any:
    """Return the second derivatives (xx, yy, xy) of the term; 0 for a difference off the image."""
    ux, uy = _differences(u, i, j)
    square = ux * ux + uy * uy + epsilon * epsilon
    scale = _weight(weight, i, j, u.shape[1]) / (square * np.sqrt(square))
    right, below = j + 1 < u.shape[1], i + 1 < u.shape[0]
    xx = scale * (uy * uy + epsilon * epsilon) if right else 0.0
    yy = scale * (ux * ux + epsilon * epsilon) if below else 0.0
    xy = -scale * ux * uy if right and below else 0.0
    return xx, yy, xy


@njit(inline="always")
def _energy_row(u: Any, weight: Any, epsilon: Any, i: Any, rows: Any) -> None:
    total = 0.0
    for j in range(u.shape[1]):
        ux, uy = _differences(u, i, j)
        total += _weight(weight, i, j, u.shape[1]) * np.sqrt(ux * ux + uy * uy + epsilon * epsilon)
    rows[i] = total


@njit(inline="always")
def _gradient_row(u: Any, weight: Any, epsilon: Any, i: Any, out: Any) -> None:
    left = 0.0
    for j in range(u.shape[1]):
        px, py = _slopes(u, weight, epsilon, i, j)
        above = _slopes(u, weight, epsilon, i - 1, j)[1] if i > 0 else 0.0
        out[i, j] = left + above - px - py
        left = px


@njit(inline="always")
def _hessian_row(u: Any, weight: Any, epsilon: Any, i: Any, indptr: Any, out: Any) -> None:
    height, width = u.shape
    left_xx, left_xy = 0.0, 0.0
    for j in range(width):
        k = indptr[i * width + j]
        xx, yy, xy = _curvatures(u, weight, epsilon, i, j)
        diagonal = 1.0 + xx + yy + 2.0 * xy + left_xx
        if i > 0:
            _, above_yy, above_xy = _curvatures(u, weight, epsilon, i - 1, j)
            out[k] = -above_yy - above_xy
            k += 1
            if j + 1 < width:
                out[k] = above_xy
                k += 1
            diagonal += above_yy
        if j > 0:
            out[k] = -left_xx - left_xy
            k += 1
        out[k] = diagonal
        k += 1
        if j + 1 < width:
            out[k] = -xx - xy
            k += 1
        if i + 1 < height:
            if j > 0:
                out[k] = left_xy
                k += 1
            out[k] = -yy - xy
        left_xx, left_xy = xx, xy


@njit(inline="always")
def _stencil_row(u: Any, weight: Any, epsilon: Any, i: Any, out: Any) -> None:
    left_xx, left_xy = 0.0, 0.0
    for j in range(u.shape[1]):
        xx, yy, xy = _curvatures(u, weight, epsilon, i, j)
        above = _curvatures(u, weight, epsilon, i - 1, j)[1] if i > 0 else 0.0
        out[0, i, j] = 1.0 + xx + yy + 2.0 * xy + left_xx + above
        out[1, i, j] = -xx - xy
        out[2, i, j] = left_xy
        out[3, i, j] = -yy - xy
        left_xx, left_xy = xx, xy


@njit(inline="always")
def _cross_row(u: Any, weight: Any, epsilon: Any, i: Any, indptr: Any, out: Any) -> None:
    left = 0.0
    for j in range(u.shape[1]):
        k = indptr[i * u.shape[1] + j]
        if i > 0:
            out[k] = _slopes(u, weight, epsilon, i - 1, j)[1]
            k += 1
        if j > 0:
            out[k] = left
            k += 1
        left, below = _slopes(u, weight, epsilon, i, j)
        out[k] = -left - below


@njit(cache=True, nogil=True)
def _energy(u: Any, weight: Any, epsilon: float, rows: Any) -> None:
    for i in range(u.shape[0]):
        _energy_row(u, weight, epsilon, i, rows)


@njit(cache=True, nogil=True, parallel=True)
def _energy_parallel(u: Any, weight: Any, epsilon: float, rows: Any) -> None:
    for i in prange(u.shape[0]):
        _energy_row(u, weight, epsilon, i, rows)


@njit(cache=True, nogil=True)
def _gradient(u: Any, weight: Any, epsilon: float, out: Any) -> None:
    for i in range(u.shape[0]):
        _gradient_row(u, weight, epsilon, i, out)


@njit(cache=True, nogil=True, parallel=True)
def _gradient_parallel(u: Any, weight: Any, epsilon: float, out: Any) -> None:
    for i in prange(u.shape[0]):
        _gradient_row(u, weight, epsilon, i, out)


@njit(cache=True, nogil=True)
def _hessian(u: Any, weight: Any, epsilon: float, indptr: Any, out: Any) -> None:
    for i in range(u.shape[0]):
        _hessian_row(u, weight, epsilon, i, indptr, out)


@njit(cache=True, nogil=True, parallel=True)
def _hessian_parallel(u: Any, weight: Any, epsilon: float, indptr: Any, out: Any) -> None:
    for i in prange(u.shape[0]):
        _hessian_row(u, weight, epsilon, i, indptr, out)


@njit(cache=True, nogil=True)
def _stencil(u: Any, weight: Any, epsilon: float, out: Any) -> None:
    for i in range(u.shape[0]):
        _stencil_row(u, weight, epsilon, i, out)


@njit(cache=True, nogil=True, parallel=True)
def _stencil_parallel(u: Any, weight: Any, epsilon: float, out: Any) -> None:
    for i in prange(u.shape[0]):
        _stencil_row(u, weight, epsilon, i, out)


@njit(cache=True, nogil=True)
def _cross(u: Any, weight: Any, epsilon: float, indptr: Any, out: Any) -> None:
    for i in range(u.shape[0]):
        _cross_row(u, weight, epsilon, i, indptr, out)


@njit(cache=True, nogil=True, parallel=True)
def _cross_parallel(u: Any, weight: Any, epsilon: float, indptr: Any, out: Any) -> None:
    for i in prange(u.shape[0]):
        _cross_row(u, weight, epsilon, i, indptr, out)
