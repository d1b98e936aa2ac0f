"""Fused vector operations of conjugate gradients, for one column or several at once.

BLAS is not used for them: its threads spin on after a call and take the cores from the next
parallel kernel (1.6 times the whole solve of a megapixel, measured), and its sums depend on their
number. Here sums run over chunks of fixed size, then over the chunks in order.
"""

from typing import Any, Final

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from . import PARALLEL_ROWS

Floats = NDArray[np.float64]
CHUNK: Final = 8192


def dot(a: Floats, b: Floats) -> float:
    """Return aᵀ b for vectors."""
    return float(dots(a.reshape(-1, 1), b.reshape(-1, 1))[0])


def dots(a: Floats, b: Floats) -> Floats:
    """Return aⱼᵀ bⱼ for each column j of C-ordered (n, k); (k,)."""
    partial = np.zeros((-(-a.shape[0] // CHUNK), a.shape[1]))
    (_dots_parallel if a.shape[0] >= PARALLEL_ROWS else _dots)(a, b, partial)
    return np.asarray(partial.sum(axis=0))


def step(alpha: Floats, p: Floats, q: Floats, x: Floats, r: Floats) -> Floats:
    """In place x += p α and r −= q α, column by column; return rⱼᵀ rⱼ."""
    partial = np.zeros((-(-x.shape[0] // CHUNK), x.shape[1]))
    run = _step_parallel if x.shape[0] >= PARALLEL_ROWS else _step
    run(alpha, p, q, x, r, partial)
    return np.asarray(partial.sum(axis=0))


def direction(beta: Floats, z: Floats, p: Floats) -> None:
    """In place p = z + p β, column by column."""
    (_direction_parallel if p.shape[0] >= PARALLEL_ROWS else _direction)(beta, z, p)


@njit(inline="always")
def _chunk(c: Any, n: Any) -> Any:
    return c * CHUNK, min((c + 1) * CHUNK, n)


@njit(inline="always")
def _dots_chunk(a: Any, b: Any, c: Any, partial: Any) -> None:
    first, last = _chunk(c, a.shape[0])
    if a.shape[1] == 1:
        # Four sums side by side: one alone waits for each addition to end before the next.
        s, t, u, v = 0.0, 0.0, 0.0, 0.0
        whole = first + (last - first) // 4 * 4
        for i in range(first, whole, 4):
            s += a[i, 0] * b[i, 0]
            t += a[i + 1, 0] * b[i + 1, 0]
            u += a[i + 2, 0] * b[i + 2, 0]
            v += a[i + 3, 0] * b[i + 3, 0]
        for i in range(whole, last):
            s += a[i, 0] * b[i, 0]
        partial[c, 0] = (s + t) + (u + v)
    else:
        for i in range(first, last):
            for j in range(a.shape[1]):
                partial[c, j] += a[i, j] * b[i, j]


@njit(inline="always")
def _step_chunk(alpha: Any, p: Any, q: Any, x: Any, r: Any, c: Any, partial: Any) -> None:
    first, last = _chunk(c, x.shape[0])
    if x.shape[1] == 1:
        length = alpha[0]
        for i in range(first, last):
            x[i, 0] += length * p[i, 0]
        for i in range(first, last):
            r[i, 0] -= length * q[i, 0]
        _dots_chunk(r, r, c, partial)  # the chunk is still in cache
    else:
        for i in range(first, last):
            for j in range(x.shape[1]):
                x[i, j] += alpha[j] * p[i, j]
                left = r[i, j] - alpha[j] * q[i, j]
                r[i, j] = left
                partial[c, j] += left * left


@njit(inline="always")
def _direction_chunk(beta: Any, z: Any, p: Any, c: Any) -> None:
    first, last = _chunk(c, p.shape[0])
    if p.shape[1] == 1:
        length = beta[0]
        for i in range(first, last):
            p[i, 0] = z[i, 0] + length * p[i, 0]
    else:
        for i in range(first, last):
            for j in range(p.shape[1]):
                p[i, j] = z[i, j] + beta[j] * p[i, j]


@njit(cache=True, nogil=True)
def _dots(a: Any, b: Any, partial: Any) -> None:
    for c in range(partial.shape[0]):
        _dots_chunk(a, b, c, partial)


@njit(cache=True, nogil=True, parallel=True)
def _dots_parallel(a: Any, b: Any, partial: Any) -> None:
    for c in prange(partial.shape[0]):
        _dots_chunk(a, b, c, partial)


@njit(cache=True, nogil=True)
def _step(alpha: Any, p: Any, q: Any, x: Any, r: Any, partial: Any) -> None:
    for c in range(partial.shape[0]):
        _step_chunk(alpha, p, q, x, r, c, partial)


@njit(cache=True, nogil=True, parallel=True)
def _step_parallel(alpha: Any, p: Any, q: Any, x: Any, r: Any, partial: Any) -> None:
    for c in prange(partial.shape[0]):
        _step_chunk(alpha, p, q, x, r, c, partial)


@njit(cache=True, nogil=True)
def _direction(beta: Any, z: Any, p: Any) -> None:
    for c in range(-(-p.shape[0] // CHUNK)):
        _direction_chunk(beta, z, p, c)


@njit(cache=True, nogil=True, parallel=True)
def _direction_parallel(beta: Any, z: Any, p: Any) -> None:
    for c in prange(-(-p.shape[0] // CHUNK)):
        _direction_chunk(beta, z, p, c)
