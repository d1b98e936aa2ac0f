"""The cycle of algebraic multigrid for one column: smoothing, residual, transfers, coarsest solve.

The smoother is Gauss–Seidel inside chunks of rows and Jacobi between them, forward before the
coarser levels and backward after them,

    M₁ = L + D,    M₂ = D + U,    D = diag(A) + ½ Σ |a_ij| over the j of other chunks,

L and U the triangles inside the chunks; or both sweeps at either place, M = M₁ D⁻¹ M₂. For
symmetric positive definite A, M₂ = M₁ᵀ and M₁ + M₂ − A is positive definite for every choice of
chunks, so that the cycle is symmetric and never diverges. Chunks depend on the matrix alone: the
bits do not depend on threads.
Source: Baker, Falgout, Kolev, Yang 2011, whose ℓ1 term is halved here, as both sweeps are used.

While a chunk is in cache it is swept and, from a guess of zero, its residual taken: each smoothing
reads the matrix once from memory. Sweeps go over both triangles, times zeros at first: loops of
nearly equal length cost less than the branches that halves mispredict.
"""

from typing import Any, Final

from numba import njit, prange
from numpy.typing import NDArray

# A row costs about 10 ns a sweep; fewer entries than these are done before a launch has paid.
PARALLEL_ENTRIES: Final = 200_000

Indices = NDArray[Any]
Values = NDArray[Any]
Rows = tuple[Indices, Indices, Indices, Values, Values, Values, Values]
Matrix = tuple[Indices, Indices, Values]


def smooth_zero(rows: Rows, chunk: int, both: bool, b: Values, x: Values, r: Values) -> None:
    """x = M₁⁻¹ b and r = b − A x; M for M₁ if both sweeps are wanted."""
    first, inner, columns, values, diagonal, _, inverse = rows
    run = _smooth_zero_parallel if columns.size >= PARALLEL_ENTRIES else _smooth_zero
    run(first, inner, columns, values, diagonal, inverse, chunk, both, b, x, r)


def smooth(
    rows: Rows, chunk: int, both: bool, b: Values, x: Values, t: Values, out: Values
) -> None:
    """out = x + M₂⁻¹ (b − A x), or M for M₂; t is scratch."""
    first, inner, columns, values, _, extra, inverse = rows
    run = _smooth_parallel if columns.size >= PARALLEL_ENTRIES else _smooth
    run(first, inner, columns, values, extra, inverse, chunk, both, b, x, t, out)


def restrict(matrix: Matrix, r: Values, out: Values) -> None:
    """out = R r."""
    out[:] = 0.0
    correct(matrix, r, out)


def correct(matrix: Matrix, e: Values, x: Values) -> None:
    """x += P e."""
    run = _correct_parallel if matrix[1].size >= PARALLEL_ENTRIES else _correct
    run(*matrix, e, x)


@njit(cache=True, nogil=True)
def dense(matrix: Any, b: Any, out: Any) -> None:
    """out = A b for a small dense A, without BLAS, whose threads would keep a core."""
    for i in range(out.size):
        s = 0.0
        for j in range(b.size):
            s += matrix[i, j] * b[j]
        out[i] = s


@njit(inline="always")
def _swept(first: Any, last: Any, columns: Any, values: Any, start: Any, x: Any) -> Any:
    s = start
    for k in range(first, last):
        s -= values[k] * x[columns[k]]
    return s


@njit(inline="always")
def _zero_chunk(
    first: Any, inner: Any, columns: Any, values: Any, diagonal: Any, inverse: Any,
    start: Any, stop: Any, both: Any, b: Any, x: Any, r: Any,
) -> None:  # fmt: skip
    for i in range(start, stop):
        x[i] = 0.0
    for i in range(start, stop):
        x[i] = _swept(first[i], inner[i], columns, values, b[i], x) * inverse[i]
    if both:
        for i in range(stop - 1, start - 1, -1):
            x[i] = _swept(first[i], inner[i], columns, values, b[i], x) * inverse[i]
    for i in range(start, stop):
        r[i] = _swept(first[i], inner[i], columns, values, b[i] - diagonal[i] * x[i], x)


@njit(inline="always")
def _chunk(
    first: Any, inner: Any, columns: Any, values: Any, extra: Any, inverse: Any,
    start: Any, stop: Any, both: Any, b: Any, x: Any, t: Any, out: Any,
) -> None:  # fmt: skip
    """D out_i = t_i − Σ a_ij out_j inside, where t = b − A x outside + extra x."""
    for i in range(start, stop):
        out[i] = x[i]
    for i in range(start, stop):
        t[i] = _swept(inner[i], first[i + 1], columns, values, b[i] + extra[i] * x[i], x)
        if both:
            out[i] = _swept(first[i], inner[i], columns, values, t[i], out) * inverse[i]
    for i in range(stop - 1, start - 1, -1):
        out[i] = _swept(first[i], inner[i], columns, values, t[i], out) * inverse[i]


@njit(cache=True, nogil=True)
def _smooth_zero(
    first: Any, inner: Any, columns: Any, values: Any, diagonal: Any, inverse: Any,
    chunk: int, both: bool, b: Any, x: Any, r: Any,
) -> None:  # fmt: skip
    for start in range(0, x.size, chunk):
        _zero_chunk(
            first, inner, columns, values, diagonal, inverse,
            start, min(start + chunk, x.size), both, b, x, r,
        )  # fmt: skip
    for i in range(x.size):
        r[i] = _swept(inner[i], first[i + 1], columns, values, r[i], x)


@njit(cache=True, nogil=True, parallel=True)
def _smooth_zero_parallel(
    first: Any, inner: Any, columns: Any, values: Any, diagonal: Any, inverse: Any,
    chunk: int, both: bool, b: Any, x: Any, r: Any,
) -> None:  # fmt: skip
    for c in prange((x.size + chunk - 1) // chunk):
        _zero_chunk(
            first, inner, columns, values, diagonal, inverse,
            c * chunk, min(c * chunk + chunk, x.size), both, b, x, r,
        )  # fmt: skip
    for i in prange(x.size):
        r[i] = _swept(inner[i], first[i + 1], columns, values, r[i], x)


@njit(cache=True, nogil=True)
def _smooth(
    first: Any, inner: Any, columns: Any, values: Any, extra: Any, inverse: Any,
    chunk: int, both: bool, b: Any, x: Any, t: Any, out: Any,
) -> None:  # fmt: skip
    for start in range(0, x.size, chunk):
        _chunk(
            first, inner, columns, values, extra, inverse,
            start, min(start + chunk, x.size), both, b, x, t, out,
        )  # fmt: skip


@njit(cache=True, nogil=True, parallel=True)
def _smooth_parallel(
    first: Any, inner: Any, columns: Any, values: Any, extra: Any, inverse: Any,
    chunk: int, both: bool, b: Any, x: Any, t: Any, out: Any,
) -> None:  # fmt: skip
    for c in prange((x.size + chunk - 1) // chunk):
        _chunk(
            first, inner, columns, values, extra, inverse,
            c * chunk, min(c * chunk + chunk, x.size), both, b, x, t, out,
        )  # fmt: skip


@njit(inline="always")
def _row(indptr: Any, indices: Any, values: Any, i: Any, x: Any) -> Any:
    s = 0.0
    for k in range(indptr[i], indptr[i + 1]):
        s += values[k] * x[indices[k]]
    return s


@njit(cache=True, nogil=True)
def _correct(indptr: Any, indices: Any, values: Any, e: Any, x: Any) -> None:
    for i in range(x.size):
        x[i] += _row(indptr, indices, values, i, e)


@njit(cache=True, nogil=True, parallel=True)
def _correct_parallel(indptr: Any, indices: Any, values: Any, e: Any, x: Any) -> None:
    for i in prange(x.size):
        x[i] += _row(indptr, indices, values, i, e)
