"""Fused vector operations of conjugate gradients, for one column or several at once.

BLAS is not used for them: its threads spin on after a call and take the cores from the next
parallel kernel (1.6 times the whole solve of a megapixel, measured), and its sums depend on their
number. Here sums run over chunks of fixed size, then over the chunks in order.

Kernels see C-ordered (n, k) arrays flat, and chunks as slices: a loop from 0 over contiguous
numbers needs no test for negative indices, which would keep it from being vectorised (3 times).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from . import PARALLEL_ROWS

Floats = NDArray[np.float64]
CHUNK: Final = 8192
ODD: Final = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ over the golden ratio
HALF: Final = np.uint64(32)


NOTHING: Final = np.zeros(0)


def dot(a: Floats, b: Floats) -> float:
    """Return aᵀ b for vectors."""
    return float(dots(a.reshape(-1, 1), b.reshape(-1, 1))[0])


def dots(a: Floats, b: NDArray[Any]) -> Floats:
    """Return aⱼᵀ bⱼ for each column j of C-ordered (n, k); (k,)."""
    n, k = a.shape
    if k == 0:
        return np.zeros(0)
    partial = np.zeros((-(-n // CHUNK), k))
    (_dots_parallel if n >= PARALLEL_ROWS else _dots)(a.reshape(-1), b.reshape(-1), k, partial)
    return np.asarray(partial.sum(axis=0))


def finite(a: Floats) -> bool:
    """Tell whether no entry of a vector is NaN or infinite."""
    partial = np.zeros(-(-a.size // CHUNK))
    (_nothings_parallel if a.size >= PARALLEL_ROWS else _nothings)(a, partial)
    return not bool(np.isnan(partial).any())


def fingerprint(a: Floats) -> bytes:
    """Return what tells the bits of a vector from all others, but for one chance in 2⁶⁴ or so.

    Each chunk is mixed to one word, chunks side by side: a digest of cryptography is not needed.
    """
    words = np.ascontiguousarray(a, dtype=np.float64).view(np.uint64)
    mixed = np.zeros(-(-words.size // CHUNK), np.uint64)
    (_mix_parallel if words.size >= PARALLEL_ROWS else _mix)(words, mixed)
    return mixed.tobytes()


def shorten(p: Floats, bounds: Sequence[int]) -> None:
    """Make vectors of (K, n) no longer than 1, in place: rows bounds[r] … of each column are one.

    What is no number becomes 0.
    """
    for first, last in pairwise(bounds):
        _shorten(p[first:last])


def step(
    alpha: Floats, p: Floats, q: Floats, x: Floats, r: Floats, diagonal: Floats = NOTHING
) -> tuple[Floats, Floats]:
    """In place x += p α and r −= q α, column by column; return rⱼᵀ rⱼ and rⱼᵀ D rⱼ.

    diagonal: that of D, (n,); without one the second result is 0.
    """
    n, k = x.shape
    partial = np.zeros((2, -(-n // CHUNK), k))
    run = _step_parallel if n >= PARALLEL_ROWS else _step
    flat = [v.reshape(-1) for v in (p, q, x, r)]
    run(alpha, flat[0], flat[1], flat[2], flat[3], diagonal, k, partial[0], partial[1])
    squared, weighted = partial.sum(axis=1)
    return squared, weighted


def direction(beta: Floats, z: NDArray[Any], p: Floats, diagonal: Floats = NOTHING) -> None:
    """In place p = D z + p β, column by column; without a diagonal D = I."""
    run = _direction_parallel if p.shape[0] >= PARALLEL_ROWS else _direction
    run(beta, z.reshape(-1), p.reshape(-1), diagonal, p.shape[1])


def cast(a: NDArray[Any], scale: float, out: NDArray[Any]) -> None:
    """out = scale a, in the precision of out."""
    (_cast_parallel if a.size >= PARALLEL_ROWS else _cast)(a, out.dtype.type(scale), out)


@njit(cache=True, nogil=True)
def _cast(a: Any, scale: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = scale * a[i]


@njit(cache=True, nogil=True, parallel=True)
def _cast_parallel(a: Any, scale: Any, out: Any) -> None:
    for i in prange(out.size):
        out[i] = scale * a[i]


@njit(inline="always")
def _rows(v: Any, k: Any, c: Any) -> Any:
    """Return chunk c of a flat (n, k) array."""
    return v[c * CHUNK * k : (c + 1) * CHUNK * k]


@njit(inline="always")
def _sum_of_products(a: Any, b: Any, k: Any, out: Any) -> None:
    if k == 1:
        # Four sums side by side: one alone waits for each addition to end before the next.
        s, t, u, v = 0.0, 0.0, 0.0, 0.0
        whole = a.size // 4
        for i in range(whole):
            s += a[4 * i] * b[4 * i]
            t += a[4 * i + 1] * b[4 * i + 1]
            u += a[4 * i + 2] * b[4 * i + 2]
            v += a[4 * i + 3] * b[4 * i + 3]
        for i in range(4 * whole, a.size):
            s += a[i] * b[i]
        out[0] = (s + t) + (u + v)
    else:
        for i in range(a.size // k):
            for j in range(k):
                out[j] += a[i * k + j] * b[i * k + j]


@njit(inline="always")
def _weighted_square(r: Any, d: Any, k: Any, out: Any) -> None:
    if k == 1:
        s, t, u, v = 0.0, 0.0, 0.0, 0.0
        whole = r.size // 4
        for i in range(whole):
            s += r[4 * i] * r[4 * i] * d[4 * i]
            t += r[4 * i + 1] * r[4 * i + 1] * d[4 * i + 1]
            u += r[4 * i + 2] * r[4 * i + 2] * d[4 * i + 2]
            v += r[4 * i + 3] * r[4 * i + 3] * d[4 * i + 3]
        for i in range(4 * whole, r.size):
            s += r[i] * r[i] * d[i]
        out[0] = (s + t) + (u + v)
    else:
        for i in range(d.size):
            for j in range(k):
                out[j] += r[i * k + j] * r[i * k + j] * d[i]


@njit(inline="always")
def _add(alpha: Any, p: Any, k: Any, x: Any) -> None:
    """x += p α."""
    if k == 1:
        length = alpha[0]
        for i in range(x.size):
            x[i] += length * p[i]
    else:
        for i in range(x.size // k):
            for j in range(k):
                x[i * k + j] += alpha[j] * p[i * k + j]


@njit(inline="always")
def _step_chunk(
    alpha: Any, p: Any, q: Any, x: Any, r: Any, d: Any, k: Any, c: Any, squared: Any, weighted: Any
) -> None:
    left = _rows(r, k, c)
    _add(alpha, _rows(p, k, c), k, _rows(x, k, c))
    _add(-alpha, _rows(q, k, c), k, left)
    _sum_of_products(left, left, k, squared[c])  # the chunk is still in cache
    if d.size:
        _weighted_square(left, _rows(d, 1, c), k, weighted[c])


@njit(inline="always")
def _direction_chunk(beta: Any, z: Any, p: Any, d: Any, k: Any) -> None:
    if k == 1:
        length = beta[0]
        if d.size:
            for i in range(p.size):
                p[i] = d[i] * z[i] + length * p[i]
        else:
            for i in range(p.size):
                p[i] = z[i] + length * p[i]
    else:
        for i in range(p.size // k):
            scale = d[i] if d.size else 1.0
            for j in range(k):
                p[i * k + j] = scale * z[i * k + j] + beta[j] * p[i * k + j]


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def _nothing(a: Any) -> Any:
    """Return Σ 0 a_i: 0, or NaN where an entry is not finite."""
    total = 0.0
    for i in range(a.size):  # a loop over values themselves is not vectorised
        total += 0.0 * a[i]
    return total


@njit(cache=True, nogil=True)
def _nothings(a: Any, partial: Any) -> None:
    for c in range(partial.size):
        partial[c] = _nothing(a[c * CHUNK : (c + 1) * CHUNK])


@njit(cache=True, nogil=True, parallel=True)
def _nothings_parallel(a: Any, partial: Any) -> None:
    for c in prange(partial.size):
        partial[c] = _nothing(a[c * CHUNK : (c + 1) * CHUNK])


@njit(inline="always")
def _mixed(words):  # type: ignore[no-untyped-def]
    h = ODD
    for word in words:
        h = (h ^ word) * ODD
        h ^= h >> HALF  # a product carries upwards alone
    return h


@njit(cache=True, nogil=True)
def _mix(words: Any, mixed: Any) -> None:
    for c in range(mixed.size):
        mixed[c] = _mixed(words[c * CHUNK : (c + 1) * CHUNK])


@njit(cache=True, nogil=True, parallel=True)
def _mix_parallel(words: Any, mixed: Any) -> None:
    for c in prange(mixed.size):
        mixed[c] = _mixed(words[c * CHUNK : (c + 1) * CHUNK])


@njit(cache=True, nogil=True)
def _shorten(p: Any) -> None:
    for e in range(p.shape[1]):
        square = 0.0
        for k in range(p.shape[0]):
            square += p[k, e] * p[k, e]
        if not square <= 1.0:
            scale = 1.0 / np.sqrt(square) if square < np.inf else 0.0
            for k in range(p.shape[0]):
                p[k, e] = scale * p[k, e] if scale > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _dots(a: Any, b: Any, k: Any, partial: Any) -> None:
    for c in range(partial.shape[0]):
        _sum_of_products(_rows(a, k, c), _rows(b, k, c), k, partial[c])


@njit(cache=True, nogil=True, parallel=True)
def _dots_parallel(a: Any, b: Any, k: Any, partial: Any) -> None:
    for c in prange(partial.shape[0]):
        _sum_of_products(_rows(a, k, c), _rows(b, k, c), k, partial[c])


@njit(cache=True, nogil=True)
def _step(
    alpha: Any, p: Any, q: Any, x: Any, r: Any, d: Any, k: Any, squared: Any, weighted: Any
) -> None:
    for c in range(squared.shape[0]):
        _step_chunk(alpha, p, q, x, r, d, k, c, squared, weighted)


@njit(cache=True, nogil=True, parallel=True)
def _step_parallel(
    alpha: Any, p: Any, q: Any, x: Any, r: Any, d: Any, k: Any, squared: Any, weighted: Any
) -> None:
    for c in prange(squared.shape[0]):
        _step_chunk(alpha, p, q, x, r, d, k, c, squared, weighted)


@njit(cache=True, nogil=True)
def _direction(beta: Any, z: Any, p: Any, d: Any, k: Any) -> None:
    _direction_chunk(beta, z, p, d, k)


@njit(cache=True, nogil=True, parallel=True)
def _direction_parallel(beta: Any, z: Any, p: Any, d: Any, k: Any) -> None:
    for c in prange(-(-(p.size // k) // CHUNK)):
        _direction_chunk(beta, _rows(z, k, c), _rows(p, k, c), _rows(d, 1, c), k)
