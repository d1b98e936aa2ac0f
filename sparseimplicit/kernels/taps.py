"""out[j] += Σ_q f[q] u[j + q]: a row of an image under a row of a filter, by its number of taps.

Written out for 1 to 9 taps, so that the filter stays in registers and LLVM makes vectors along j;
for more taps the rest is added in a second pass. Two rows share one pass where there are few taps.
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
