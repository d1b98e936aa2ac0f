"""The cycle of algebraic multigrid for k columns at once; `kernels.amg` says what is computed.

Each entry of the hierarchy is read once for all columns. Vectors are C-ordered, (n, k).
"""

from typing import Any

from numba import njit, prange

from .amg import PARALLEL_ENTRIES, Matrix, Rows, Values


def smooth_zero(rows: Rows, chunk: int, both: bool, b: Values, x: Values, r: Values) -> None:
    """X = M₁⁻¹ B and R = B − A X; M for M₁ if both sweeps are wanted."""
    first, inner, columns, values, diagonal, _, inverse = rows
    run = _smooth_zero_parallel if columns.size >= PARALLEL_ENTRIES else _smooth_zero
    run(first, inner, columns, values, diagonal, inverse, chunk, both, b, x, r)


def smooth(
    rows: Rows, chunk: int, both: bool, b: Values, x: Values, t: Values, out: Values
) -> None:
    """out = X + M₂⁻¹ (B − A X), or M for M₂; t is scratch."""
    first, inner, columns, values, _, extra, inverse = rows
    run = _smooth_parallel if columns.size >= PARALLEL_ENTRIES else _smooth
    run(first, inner, columns, values, extra, inverse, chunk, both, b, x, t, out)


def restrict(matrix: Matrix, r: Values, out: Values) -> None:
    """out = R r."""
    out[:] = 0.0
    correct(matrix, r, out)


def correct(matrix: Matrix, e: Values, x: Values) -> None:
    """X += P E."""
    run = _correct_parallel if matrix[1].size >= PARALLEL_ENTRIES else _correct
    run(*matrix, e, x)


@njit(cache=True, nogil=True)
def dense(matrix: Any, b: Any, out: Any) -> None:
    """out = A B for a small dense A."""
    for i in range(out.shape[0]):
        out[i] = 0.0
        for j in range(b.shape[0]):
            for c in range(out.shape[1]):
                out[i, c] += matrix[i, j] * b[j, c]


@njit(inline="always")
def _subtract(first: Any, last: Any, columns: Any, values: Any, x: Any, row: Any) -> None:
    for k in range(first, last):
        value, j = values[k], columns[k]
        for c in range(row.size):
            row[c] -= value * x[j, c]


@njit(inline="always")
def _solve_row(
    first: Any, inner: Any, columns: Any, values: Any, inverse: Any, i: Any, right: Any, x: Any
) -> None:
    for c in range(x.shape[1]):
        x[i, c] = right[i, c]
    _subtract(first[i], inner[i], columns, values, x, x[i])
    for c in range(x.shape[1]):
        x[i, c] *= inverse[i]


@njit(inline="always")
def _zero_chunk(
    first: Any, inner: Any, columns: Any, values: Any, diagonal: Any, inverse: Any,
    start: Any, stop: Any, both: Any, b: Any, x: Any, r: Any,
) -> None:  # fmt: skip
    for i in range(start, stop):
        for c in range(x.shape[1]):
            x[i, c] = 0.0
    for i in range(start, stop):
        _solve_row(first, inner, columns, values, inverse, i, b, x)
    if both:
        for i in range(stop - 1, start - 1, -1):
            _solve_row(first, inner, columns, values, inverse, i, b, x)
    for i in range(start, stop):
        for c in range(x.shape[1]):
            r[i, c] = b[i, c] - diagonal[i] * x[i, c]
        _subtract(first[i], inner[i], columns, values, x, r[i])


@njit(inline="always")
def _chunk(
    first: Any, inner: Any, columns: Any, values: Any, extra: Any, inverse: Any,
    start: Any, stop: Any, both: Any, b: Any, x: Any, t: Any, out: Any,
) -> None:  # fmt: skip
    for i in range(start, stop):
        for c in range(x.shape[1]):
            out[i, c] = x[i, c]
    for i in range(start, stop):
        for c in range(x.shape[1]):
            t[i, c] = b[i, c] + extra[i] * x[i, c]
        _subtract(inner[i], first[i + 1], columns, values, x, t[i])
        if both:
            _solve_row(first, inner, columns, values, inverse, i, t, out)
    for i in range(stop - 1, start - 1, -1):
        _solve_row(first, inner, columns, values, inverse, i, t, out)


@njit(cache=True, nogil=True)
def _smooth_zero(
    first: Any, inner: Any, columns: Any, values: Any, diagonal: Any, inverse: Any,
    chunk: int, both: bool, b: Any, x: Any, r: Any,
) -> None:  # fmt: skip
    for start in range(0, x.shape[0], chunk):
        _zero_chunk(
            first, inner, columns, values, diagonal, inverse,
            start, min(start + chunk, x.shape[0]), both, b, x, r,
        )  # fmt: skip
    for i in range(x.shape[0]):
        _subtract(inner[i], first[i + 1], columns, values, x, r[i])


@njit(cache=True, nogil=True, parallel=True)
def _smooth_zero_parallel(
    first: Any, inner: Any, columns: Any, values: Any, diagonal: Any, inverse: Any,
    chunk: int, both: bool, b: Any, x: Any, r: Any,
) -> None:  # fmt: skip
    for c in prange((x.shape[0] + chunk - 1) // chunk):
        _zero_chunk(
            first, inner, columns, values, diagonal, inverse,
            c * chunk, min(c * chunk + chunk, x.shape[0]), both, b, x, r,
        )  # fmt: skip
    for i in prange(x.shape[0]):
        _subtract(inner[i], first[i + 1], columns, values, x, r[i])


@njit(cache=True, nogil=True)
def _smooth(
    first: Any, inner: Any, columns: Any, values: Any, extra: Any, inverse: Any,
    chunk: int, both: bool, b: Any, x: Any, t: Any, out: Any,
) -> None:  # fmt: skip
    for start in range(0, x.shape[0], chunk):
        _chunk(
            first, inner, columns, values, extra, inverse,
            start, min(start + chunk, x.shape[0]), both, b, x, t, out,
        )  # fmt: skip


@njit(cache=True, nogil=True, parallel=True)
def _smooth_parallel(
    first: Any, inner: Any, columns: Any, values: Any, extra: Any, inverse: Any,
    chunk: int, both: bool, b: Any, x: Any, t: Any, out: Any,
) -> None:  # fmt: skip
    for c in prange((x.shape[0] + chunk - 1) // chunk):
        _chunk(
            first, inner, columns, values, extra, inverse,
            c * chunk, min(c * chunk + chunk, x.shape[0]), both, b, x, t, out,
        )  # fmt: skip


@njit(inline="always")
def _add(indptr: Any, indices: Any, values: Any, i: Any, e: Any, row: Any) -> None:
    for k in range(indptr[i], indptr[i + 1]):
        value, j = values[k], indices[k]
        for c in range(row.size):
            row[c] += value * e[j, c]


@njit(cache=True, nogil=True)
def _correct(indptr: Any, indices: Any, values: Any, e: Any, x: Any) -> None:
    for i in range(x.shape[0]):
        _add(indptr, indices, values, i, e, x[i])


@njit(cache=True, nogil=True, parallel=True)
def _correct_parallel(indptr: Any, indices: Any, values: Any, e: Any, x: Any) -> None:
    for i in prange(x.shape[0]):
        _add(indptr, indices, values, i, e, x[i])
