"""Products with a stencil on a grid with borders on all sides, by vectors.

The same as in `stencil`, but nothing is counted round a border: what would reach beyond one has a
coefficient of 0. So points are taken as they lie in memory, whatever the length of a row.
"""

from typing import Any, Final

import numpy as np
from numba import njit, prange

from . import PARALLEL_ROWS
from .lanes import LANES
from .vectorized import load, load_like, minus, nothing, plus, product, store

CHUNK: Final = 4096  # points of a task


def multiply(coefficients: Any, offsets: Any, shape: Any, x: Any, out: Any) -> float:
    """out = A x; x and out (n,). Return xᵀ A x, for which nothing is read again."""
    run = _multiply_parallel if x.size >= PARALLEL_ROWS else _multiply
    partial = np.empty(-(-x.size // CHUNK))
    run(coefficients, offsets, shape, x, out, partial)
    return float(partial.sum())


def residual(coefficients: Any, offsets: Any, shape: Any, x: Any, b: Any, out: Any) -> None:
    """out = b − A x."""
    run = _residual_parallel if x.size >= PARALLEL_ROWS else _residual
    run(coefficients, offsets, shape, x, b, out)


@njit(cache=True, nogil=True)
def _places(coefficients, offsets, shape):  # type: ignore[no-untyped-def]
    """Return for each coupling where its coefficient and its x lie, relative to a point."""
    n = coefficients.shape[1]
    places = np.zeros((2 * offsets.shape[0] - 1, 2), np.int64)
    for k in range(1, offsets.shape[0]):
        step = (offsets[k, 0] * shape[1] + offsets[k, 1]) * shape[2] + offsets[k, 2]
        places[2 * k - 1] = k * n, step
        places[2 * k] = k * n - step, -step
    return places


@njit(inline="always")
def _sum_at(c, places, x, i):  # type: ignore[no-untyped-def]
    """Return (A x)_i."""
    total = c[i] * x[i]
    for k in range(1, places.shape[0]):
        j = i + places[k, 1]
        if 0 <= j < x.size:
            total += c[i + places[k, 0]] * x[j]
    return total


@njit(inline="always")
def _sums_at(c, places, x, i):  # type: ignore[no-untyped-def]
    """Return (A x)_i, (A x)_i+1, …: in two sums, since each product waits for the one before."""
    total, other = product(load_like(c, i, x), load(x, i)), nothing(x)
    for k in range(1, places.shape[0], 2):
        here, there = load_like(c, i + places[k, 0], x), load(x, i + places[k, 1])
        total = plus(total, product(here, there))
        here, there = load_like(c, i + places[k + 1, 0], x), load(x, i + places[k + 1, 1])
        other = plus(other, product(here, there))
    return plus(total, other)


@njit(inline="always")
def _inner(places, n, first, last):  # type: ignore[no-untyped-def]
    """Return the points from first to last whose neighbours are all in the arrays."""
    reach = 0
    for k in range(places.shape[0]):
        reach = max(reach, abs(places[k, 1]))
    low = min(max(first, reach), last)
    return low, low + max(min(last, n - reach) - low, 0) // LANES * LANES


@njit(inline="always")
def _apart(places, n, i):  # type: ignore[no-untyped-def]
    """Whether each coupling leads either all of 16 points into the arrays, or none of them."""
    for k in range(places.shape[0]):
        j = i + places[k, 1]
        if -LANES < j < 0 or n - LANES < j < n:
            return False
    return True


@njit(cache=True, nogil=True)
def _ends(c, places, x, first, last, out):  # type: ignore[no-untyped-def]
    """out = A x of the points from first to last, some neighbours of which are not there."""
    i = first
    while i < last:
        if i + LANES > last or not _apart(places, x.size, i):
            out[i] = _sum_at(c, places, x, i)
            i += 1
            continue
        total = nothing(x)
        for k in range(places.shape[0]):
            j = i + places[k, 1]
            if 0 <= j < x.size:
                total = plus(total, product(load_like(c, i + places[k, 0], x), load(x, j)))
        store(total, out, i)
        i += LANES


@njit(cache=True, nogil=True)
def _multiply_chunk(c, places, x, first, last, out):  # type: ignore[no-untyped-def]
    low, high = _inner(places, x.size, first, last)
    one, sums, total = 0.0, np.empty(LANES), nothing(x)
    for start, stop in ((first, low), (high, last)):
        _ends(c, places, x, start, stop, out)
        for i in range(start, stop):
            one += x[i] * out[i]
    for i in range(low, high, LANES):
        value = _sums_at(c, places, x, i)
        store(value, out, i)
        total = plus(total, product(value, load(x, i)))
    store(total, sums, 0)
    return one + sums.sum()


@njit(cache=True, nogil=True)
def _residual_chunk(c, places, x, b, first, last, out):  # type: ignore[no-untyped-def]
    low, high = _inner(places, x.size, first, last)
    for start, stop in ((first, low), (high, last)):
        _ends(c, places, x, start, stop, out)
        for i in range(start, stop):
            out[i] = b[i] - out[i]
    for i in range(low, high, LANES):
        store(minus(load(b, i), _sums_at(c, places, x, i)), out, i)


@njit(cache=True, nogil=True)
def _multiply(coefficients, offsets, shape, x, out, partial):  # type: ignore[no-untyped-def]
    places, c = _places(coefficients, offsets, shape), coefficients.reshape(-1)
    for chunk in range(partial.size):
        first = chunk * CHUNK
        last = min(first + CHUNK, x.size)
        partial[chunk] = _multiply_chunk(c, places, x, first, last, out)


@njit(cache=True, nogil=True, parallel=True)
def _multiply_parallel(coefficients, offsets, shape, x, out, partial):  # type: ignore[no-untyped-def]
    places, c = _places(coefficients, offsets, shape), coefficients.reshape(-1)
    for chunk in prange(partial.size):
        first = chunk * CHUNK
        last = min(first + CHUNK, x.size)
        partial[chunk] = _multiply_chunk(c, places, x, first, last, out)


@njit(cache=True, nogil=True)
def _residual(coefficients, offsets, shape, x, b, out):  # type: ignore[no-untyped-def]
    places = _places(coefficients, offsets, shape)
    _residual_chunk(coefficients.reshape(-1), places, x, b, 0, x.size, out)


@njit(cache=True, nogil=True, parallel=True)
def _residual_parallel(coefficients, offsets, shape, x, b, out):  # type: ignore[no-untyped-def]
    places, c = _places(coefficients, offsets, shape), coefficients.reshape(-1)
    for chunk in prange((x.size + CHUNK - 1) // CHUNK):
        first = chunk * CHUNK
        _residual_chunk(c, places, x, b, first, min(first + CHUNK, x.size), out)
