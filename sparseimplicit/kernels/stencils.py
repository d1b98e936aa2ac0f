"""Stencil matrices on images: folded at the border, applied; see `assembling`.

A stencil (h + a − 1, points, w + 2 (b − 1)) has of each pair of pixels x, x + δ one entry, at x;
`point` numbers the δ: δ_y > 0, or δ_y = 0 and δ_x ≥ 0. Pixel (i, j) stands at
[i + ⌊a/2⌋, :, j + b − 1]. A row is one thread's work: the bits depend on no number of threads.
"""

from typing import Any, Final

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

PARALLEL_SIZE: Final = 500_000  # entries; below it a launch costs as much

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def apply_stencil(stencil: Floats, a: int, b: int, periodic: bool, u: Floats, out: Floats) -> None:
    """out = H u; u (h, w + 2 (b − 1)) with its border left and right, out (h, w)."""
    run = _apply_parallel if stencil.size >= PARALLEL_SIZE else _apply
    run(stencil, a, b, periodic, u, out)


def point(b: int, dy: int, dx: int) -> int:
    """Return the number of δ = (dy, dx) among the points of a stencil."""
    return dx if dy == 0 else b + (dy - 1) * (2 * b - 1) + dx + b - 1


def fill_csr(
    stencil: Floats, a: int, b: int, indptr: NDArray[Any], indices: NDArray[Any], out: Floats
) -> None:
    """Fill indices and out: the entries of H row by row, (2a − 1)(2b − 1) points inside the image.

    Of a border that is not periodic. indptr has the number of neighbours of each pixel summed up.
    """
    h, w = stencil.shape[0] - a + 1, stencil.shape[2] - 2 * (b - 1)
    run = _fill_csr_parallel if out.size >= PARALLEL_SIZE else _fill_csr
    run(stencil, a, b, h, w, indptr, indices, out)


@njit(cache=True, nogil=True)
def fold(stencil: Any, a: int, b: int, rows: Any, columns: Any, periodic: bool) -> None:
    """Move what reaches into the padding to the pixels that the padding copies; in place.

    rows (h + a − 1,), columns (w + b − 1,): the pixel that each row and column is a copy of, −1 for
    zero. The padding of the stencil is left 0, or for a periodic border copied left and right.
    """
    up, left, shift = a // 2, b // 2, b - 1 - b // 2
    h, w = rows.size - a + 1, columns.size - b + 1
    for i in range(rows.size):
        for e in range(stencil.shape[1]):
            dy = 0 if e < b else 1 + (e - b) // (2 * b - 1)
            dx = e if e < b else (e - b) % (2 * b - 1) - b + 1
            inner = up <= i < up + h and (periodic or i + dy < up + h)
            begin = left if periodic else max(left, left - dx)
            end = left + w if periodic else min(left + w, left + w - dx)
            if not inner or end <= begin:
                begin = end = columns.size
            for n in range(columns.size - end + begin):
                j = n if n < begin else n - begin + end
                value = stencil[i, e, j + shift]
                stencil[i, e, j + shift] = 0.0
                if value == 0.0:
                    continue
                y, x = rows[i], columns[j]
                if periodic:
                    stencil[y + up, e, x + b - 1] += value
                    continue
                y2, x2 = rows[i + dy], columns[j + dx]
                if y < 0 or x < 0 or y2 < 0 or x2 < 0:
                    continue
                ey, ex = y2 - y, x2 - x
                if ey < 0 or (ey == 0 and ex < 0):
                    y, x, ey, ex = y2, x2, -ey, -ex
                if ey == 0 and ex == 0 and e > 0:  # both entries of the pair, on the diagonal now
                    value *= 2.0
                to = ex if ey == 0 else b + (ey - 1) * (2 * b - 1) + ex + b - 1
                stencil[y + up, to, x + b - 1] += value
    if periodic:
        for i in range(up, up + h):
            for e in range(stencil.shape[1]):
                for j in range(b - 1):
                    stencil[i, e, b - 2 - j] = stencil[i, e, b - 1 + (-1 - j) % w]
                    stencil[i, e, b - 1 + w + j] = stencil[i, e, b - 1 + j % w]


@njit(inline="always")
def _add(out: Any, c: Any, u: Any) -> None:
    for j in range(out.size):
        out[j] += c[j] * u[j]


@njit(inline="always")
def _apply_row(stencil: Any, a: Any, b: Any, periodic: Any, u: Any, out: Any, i: Any) -> None:
    # One point at a time: 26 GB/s of a triad of 30; four at a time LLVM gets 21 (256², 85 points).
    h = out.shape[0]
    up, m = a // 2, b - 1
    row = out[i]
    row[:] = 0.0
    for dy in range(a):
        begin = 0 if dy == 0 else b + (dy - 1) * (2 * b - 1)
        count = b if dy == 0 else 2 * b - 1
        low = m if dy == 0 else 0  # u[low + t] belongs to the first pixel and point t
        if periodic or i + dy < h:
            c, v = stencil[i + up, begin:], u[(i + dy) % h, low:]
            for t in range(count):
                _add(row, c[t, m:], v[t:])
        if periodic or i - dy >= 0:
            c, v = stencil[(i - dy) % h + up, begin:], u[(i - dy) % h]
            # Of point t the partner stands t columns to the left of 2 m − low; the diagonal once.
            for t in range(1 if dy == 0 else 0, count):
                _add(row, c[t, 2 * m - low - t :], v[2 * m - low - t :])


@njit(cache=True, nogil=True, fastmath={"contract"})
def _apply(stencil: Any, a: int, b: int, periodic: bool, u: Any, out: Any) -> None:
    for i in range(out.shape[0]):
        _apply_row(stencil, a, b, periodic, u, out, i)


@njit(cache=True, nogil=True, parallel=True, fastmath={"contract"})
def _apply_parallel(stencil: Any, a: int, b: int, periodic: bool, u: Any, out: Any) -> None:
    for i in prange(out.shape[0]):
        _apply_row(stencil, a, b, periodic, u, out, i)


@njit(inline="always")
def _fill_row(
    stencil: Any, a: Any, b: Any, h: Any, w: Any, indptr: Any, indices: Any, out: Any, row: Any
) -> None:
    i = np.int64(row)  # the index of a prange may be unsigned, and has no negative
    up, m = a // 2, b - 1
    for j in range(w):
        k = indptr[i * w + j]
        for dy in range(max(1 - a, -i), min(a, h - i)):
            for dx in range(max(1 - b, -j), min(b, w - j)):
                if dy > 0 or (dy == 0 and dx >= 0):
                    e = dx if dy == 0 else b + (dy - 1) * (2 * b - 1) + dx + m
                    value = stencil[i + up, e, j + m]
                else:
                    e = -dx if dy == 0 else b + (-dy - 1) * (2 * b - 1) - dx + m
                    value = stencil[i + dy + up, e, j + dx + m]
                indices[k] = (i + dy) * w + j + dx
                out[k] = value
                k += 1


@njit(cache=True, nogil=True)
def _fill_csr(
    stencil: Any, a: int, b: int, h: int, w: int, indptr: Any, indices: Any, out: Any
) -> None:
    for i in range(h):
        _fill_row(stencil, a, b, h, w, indptr, indices, out, i)


@njit(cache=True, nogil=True, parallel=True)
def _fill_csr_parallel(
    stencil: Any, a: int, b: int, h: int, w: int, indptr: Any, indices: Any, out: Any
) -> None:
    for i in prange(h):
        _fill_row(stencil, a, b, h, w, indptr, indices, out, i)
