"""Stencil matrices of filter energies, assembled: Σ_k Σ_p f[p] f[p + δ] wᵏ[x − p], for all δ.

Two neighbouring points of the stencil are summed at once, in registers, over all filters and taps.
Layout as in `stencils`. A row is one thread's work: the bits depend on no number of threads.
"""

from functools import lru_cache
from typing import Any, Final

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .stencils import point
from .tiles import WIDE, add_wide

LANES: Final = WIDE[1]
TOGETHER: Final = 24  # filters whose products are summed up in registers
STRIP: Final = 48  # columns whose weights stay in the cache for all points
PARALLEL_WORK: Final = 50_000_000  # products; below it a launch costs as much

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def assemble(products: Floats, weights: Floats, width: int, out: Floats) -> None:
    """out = the stencil of the padded image, not folded; see `products_of`; weights (K, h, w)."""
    given = by_pairs(products, weights, width)
    work = given[0].shape[0] * weights[0].size
    run = _assemble_parallel if work >= PARALLEL_WORK else _assemble
    run(*given, width, out)


def products_of(filters: Floats) -> Floats:
    """Return f[p] f[p + δ], (K, points, a, b), in the order in which `assemble` reads them.

    [k, δ, p_y, q] with q = b − 1 − p_x, zero where p + δ is outside of the filter.
    """
    count, a, b = filters.shape
    out = np.zeros((count, b + (a - 1) * (2 * b - 1), a, b))
    for dy in range(a):
        for dx in range(1 - b if dy else 0, b):
            low, high = max(0, -dx), min(b, b - dx)
            pairs = filters[:, : a - dy, low:high] * filters[:, dy:, low + dx : high + dx]
            out[:, point(b, dy, dx), : a - dy, b - high : b - low] = pairs[:, :, ::-1]
    return out


def by_pairs(products: Floats, weights: Floats, width: int) -> tuple[Any, ...]:
    """Return what `assemble` reads: two points at once, all products of a pair one behind another.

    c, (pairs of points), bounds of the pairs, places of the weights, these flat with zeros around,
    and (K, numbers of an image, of a line).
    """
    count, _, a, _ = products.shape
    h, w = weights.shape[1:]
    rows, columns = h + 2 * (a - 1), w + 2 * (width - 1)
    points, starts, places, take = _pairs(count, a, width, rows * columns, columns)
    padded = np.zeros(count * rows * columns + LANES)
    inner = padded[:-LANES].reshape(count, rows, columns)
    inner[:, a - 1 : a - 1 + h, width - 1 : width - 1 + w] = weights
    return products.reshape(-1)[take], points, starts, places, padded, (count, rows, columns)


@lru_cache(maxsize=16)
def _pairs(count: int, a: int, b: int, plane: int, columns: int) -> tuple[Ints, ...]:
    """Return pairs of neighbouring points, bounds of their products, places, and where these are.

    Products of a pair go by filter, then by where in the window; places are of `TOGETHER` filters.
    """
    points, starts, places, take = [], [0], [], []
    filters, together = np.arange(count), np.arange(min(TOGETHER, count))
    for dy in range(a):
        low = 1 - b if dy else 0
        for dx in range(low, b, 2):
            e = point(b, dy, dx)
            other = e + 1 if dx + 1 < b else e
            points.append((e, other))
            p, q = (
                g.ravel() for g in np.meshgrid(
                    np.arange(a - dy), np.arange(max(0, dx), min(b, b + dx + 1)), indexing="ij")
            )  # fmt: skip
            starts.append(starts[-1] + p.size)
            places.append((together[:, None] * plane - p * columns + q).ravel())
            own = np.array([e, other]) * (a * b) + (p * b + q)[:, None]
            size = (b + (a - 1) * (2 * b - 1)) * a * b
            take.append((filters[:, None, None] * size + own).reshape(-1, 2))
    return (
        np.array(points), np.array(starts), np.concatenate(places), np.concatenate(take)
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _assemble_row(
    c: Any, points: Any, starts: Any, places: Any, weights: Any, sizes: Any, b: int, out: Any,
    i: int,
) -> None:  # fmt: skip
    # Row i of the padded image; its columns begin b − 1 − ⌊b/2⌋ before the first pixel's.
    count, rows, columns = sizes
    above, shift = (rows - out.shape[0]), b - 1 - b // 2
    wide, flat = columns - b + 1, c.reshape(-1)
    room = np.empty(2 * LANES)
    out[i, :, :shift] = 0.0
    out[i, :, shift + wide :] = 0.0
    for strip in range(0, wide, STRIP):
        for pair in range(points.shape[0]):
            s, n = starts[pair], starts[pair + 1] - starts[pair]
            for begin in range(strip, min(strip + STRIP, wide), LANES):
                room[:] = 0.0
                for k in range(0, count, TOGETHER):
                    terms = min(TOGETHER, count - k) * n
                    first = s * min(TOGETHER, count)
                    add_wide(flat, 2 * (s * count + k * n), 2, 1, places[first : first + terms],
                             terms, weights, (k * rows + i + above) * columns + begin, room, 0,
                             LANES)  # fmt: skip
                size = min(LANES, wide - begin)
                to = shift + begin
                out[i, points[pair, 0], to : to + size] = room[:size]
                if points[pair, 1] != points[pair, 0]:
                    out[i, points[pair, 1], to : to + size] = room[LANES : LANES + size]


@njit(cache=True, nogil=True)
def _assemble(
    c: Any, points: Any, starts: Any, places: Any, weights: Any, sizes: Any, b: int, out: Any
) -> None:
    for i in range(out.shape[0]):
        _assemble_row(c, points, starts, places, weights, sizes, b, out, i)


@njit(cache=True, nogil=True, parallel=True)
def _assemble_parallel(
    c: Any, points: Any, starts: Any, places: Any, weights: Any, sizes: Any, b: int, out: Any
) -> None:
    for i in prange(out.shape[0]):
        _assemble_row(c, points, starts, places, weights, sizes, b, out, np.int64(i))
