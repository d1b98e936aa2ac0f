"""Rows of images under rows of filters, by the number of taps.

`add_row` out[j] += Σ_q f[q] u[j + q]; `dot_row`, its derivative by f: out[i] += Σ_t q[t] u[t + i].

Written out for up to 7 taps, so that the filter (or the sums) stay in registers and LLVM makes
vectors along the row; more taps are taken in several passes.
"""

from typing import Any

from numba import njit


@njit(inline="always")
def _one(out: Any, u: Any, f: Any, q: Any) -> None:
    a = f[q]
    u = u[q:]
    for j in range(out.size):
        out[j] += a * u[j]


@njit(inline="always")
def _two(out: Any, u: Any, f: Any, q: Any) -> None:
    a, b = f[q], f[q + 1]
    u = u[q:]
    for j in range(out.size):
        out[j] += a * u[j] + b * u[j + 1]


@njit(inline="always")
def _three(out: Any, u: Any, f: Any, q: Any) -> None:
    a, b, c = f[q], f[q + 1], f[q + 2]
    u = u[q:]
    for j in range(out.size):
        out[j] += a * u[j] + b * u[j + 1] + c * u[j + 2]


@njit(inline="always")
def _four(out: Any, u: Any, f: Any, q: Any) -> None:
    a, b, c, d = f[q], f[q + 1], f[q + 2], f[q + 3]
    u = u[q:]
    for j in range(out.size):
        out[j] += a * u[j] + b * u[j + 1] + c * u[j + 2] + d * u[j + 3]


@njit(inline="always")
def _five(out: Any, u: Any, f: Any, q: Any) -> None:
    a, b, c, d, e = f[q], f[q + 1], f[q + 2], f[q + 3], f[q + 4]
    u = u[q:]
    for j in range(out.size):
        out[j] += a * u[j] + b * u[j + 1] + c * u[j + 2] + d * u[j + 3] + e * u[j + 4]


@njit(inline="always")
def _seven(out: Any, u: Any, f: Any, q: Any) -> None:
    a, b, c, d = f[q], f[q + 1], f[q + 2], f[q + 3]
    e, g, h = f[q + 4], f[q + 5], f[q + 6]
    u = u[q:]
    for j in range(out.size):
        s = a * u[j] + b * u[j + 1] + c * u[j + 2] + d * u[j + 3]
        out[j] += s + (e * u[j + 4] + g * u[j + 5] + h * u[j + 6])


@njit(nogil=True, cache=True, fastmath={"contract"})
def add_row(out: Any, u: Any, f: Any) -> None:
    """out[j] += Σ_q f[q] u[j + q]; u (out.size + taps − 1,) or longer."""
    q, taps = 0, f.size
    while taps - q >= 9 or taps - q == 7:
        _seven(out, u, f, q)
        q += 7
    if taps - q >= 5:
        _five(out, u, f, q)
        q += 5
    if taps - q == 4:
        _four(out, u, f, q)
    elif taps - q == 3:
        _three(out, u, f, q)
    elif taps - q == 2:
        _two(out, u, f, q)
    elif taps - q == 1:
        _one(out, u, f, q)


@njit(inline="always")
def _dot_one(q: Any, u: Any, out: Any, i: Any) -> None:
    u = u[i:]
    a = 0.0
    for t in range(q.size):
        a += q[t] * u[t]
    out[i] += a


@njit(inline="always")
def _dot_three(q: Any, u: Any, out: Any, i: Any) -> None:
    u = u[i:]
    a, b, c = 0.0, 0.0, 0.0
    for t in range(q.size):
        s = q[t]
        a += s * u[t]
        b += s * u[t + 1]
        c += s * u[t + 2]
    out[i] += a
    out[i + 1] += b
    out[i + 2] += c


@njit(inline="always")
def _dot_five(q: Any, u: Any, out: Any, i: Any) -> None:
    u = u[i:]
    a, b, c, d, e = 0.0, 0.0, 0.0, 0.0, 0.0
    for t in range(q.size):
        s = q[t]
        a += s * u[t]
        b += s * u[t + 1]
        c += s * u[t + 2]
        d += s * u[t + 3]
        e += s * u[t + 4]
    out[i] += a
    out[i + 1] += b
    out[i + 2] += c
    out[i + 3] += d
    out[i + 4] += e


@njit(inline="always")
def _dot_seven(q: Any, u: Any, out: Any, i: Any) -> None:
    u = u[i:]
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    e, g, h = 0.0, 0.0, 0.0
    for t in range(q.size):
        s = q[t]
        a += s * u[t]
        b += s * u[t + 1]
        c += s * u[t + 2]
        d += s * u[t + 3]
        e += s * u[t + 4]
        g += s * u[t + 5]
        h += s * u[t + 6]
    out[i] += a
    out[i + 1] += b
    out[i + 2] += c
    out[i + 3] += d
    out[i + 4] += e
    out[i + 5] += g
    out[i + 6] += h


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def dot_row(q: Any, u: Any, out: Any) -> None:
    """out[i] += Σ_t q[t] u[t + i]; u (q.size + out.size − 1,) or longer.

    Sums of vectors side by side: one sum alone waits for each addition to end before the next.
    """
    i, taps = 0, out.size
    while taps - i >= 7:
        _dot_seven(q, u, out, i)
        i += 7
    if taps - i >= 5:
        _dot_five(q, u, out, i)
        i += 5
    if taps - i >= 3:
        _dot_three(q, u, out, i)
        i += 3
    while i < taps:
        _dot_one(q, u, out, i)
        i += 1
