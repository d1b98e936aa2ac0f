"""Compile every kernel once, so that no job waits for the compiler."""

import time
from typing import Any

import numpy as np

from . import PARALLEL_ROWS, batches, csr, filters, graph, stencils, tv, vectors


def warm_up() -> float:
    """Run each kernel in its serial and parallel form; return the seconds it took."""
    started = time.perf_counter()
    for shape in ((3, 4), (2, PARALLEL_ROWS)):
        n = shape[0] * shape[1]
        u, out = np.zeros(shape), np.empty(shape)
        weight = np.ones(1)
        u.flags.writeable = False  # states are handed to problems so, and numba tells the two apart
        tv.energy(u, weight, 1.0)
        tv.gradient(u, weight, 1.0, out)
        column, one = np.zeros((n, 1)), np.ones(1)
        vectors.dots(column, column)
        vectors.step(one, column, column, column.copy(), column.copy())
        vectors.direction(one, column, column.copy(), column[:, 0])
        for dtype in (np.int32, np.int64):
            seven, three = 7 * np.arange(n + 1, dtype=dtype), 3 * np.arange(n + 1, dtype=dtype)
            tv.hessian_values(u, weight, 1.0, seven, np.empty(7 * n))
            tv.cross_values(u, weight, 1.0, three, np.empty(3 * n))
            indptr, indices = np.arange(n + 1, dtype=dtype), np.arange(n, dtype=dtype)
            csr.multiply(indptr, indices, np.ones(n), np.ones(n), np.empty(n))
            csr.multiply_columns(indptr, indices, np.ones(n), np.ones((n, 2)), np.empty((n, 2)))
            csr.first_asymmetry(indptr, indices, np.ones(n), 0.0)
            csr.row_sizes(indptr, np.ones(n))
            csr.scaled_sizes(indptr, indices, np.ones(n), np.ones(n), np.ones(n))
            csr.upper_triangle(indptr, indices, np.ones(n))
            csr.fill_bands(indptr, indices, np.ones(n), 0, np.zeros((n, 1)))
            _warm_batches(indptr, indices, n)
            graph.ball(indptr, indices, 0, 2)
            graph.column_counts(indptr, indices, np.arange(n))
        _warm_filters(shape)
    return time.perf_counter() - started


def _warm_filters(shape: tuple[int, int]) -> None:
    """Multiply by filters of 3 × 3, without and with assembly."""
    f, weights = np.ones((1, 3, 3)), np.ones((1, *shape))
    (h, w), rows, columns = shape, *(np.clip(np.arange(-1, n + 1), 0, n - 1) for n in shape)
    u, wide, out = np.zeros((h + 2, w + 2)), np.zeros((h, w + 4)), np.empty(shape)
    filters.multiply(f, f, weights, u, np.empty_like(u), filters.scratch(f, weights))
    filters.diagonal(f, weights, rows, columns, np.zeros(shape))
    stencil = np.empty((h + 2, 13, w + 4))
    stencils.assemble(stencils.products_of(f), weights, 3, stencil)
    stencils.fold(stencil, 3, 3, rows, columns, False)
    stencils.apply_stencil(stencil, 3, 3, False, wide, out)
    near = [np.minimum(n, np.arange(n) + 3) - np.maximum(0, np.arange(n) - 2) for n in shape]
    starts = np.append(0, np.cumsum(np.outer(*near)))
    for dtype in (np.int32, np.int64):
        indptr, indices = starts.astype(dtype), np.empty(starts[-1], dtype=dtype)
        stencils.fill_csr(stencil, 3, 3, indptr, indices, np.empty(starts[-1]))


def _warm_batches(indptr: Any, indices: Any, n: int) -> None:
    """Factorize n systems of one unknown, or eight of many for a factor of parallel size."""
    groups = -(-n // batches.LANES)
    one, place = np.ones(groups, dtype=np.int64), np.zeros(n, dtype=np.int64)
    members, first = np.arange(n), np.arange(n + 1)
    band = 4 * one if n >= PARALLEL_ROWS else 0 * one
    offset = np.append(0, np.cumsum(batches.LANES * (band + 1)))
    packed = (members, first, one, band, offset)
    factor, b = np.empty(offset[-1]), np.ones((n, 1))
    batches.factorize(indptr, indices, np.ones(n), members, first, place, one, band, offset, factor)
    batches.solve(factor, *packed, b, np.empty((n, 1)))


if __name__ == "__main__":
    print(f"kernels compiled in {warm_up():.1f} s")
