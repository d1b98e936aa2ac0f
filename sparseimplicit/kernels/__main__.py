"""Compile every kernel once, so that no job waits for the compiler."""

import time

import numpy as np

from . import PARALLEL_ROWS, amg, amg_columns, chunks, coarsening, csr, galerkin, graph, tv, vectors


def warm_up() -> float:
    """Run each kernel in its serial and parallel form; return the seconds it took."""
    started = time.perf_counter()
    for shape in ((3, 4), (5, PARALLEL_ROWS)):
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
            csr.diagonal(indptr, indices, np.ones(n))
            csr.row_sizes(indptr, np.ones(n))
            csr.scaled_sizes(indptr, indices, np.ones(n), np.ones(n), np.ones(n))
            csr.upper_triangle(indptr, indices, np.ones(n))
            csr.fill_bands(indptr, indices, np.ones(n), 0, np.zeros((n, 1)))
            graph.ball(indptr, indices, 0, 2)
            graph.column_counts(indptr, indices, np.arange(n))
    for n in (3, amg.PARALLEL_ENTRIES):
        _warm_up_amg(n)
    return time.perf_counter() - started


def _warm_up_amg(n: int) -> None:
    """Compile set-up and cycle of AMG, in float64 and float32, for a diagonal matrix of n rows."""
    indptr, indices, ones = (
        np.arange(n + 1, dtype=np.int32),
        np.arange(n, dtype=np.int32),
        np.ones(n),
    )
    order = chunks.compact_order(indptr, indices)
    for dtype in (np.int32, np.int64):
        chunks.permuted(indptr.astype(dtype), indices.astype(dtype), ones, order, 1.0)
        chunks.compact_order(indptr.astype(dtype), indices.astype(dtype))
    coarsening.strong(indptr, indices, ones, 0.25)
    coarsening.classical(indptr, indices, ones, 0.25, indices)
    galerkin.product((indptr, indices, ones), (indptr, indices, ones), n)
    for real in (np.float64, np.float32):
        entries = ones.astype(real)
        rows = chunks.split_rows(indptr, indices, ones, chunks.CHUNK, real)
        transfer = indptr.view(np.uint32), indices.view(np.uint32), entries
        for kernels, shape in ((amg, (n,)), (amg_columns, (n, 2))):
            b, x, t, out = (np.zeros(shape, dtype=real) for _ in range(4))
            kernels.smooth_zero(rows, chunks.CHUNK, b, x, t)
            kernels.smooth(rows, chunks.CHUNK, b, x, t, out)
            kernels.restrict(transfer, b, x)
            kernels.correct(transfer, b, x)
            kernels.dense(np.eye(1), b[:1], x[:1])
            columns = x.reshape(n, -1)
            wide = np.zeros(columns.shape)
            chunks.gather(order, wide, np.ones(columns.shape[1]), columns)
            chunks.scatter(order, columns, np.ones(columns.shape[1]), wide)


if __name__ == "__main__":
    print(f"kernels compiled in {warm_up():.1f} s")
