"""Products with a symmetric stencil on a grid, from half of its coefficients, never assembled.

coefficients (K, n): array k couples point i with point i + offset k, both ways; the first one is
the diagonal. offsets (K, 3) in (z, y, x), the first zero; shape (3,) of the grid, whose points are
numbered row by row. Neighbours are counted round the border: a periodic grid needs nothing more,
and any other one has zeros there.
"""

from typing import Any, Final

import numpy as np
from numba import njit, prange

from . import PARALLEL_ROWS

PIECE: Final = 512  # points of a row at a time: ten of them in float64 fill 40 KiB


def multiply(coefficients: Any, offsets: Any, shape: Any, x: Any, out: Any) -> None:
    """out = A x; x and out (n,)."""
    run = _multiply_parallel if x.size >= PARALLEL_ROWS else _multiply
    run(coefficients, offsets, shape, x, out)


def residual(coefficients: Any, offsets: Any, shape: Any, x: Any, b: Any, out: Any) -> None:
    """out = b − A x."""
    run = _residual_parallel if x.size >= PARALLEL_ROWS else _residual
    run(coefficients, offsets, shape, x, b, out)


@njit(inline="always")
def _subtract_products(c, x, first, shift, low, high, out):  # type: ignore[no-untyped-def]
    """out[i] −= c[i + first] x[i + shift] for i from low to high, counted round the row's ends."""
    n = out.size
    inner_low, inner_high = max(low, -shift), min(high, n - shift)
    if inner_low < inner_high:
        to, other = out[inner_low:inner_high], x[inner_low + shift : inner_high + shift]
        by = c[inner_low + first : inner_high + first]
        for i in range(to.size):
            to[i] -= by[i] * other[i]
    for i in range(low, min(high, -shift)):
        out[i] -= c[(i + first) % n] * x[i + shift + n]
    for i in range(max(low, n - shift), high):
        out[i] -= c[(i + first) % n] * x[i + shift - n]


@njit(inline="always")
def _subtract_row(coefficients, offsets, shape, x, row, out):  # type: ignore[no-untyped-def]
    """out −= A x for one row of the grid, in pieces that stay in the innermost cache."""
    planes, rows, n = shape[0], shape[1], shape[2]
    z, y = row // rows, row % rows
    here = row * n
    for low in range(0, n, PIECE):
        high = min(low + PIECE, n)
        c = coefficients[0, here : here + n]
        _subtract_products(c, x[here : here + n], 0, 0, low, high, out)
        for k in range(1, offsets.shape[0]):
            up, over, along = offsets[k, 0], offsets[k, 1], offsets[k, 2]
            there = ((z + up + planes) % planes * rows + (y + over + rows) % rows) * n
            back = ((z - up + planes) % planes * rows + (y - over + rows) % rows) * n
            c = coefficients[k]
            _subtract_products(c[here : here + n], x[there : there + n], 0, along, low, high, out)
            _subtract_products(
                c[back : back + n], x[back : back + n], -along, -along, low, high, out
            )


@njit(inline="always")
def _residual_row(coefficients, offsets, shape, x, b, row, out):  # type: ignore[no-untyped-def]
    n = shape[2]
    r = out[row * n : (row + 1) * n]
    r[:] = b[row * n : (row + 1) * n]
    _subtract_row(coefficients, offsets, shape, x, row, r)


@njit(inline="always")
def _multiply_row(coefficients, offsets, shape, x, row, out):  # type: ignore[no-untyped-def]
    n = shape[2]
    r = out[row * n : (row + 1) * n]
    r[:] = 0.0
    _subtract_row(coefficients, offsets, shape, x, row, r)
    for i in range(n):
        r[i] = -r[i]


@njit(cache=True, nogil=True)
def _multiply(coefficients, offsets, shape, x, out):  # type: ignore[no-untyped-def]
    for row in range(shape[0] * shape[1]):
        _multiply_row(coefficients, offsets, shape, x, row, out)


@njit(cache=True, nogil=True, parallel=True)
def _multiply_parallel(coefficients, offsets, shape, x, out):  # type: ignore[no-untyped-def]
    for row in prange(shape[0] * shape[1]):
        _multiply_row(coefficients, offsets, shape, x, row, out)


@njit(cache=True, nogil=True)
def _residual(coefficients, offsets, shape, x, b, out):  # type: ignore[no-untyped-def]
    for row in range(shape[0] * shape[1]):
        _residual_row(coefficients, offsets, shape, x, b, row, out)


@njit(cache=True, nogil=True, parallel=True)
def _residual_parallel(coefficients, offsets, shape, x, b, out):  # type: ignore[no-untyped-def]
    for row in prange(shape[0] * shape[1]):
        _residual_row(coefficients, offsets, shape, x, b, row, out)


def fill(
    indptr: Any, indices: Any, values: Any, shape: Any, slots: Any, out: Any
) -> tuple[int, int]:
    """out (K, n) = the coefficients of a CSR matrix with neighbours alone, else where it fails.

    slots (27,): for the offset (z, y, x), numbered 9 (z + 1) + 3 (y + 1) + x + 1, its array; −2
    for those told by their mirror image, −1 for those that are not expected. Returns (−1, 0), or
    the first row with another offset and its number there, −1 for what is no neighbour.
    """
    steps = np.array([o % 3 - 1 for o in range(27)])
    flat = np.array([((o // 9 - 1) * shape[1] + o // 3 % 3 - 1) * shape[2] for o in range(27)])
    flat += steps
    rows = int(shape[0] * shape[1])
    failed = np.full((rows, 2), -1, dtype=np.int64)
    run = _fill_parallel if out.shape[1] >= PARALLEL_ROWS else _fill
    run(indptr, indices, values, shape, slots, flat, out, failed)
    worst = np.flatnonzero(failed[:, 0] >= 0)
    return (int(failed[worst[0], 0]), int(failed[worst[0], 1])) if worst.size else (-1, 0)


@njit(cache=True, nogil=True)
def _offset_between(i, j, shape):  # type: ignore[no-untyped-def]
    """Return the number of the offset from i to j, counted round the border; −1 if far apart."""
    n, rows, planes = shape[2], shape[1], shape[0]
    number = 0
    for a, b, size in (
        (i // n // rows, j // n // rows, planes),
        (i // n % rows, j // n % rows, rows),
        (i % n, j % n, n),
    ):
        step = b - a
        if step == size - 1 and size > 2:
            step = -1
        elif step == 1 - size and size > 2:
            step = 1
        if step < -1 or step > 1:
            return -1
        number = 3 * number + step + 1
    return number


@njit(cache=True, nogil=True)
def _fill_row(indptr, indices, values, shape, slots, flat, row, out, failed):  # type: ignore[no-untyped-def]
    n, y, z = shape[2], row % shape[1], row // shape[1]
    known = np.empty(27, np.int64)  # distances that lead from this row to another of the grid
    for o in range(27):
        over, up = y + o // 3 % 3 - 1, z + o // 9 - 1
        known[o] = (
            flat[o] if 0 <= over < shape[1] and 0 <= up < shape[0] else np.iinfo(np.int64).max
        )
    # Of most points the columns lie as those of the point before: their arrays are known then.
    like, arrays, count = np.empty(27, np.int64), np.empty(27, np.int64), -1
    for x in range(n):
        i = row * n + x
        start = indptr[i]
        inner = 0 < x < n - 1
        same = inner and indptr[i + 1] - start == count
        if same:
            for k in range(count):
                same = same and np.int64(indices[start + k]) - i == like[k]
        if same:
            for k in range(count):
                if arrays[k] >= 0:
                    out[arrays[k], i] = values[start + k]
            continue
        o, count, usual = 0, indptr[i + 1] - start, inner and indptr[i + 1] - start <= 27
        for place in range(start, indptr[i + 1]):
            distance = np.int64(indices[place]) - i
            while o < 26 and flat[o] < distance:
                o += 1
            step = o % 3 - 1
            number = o
            if known[o] != distance or x + step < 0 or x + step >= n:
                # Round the border, or along an axis of few points.
                number = _offset_between(i, i + distance, shape)
            slot = slots[number] if number >= 0 else -1
            if slot >= 0:
                out[slot, i] = values[place]
            elif slot == -1:
                if values[place] != 0.0:
                    failed[row, 0], failed[row, 1] = i, number
                    return
                usual = False  # a zero may be stored where no entry is expected
            if usual:
                like[place - start], arrays[place - start] = distance, slot
        if not usual:
            count = -1


@njit(cache=True, nogil=True)
def _fill(indptr, indices, values, shape, slots, flat, out, failed):  # type: ignore[no-untyped-def]
    for row in range(shape[0] * shape[1]):
        _fill_row(indptr, indices, values, shape, slots, flat, row, out, failed)


@njit(cache=True, nogil=True, parallel=True)
def _fill_parallel(indptr, indices, values, shape, slots, flat, out, failed):  # type: ignore[no-untyped-def]
    for row in prange(shape[0] * shape[1]):
        _fill_row(indptr, indices, values, shape, slots, flat, row, out, failed)
