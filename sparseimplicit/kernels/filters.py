"""Energies of filters, Σ_k Kᵏᵀ diag(wᵏ) Kᵏ, without assembly and as a stencil.

Images are padded by their border before a product, so that Kᵏ is a plain correlation,
(K u)[i, j] = Σ_pq f[p, q] u[i + p, j + q], and what reaches into the padding is folded back
afterwards. Filters (K, a, b), weights (K, h, w), padded images (h + a − 1, w + b − 1). Work is cut
into tiles of fixed size, each computed by one thread: the bits depend on no number of threads.
"""

from typing import Any, Final

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .taps import add_row

TILE: Final = (
    32,
    512,
)  # rows, columns: 256² and 1024², 3×3 to 9×9: 1.1 to 1.5 × faster than (32, 256)
PARALLEL_WORK: Final = 20_000_000  # operations; below it a launch costs as much

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def scratch(filters: Floats, weights: Floats) -> Floats:
    """Return room for the filtered image of every tile, with the rows and columns around it."""
    (_, a, b), (_, h, w) = filters.shape, weights.shape
    down, across = _tiles(h + a - 1, TILE[0]), _tiles(w + b - 1, TILE[1])
    width = min(TILE[1], w + b - 1)
    return np.empty((down * across, min(TILE[0], h + a - 1) + a - 1, width + b - 1))


def multiply(
    filters: Floats, flipped: Floats, weights: Floats, u: Floats, out: Floats, room: Floats
) -> None:
    """out = Σ_k Kᵏᵀ diag(wᵏ) Kᵏ u for a padded u; flipped = filters[:, ::-1, ::-1], C-ordered."""
    work = 4 * filters.size * weights[0].size
    run = _multiply_parallel if work >= PARALLEL_WORK else _multiply
    run(filters, flipped, weights, u, out, room, TILE[0], TILE[1])


def diagonal(filters: Floats, weights: Floats, rows: Ints, columns: Ints, out: Floats) -> None:
    """out += the diagonal of Σ_k Kᵏᵀ diag(wᵏ) Kᵏ; rows, columns as `stencils.fold` has them."""
    _diagonal(filters, weights, rows, columns, out)


def _tiles(size: int, tile: int) -> int:
    return -(-size // tile)


@njit(inline="always")
def _tile(
    filters: Any, flipped: Any, weights: Any, u: Any, out: Any, R: Any, top: Any, left: Any,
    bottom: Any, right: Any,
) -> None:  # fmt: skip
    """Compute out[top:bottom, left:right]; R has the filtered rows top − a + 1 … bottom − 1."""
    count, a, b = filters.shape
    h, w = weights.shape[1:]
    first, last = max(left - b + 1, 0), min(right, w)
    shift = first - (left - b + 1)
    R[:] = 0.0
    for i in range(top, bottom):
        out[i, left:right] = 0.0
    for k in range(count):
        for i in range(max(top - a + 1, 0), min(bottom, h)):
            row = R[i - (top - a + 1), shift : shift + last - first]
            row[:] = 0.0
            for p in range(a):
                add_row(row, u[i + p, first:], filters[k, p])
            weight = weights[k, i, first:last]
            for j in range(row.size):
                row[j] *= weight[j]
        for i in range(top, bottom):
            for p in range(a):
                add_row(out[i, left:right], R[i - top + p], flipped[k, p])


@njit(cache=True, nogil=True, fastmath={"contract"})
def _multiply(
    filters: Any, flipped: Any, weights: Any, u: Any, out: Any, room: Any, tall: int, wide: int
) -> None:
    across = -(-out.shape[1] // wide)
    for t in range(room.shape[0]):
        top, left = (t // across) * tall, (t % across) * wide
        bottom, right = min(top + tall, out.shape[0]), min(left + wide, out.shape[1])
        _tile(filters, flipped, weights, u, out, room[t], top, left, bottom, right)


@njit(cache=True, nogil=True, parallel=True, fastmath={"contract"})
def _multiply_parallel(
    filters: Any, flipped: Any, weights: Any, u: Any, out: Any, room: Any, tall: int, wide: int
) -> None:
    across = -(-out.shape[1] // wide)
    for t in prange(room.shape[0]):
        top, left = (t // across) * tall, (t % across) * wide
        bottom, right = min(top + tall, out.shape[0]), min(left + wide, out.shape[1])
        _tile(filters, flipped, weights, u, out, room[t], top, left, bottom, right)


@njit(cache=True, nogil=True)
def _diagonal(filters: Any, weights: Any, rows: Any, columns: Any, out: Any) -> None:
    count, a, b = filters.shape
    h, w = out.shape
    for i in range(h):
        for j in range(w):
            inner = a // 2 <= i < h - a + 1 + a // 2 and b // 2 <= j < w - b + 1 + b // 2
            for p in range(a * b):
                y, x = rows[i + p // b], columns[j + p % b]
                if y < 0 or x < 0:
                    continue
                for q in range(p if inner else 0, p + 1 if inner else a * b):
                    if rows[i + q // b] == y and columns[j + q % b] == x:  # copies of one pixel
                        total = 0.0
                        for k in range(count):
                            f, g = filters[k, p // b, p % b], filters[k, q // b, q % b]
                            total += weights[k, i, j] * f * g
                        out[y, x] += total
