"""Compile every kernel once, so that no job waits for the compiler."""

import time
from itertools import product
from typing import Any

import numpy as np

from . import (
    PARALLEL_ROWS,
    amg,
    amg_columns,
    assembling,
    batches,
    bordered,
    bordered_setup,
    bordered_transfers,
    chunks,
    coarsening,
    colouring,
    course,
    csr,
    filters,
    galerkin,
    graph,
    lanes,
    line_factors,
    lines,
    rows,
    seams,
    stencil,
    stencils,
    transfers,
    vectors,
)  # fmt: skip


def warm_up() -> float:
    """Run each kernel in its serial and parallel form; return the seconds it took."""
    started = time.perf_counter()
    for shape in ((3, 4), (5, PARALLEL_ROWS)):
        n = shape[0] * shape[1]
        column, one = np.zeros((n, 1)), np.ones(1)
        vectors.dots(column, column)
        vectors.finite(column[:, 0])
        vectors.finite(np.zeros(n))
        vectors.fingerprint(np.zeros(n))
        vectors.shorten(column.T, (0, 1))
        vectors.step(one, column, column, column.copy(), column.copy())
        vectors.direction(one, column, column.copy(), column[:, 0])
        for dtype in (np.int32, np.int64):
            indptr, indices = np.arange(n + 1, dtype=dtype), np.arange(n, dtype=dtype)
            csr.multiply(indptr, indices, np.ones(n), np.ones(n), np.empty(n))
            csr.multiply_columns(indptr, indices, np.ones(n), np.ones((n, 2)), np.empty((n, 2)))
            csr.first_asymmetry(indptr, indices, np.ones(n), 0.0)
            csr.diagonal(indptr, indices, np.ones(n))
            csr.row_sizes(indptr, np.ones(n))
            csr.scaled_sizes(indptr, indices, np.ones(n), np.ones(n), np.ones(n))
            csr.upper_triangle(indptr, indices, np.ones(n))
            csr.bandwidths(indptr, indices)
            csr.fill_bands(indptr, indices, np.ones(n), 0, np.zeros((n, 1)))
            _warm_batches(indptr, indices, n)
            _warm_colouring(indptr, indices, n)
            course.run(indptr, indices, np.ones(n), np.ones(n), np.ones(n), 0.1, *np.ones((3, 2)))
            graph.ball(indptr, indices, 0, 2)
            graph.induced(indptr, indices, np.ones(n), np.arange(2))
            graph.distances(indptr, indices, np.arange(1, 3))
            graph.column_counts(indptr, indices, np.arange(n))
        _warm_filters(shape)
        _warm_grids(shape)
    for n in (3, amg.PARALLEL_ENTRIES):
        _warm_amg(n)
    return time.perf_counter() - started


def _warm_grids(shape: tuple[int, int]) -> None:
    """Work on a grid of unconnected points: products, blocks of lines, transfers."""
    h, w = shape
    n, size, coarse = h * w, np.array((1, h, w)), np.array((1, h, -(-w // 2)))
    steps, odd, offsets = np.array((1, 1, 2)), np.array((0, 0, 1)), np.zeros((1, 3), np.int64)
    c, slots, fine, points = np.ones((1, n)), np.full(27, -2), np.zeros(n), h * -(-w // 2)
    slots[13] = 0
    none, groups = np.zeros((0, 6), np.int64), -(-h // lanes.LANES)
    starts = np.full((groups, 1, lanes.LANES), -1, dtype=np.int64)
    reach, reached = np.zeros((1, 5), np.int64), np.array([[0, 0, 1]])
    for dtype in (np.int32, np.int64):
        ordered = np.arange(n + 1, dtype=dtype)
        stencil.fill(ordered, ordered[:-1], fine, size, slots, c.copy())
    weights, made = np.zeros((h, 1, points // h)), np.empty((1, points))
    gather = np.zeros((0, 13), np.int64)
    for products in (stencil, bordered):
        products.multiply(c, offsets, size, fine, fine.copy())
    for setup, w_ in product((transfers, bordered_setup), (weights, weights.astype(np.float32))):
        setup.interpolate(c, size, coarse, steps, odd, reach, none, w_)
        setup.coarsen(c, w_, size, coarse, steps, none, gather, 1, made)
    grids, rows = (size, coarse, steps), np.ones(h, np.bool_)
    among = ((transfers, grids), (bordered_transfers, (*grids, rows)))
    kinds: list[Any] = [(np.float32, np.float32), (np.float64, np.float64)]
    if n >= PARALLEL_ROWS:
        kinds.append((np.float32, np.uint16))
    for real, half in kinds:
        room = max(groups, 2)  # of two tasks
        pivots, lower = np.empty((room, w * lanes.LANES), real), np.empty((room, 0), half)
        line_factors.factorize(c, starts, none, w, 1, 0, pivots, lower)
        b, x, scratch = fine.astype(real), np.zeros(n, real), np.empty((2, w * lanes.LANES), real)
        lines.solve(pivots, lower, starts, starts, w, 1, 0, 1.0, True, b, x, scratch)
        if n >= PARALLEL_ROWS:
            for held in (c.astype(real), c):  # the finest level of a lean hierarchy is in double
                lines.solve_anew(
                    held, starts, none, starts, starts, w, 1, 0, 1.0, True, b, x, scratch,
                    pivots, lower,
                )  # fmt: skip
        weighted, small = weights.astype(real), np.zeros(points, real)
        seams.clear(offsets[:0, :2], w, 1, x)
        seams.across(np.empty((0, 0, w), real), offsets[:0, :2], offsets[:0, 0], w, 1, x, True, b)
        for held in (c.astype(real), c):  # the finest level of a lean hierarchy is in double
            for products in (stencil, bordered):
                products.residual(held, offsets, size, x, b, x.copy())
        for between, tables in among:
            between.restrict(weighted, reached, *tables, b, small)
            between.prolong(weighted, reached, *tables, small, x)
        vectors.cast(fine, 1.0, b)
        vectors.cast(b, 1.0, fine)
        # CG in double takes what a hierarchy in single returns.
        vectors.dots(fine.reshape(-1, 1), b.reshape(-1, 1))
        vectors.direction(np.ones(1), b.reshape(-1, 1), fine.copy().reshape(-1, 1))
    # The coarsest grid is in double precision, and gets its residual from one in single.
    restricted, single = np.zeros(points), fine.astype(np.float32)
    for between, tables in among:
        weighted = weights.astype(np.float32)
        between.restrict(weighted, reached, *tables, single, restricted)
        between.prolong(weighted, reached, *tables, restricted, single)


def _warm_filters(shape: tuple[int, int]) -> None:
    """Multiply by filters of 3 × 3, without and with assembly."""
    f, weights = np.ones((1, 3, 3)), np.ones((1, *shape))
    (h, w), rows, columns = shape, *(np.clip(np.arange(-1, n + 1), 0, n - 1) for n in shape)
    u, wide, out = np.zeros((h + 2, w + 2)), np.zeros((h, w + 4)), np.empty(shape)
    filters.multiply(f, f, weights, u, np.empty_like(u), filters.scratch(f, weights))
    filters.diagonal(f, weights, rows, columns, np.zeros(shape))
    stencil = np.empty((h + 2, 13, w + 4))
    assembling.assemble(assembling.products_of(f), weights, 3, stencil)
    stencils.fold(stencil, 3, 3, rows, columns, False)
    stencils.apply_stencil(stencil, 3, 3, False, wide, out)
    near = [np.minimum(n, np.arange(n) + 3) - np.maximum(0, np.arange(n) - 2) for n in shape]
    starts = np.append(0, np.cumsum(np.outer(*near)))
    for dtype in (np.int32, np.int64):
        indptr, indices = starts.astype(dtype), np.empty(starts[-1], dtype=dtype)
        stencils.fill_csr(stencil, 3, 3, indptr, indices, np.empty(starts[-1]))


def _warm_colouring(indptr: Any, indices: Any, n: int) -> None:
    starts, rows, _ = colouring.transposed(indptr, indices, n)
    colours = colouring.colour_columns(indptr, indices, starts, rows)
    ends, rows, slots = colouring.entries_by_colour(indptr, indices, colours, 1)
    colouring.place_entries(rows[: ends[1]], slots[: ends[1]], np.ones(n), np.ones(indices.size))


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


def _warm_amg(n: int) -> None:
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
        split = rows.split_rows(indptr, indices, ones, chunks.CHUNK, real)
        transfer = indptr.view(np.uint32), indices.view(np.uint32), entries
        for kernels, shape in ((amg, (n,)), (amg_columns, (n, 2))):
            b, x, t, out = (np.zeros(shape, dtype=real) for _ in range(4))
            kernels.smooth_zero(split, chunks.CHUNK, True, b, x, t)
            kernels.smooth(split, chunks.CHUNK, True, b, x, t, out)
            kernels.restrict(transfer, b, x)
            kernels.correct(transfer, b, x)
            kernels.dense(np.eye(1), b[:1], x[:1])
            columns = x.reshape(n, -1)
            wide = np.zeros(columns.shape)
            chunks.gather(order, wide, np.ones(columns.shape[1]), columns)
            chunks.scatter(order, columns, np.ones(columns.shape[1]), wide)


if __name__ == "__main__":
    print(f"kernels compiled in {warm_up():.1f} s")
