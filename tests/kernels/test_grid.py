"""Kernels of grids against their twins, compiled, in parallel, and as plain Python."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest

from sparseimplicit.kernels import (
    bordered,
    bordered_setup,
    bordered_transfers,
    lanes,
    line_factors,
    lines,
    seams,
    stencil,
    transfers,
    transposed,
    vectorized,
)
from sparseimplicit.linear.grids import half_offsets, tiling, transfer
from sparseimplicit.linear.grids import seams as seams_of
from tests.reference import grid as twin

GRIDS = {
    "plane": ((1, 8, 9), (False,) * 3),
    "odd plane": ((1, 9, 7), (False,) * 3),
    "torus": ((1, 8, 10), (False, True, True)),
    "odd torus": ((1, 9, 7), (False, True, True)),
    "space": ((5, 6, 7), (False,) * 3),
    "periodic space": ((6, 5, 4), (True,) * 3),
    "line": ((1, 1, 12), (False,) * 3),
}


def problem(shape, wraps, diagonal_neighbours=True):
    """Random positive definite coefficients, and their matrix."""
    rng = np.random.default_rng(sum(shape))
    n = int(np.prod(shape))
    offsets = half_offsets(tuple(size > 1 for size in shape))
    if not diagonal_neighbours:
        offsets = tuple(o for o in offsets if sum(map(abs, o)) <= 1)
    at = np.array(np.unravel_index(np.arange(n), shape))
    c = -rng.random((len(offsets), n))
    for k, offset in enumerate(offsets):
        there = at + np.array(offset)[:, None]
        for a in range(3):
            if not wraps[a]:
                c[k, (there[a] < 0) | (there[a] >= shape[a])] = 0.0
    c[0] = 0.0
    c[0] = 0.1 * rng.random(n) - twin.assembled(c, offsets, shape).sum(axis=1)
    return c, offsets, twin.assembled(c, offsets, shape)


def forms(module, name):
    """The compiled kernel, the parallel one, and what they were compiled from."""
    plain = getattr(module, f"_{name}")
    return [plain, getattr(module, f"_{name}_parallel"), plain.py_func]


@pytest.mark.parametrize("near", [True, False], ids=["27 points", "7 points"])
@pytest.mark.parametrize("kind", GRIDS)
def test_products_and_residuals(kind, near):
    shape, wraps = GRIDS[kind]
    c, offsets, matrix = problem(shape, wraps, near)
    x, b = np.random.default_rng(1).standard_normal((2, matrix.shape[0]))
    table, size = np.array(offsets), np.array(shape)
    for multiply in forms(stencil, "multiply"):
        out = np.empty_like(x)
        multiply(c, table, size, x, out)
        np.testing.assert_allclose(out, matrix @ x, atol=1e-13)
    for residual in forms(stencil, "residual"):
        out = np.empty_like(x)
        residual(c, table, size, x, b, out)
        np.testing.assert_allclose(out, b - matrix @ x, atol=1e-13)


@pytest.mark.parametrize("kind", GRIDS)
def test_a_stencil_is_filled_from_its_matrix(kind):
    shape, wraps = GRIDS[kind]
    c, offsets, matrix = problem(shape, wraps)
    slots = np.full(27, -1)
    for k, (z, y, x) in enumerate(offsets):
        slots[13 - (9 * z + 3 * y + x)] = -2
        slots[13 + (9 * z + 3 * y + x)] = k
    matrix.sort_indices()
    steps = np.arange(27)
    flat = ((steps // 9 - 1) * shape[1] + steps // 3 % 3 - 1) * shape[2] + steps % 3 - 1
    for fill in forms(stencil, "fill"):
        out = np.zeros_like(c)
        failed = np.full((shape[0] * shape[1], 2), -1)
        fill(matrix.indptr, matrix.indices, matrix.data, np.array(shape), slots, flat, out, failed)
        assert (failed == -1).all()
        np.testing.assert_array_equal(out, c)
    slots[slots == len(offsets) - 1] = -1  # one offset is not expected
    row, number = stencil.fill(
        matrix.indptr, matrix.indices, matrix.data, np.array(shape), slots, np.zeros_like(c)
    )
    assert row >= 0
    assert slots[number] == -1


def steps_of(shape):
    """Ways to coarsen: all axes, and one alone."""
    all_axes = tuple(2 if size > 2 else 1 for size in shape)
    return {all_axes, (1, 1, 2), (1, 2, 1) if shape[1] > 2 else (1, 1, 2)}


def transfer_matrices(weights, t, shape, coarse, prolong, restrict):
    n, points = int(np.prod(shape)), int(np.prod(coarse))
    p, r = np.zeros((n, points)), np.zeros((points, n))
    for j, e in enumerate(np.eye(points)):
        column = np.zeros(n)
        prolong(weights, t.reached, shape, coarse, t.steps, e, column)
        p[:, j] = column
    for j, e in enumerate(np.eye(n)):
        column = np.empty(points)
        restrict(weights, t.reached, shape, coarse, t.steps, e, column)
        r[:, j] = column
    return p, r


@pytest.mark.parametrize("form", [0, 1, 2], ids=["serial", "parallel", "python"])
@pytest.mark.parametrize("kind", GRIDS)
def test_transfers_and_galerkin_products(kind, form):
    shape, wraps = GRIDS[kind]
    for near in (True, False):
        c, offsets, matrix = problem(shape, wraps, near)
        for steps in steps_of(shape) if form < 2 else [(1, 1, 2)]:
            t = transfer(offsets, steps, tuple(size > 1 for size in shape))
            coarse = tuple(-(-size // step) for size, step in zip(shape, steps, strict=True))
            size, coarser = np.array(shape), np.array(coarse)
            weights = np.zeros((coarse[0] * coarse[1], len(t.reached), coarse[2]))
            for odd, reach, parts in t.interpolation:
                forms(transfers, "interpolate")[form](
                    c, size, coarser, t.steps, odd, reach, parts, weights
                )
            p, r = transfer_matrices(
                weights, t, size, coarser,
                forms(transfers, "prolong")[form], forms(transfers, "restrict")[form],
            )  # fmt: skip
            np.testing.assert_array_equal(r, p.T)
            if not any(wraps):
                expected = twin.interpolation(matrix, shape, steps)
                np.testing.assert_allclose(p, expected, atol=1e-13)
            made = np.empty((len(t.coarse_offsets), int(np.prod(coarse))))
            forms(transfers, "coarsen")[form](
                c, weights, size, coarser, t.steps, t.spread, t.gather, t.places, made
            )
            galerkin = twin.assembled(made, t.coarse_offsets, coarse).toarray()
            np.testing.assert_allclose(galerkin, p.T @ (matrix @ p), atol=1e-12)


# Rows are taken 16 points at a time: shorter ones, with a rest, whole ones, and many.
BORDERED = [
    (1, 40, 45),
    (1, 5, 80),
    (4, 6, 39),
    (1, 1, 300),
    (9, 8, 7),
    (3, 36, 36),
    (3, 6, 64),
    (3, 5, 63),
]


@pytest.mark.parametrize("limit", [1, 10**9], ids=["parallel", "serial"])
@pytest.mark.parametrize("near", [True, False], ids=["27 points", "7 points"])
@pytest.mark.parametrize("shape", BORDERED, ids=str)
def test_with_borders_vectors_do_the_same(monkeypatch, shape, near, limit):
    for module in (bordered, bordered_transfers):
        monkeypatch.setattr(module, "PARALLEL_ROWS", limit)
    monkeypatch.setattr(bordered_setup, "PARALLEL_POINTS", limit)
    c, offsets, matrix = problem(shape, (False,) * 3, near)
    size, rng = np.array(shape), np.random.default_rng(3)
    x, b, out = rng.standard_normal((3, matrix.shape[0]))
    energy = bordered.multiply(c, np.array(offsets), size, x, out)
    np.testing.assert_allclose(out, matrix @ x, atol=1e-13)
    np.testing.assert_allclose(energy, x @ (matrix @ x), rtol=1e-12)
    bordered.residual(c, np.array(offsets), size, x, b, out)
    np.testing.assert_allclose(out, b - matrix @ x, atol=1e-13)
    for steps in steps_of(shape):
        t = transfer(offsets, steps, tuple(size > 1 for size in shape))
        coarse = tuple(-(-size // step) for size, step in zip(shape, steps, strict=True))
        rows, points, coarser = coarse[0] * coarse[1], int(np.prod(coarse)), np.array(coarse)
        results = []
        every = np.ones(size[0] * size[1], np.bool_)
        for setup, between, *masks in (
            (transfers, transfers), (bordered_setup, bordered_transfers, every)
        ):  # fmt: skip
            weights = np.zeros((rows, len(t.reached), coarse[2]))
            for odd, reach, parts in t.interpolation:
                setup.interpolate(c, size, coarser, t.steps, odd, reach, parts, weights)
            made = np.full((len(t.coarse_offsets), points), np.nan)
            setup.coarsen(c, weights, size, coarser, t.steps, t.spread, t.gather, t.places, made)
            down, up = np.empty(points), x.copy()
            between.restrict(weights, t.reached, size, coarser, t.steps, *masks, b, down)
            between.prolong(weights, t.reached, size, coarser, t.steps, *masks, b[:points], up)
            results.append((weights, made, down, up))
        for plain, vector in zip(*results, strict=True):
            np.testing.assert_allclose(vector, plain, atol=1e-13)
        # Rows that are left out have no part in it.
        some = np.arange(every.size) % 3 == 1
        held = np.repeat(some, size[2])
        tables = weights, t.reached, size, coarser, t.steps
        partly, up = np.empty(points), x.copy()
        bordered_transfers.restrict(*tables, some, np.where(held, b, np.nan), partly)
        transfers.restrict(*tables, np.where(held, b, 0.0), down)
        np.testing.assert_allclose(partly, down, atol=1e-13)
        bordered_transfers.prolong(*tables, some, b[:points], up)
        np.testing.assert_allclose(up, np.where(held, results[0][3], x), atol=1e-13)


@numba.njit
def _by_vectors(a, b, out):
    even, odd = vectorized.load_even(a, 1), vectorized.load_odd(a, 1)
    total = vectorized.plus(vectorized.nothing(a), vectorized.product(even, vectorized.load(b, 2)))
    vectorized.store(vectorized.minus(total, odd), out, 3)
    vectorized.store_pairs(even, odd, out, 3 + lanes.LANES)
    other = vectorized.load_like(out, 3, b)
    vectorized.store(other, b, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_vectors_do_what_their_bodies_say(dtype):
    a, b = np.random.default_rng(0).standard_normal((2, 3 * lanes.LANES)).astype(np.float32)
    # Reads and writes in another precision convert.
    results = []
    for run in (_by_vectors.py_func, _by_vectors):
        out, changed = np.zeros(4 * lanes.LANES, dtype), b.copy()
        run(a, changed, out)
        results.append((out, changed))
    assert np.count_nonzero(results[0][0]) == 3 * lanes.LANES
    for plain, compiled in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-5)


@numba.njit
def _by_choice(a, b, out):
    x, y, zero = vectorized.load(a, 0), vectorized.load(b, 0), vectorized.nothing(a)
    vectorized.store(vectorized.larger(x, y), out, 0)
    vectorized.store(vectorized.where_above(x, zero, vectorized.ratio(y, x), y), out, lanes.LANES)


@numba.njit
def _by_blocks(r, starts, out, t):
    transposed.gather(r, starts, 1, 2, t, 3, 20)
    transposed.scatter(t, 3, 20, out, starts, 0, 1)
    transposed.scatter_add(t, 3, 20, out, starts, 1, 1)


@pytest.mark.parametrize("other", [np.float32, np.float64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_choices_and_blocks_do_what_their_bodies_say(dtype, other):
    n = lanes.LANES
    a, b = np.random.default_rng(1).standard_normal((2, n)).astype(dtype)
    r = np.random.default_rng(2).standard_normal(40 * n).astype(dtype)
    starts = np.stack([np.arange(n) * 2 * n, np.arange(n)[::-1] * 2 * n + 3])
    starts[:, [0, 5]] = -1
    results = []
    for form in ("py_func", None):
        chosen, out, t = np.zeros(2 * n, dtype), np.zeros(40 * n, dtype), np.zeros(25 * n, other)
        (_by_choice.py_func if form else _by_choice)(a, b, chosen)
        (_by_blocks.py_func if form else _by_blocks)(r, starts, out, t)
        results.append((chosen, out, t))
    assert np.count_nonzero(results[0][2]) == n * (n - 2)
    for plain, compiled in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-6)


def room(t, below=np.float64):
    """Return room for the factors of a tiling."""
    numbers = t.rows * lanes.LANES
    return np.empty((t.groups, numbers)), np.empty((t.groups, numbers * t.band), below)


@pytest.mark.parametrize("form", [0, 1, 2], ids=["serial", "parallel", "python"])
@pytest.mark.parametrize("kind", GRIDS)
def test_blocks_of_lines_are_solved(kind, form):
    shape, wraps = GRIDS[kind]
    c, offsets, matrix = problem(shape, wraps)
    r = np.random.default_rng(2).standard_normal(matrix.shape[0])
    for axis in [a for a in range(3) if shape[a] > 1][: 1 if form == 2 else 3]:
        size = tuple(1 if a == axis or shape[a] == 1 else 3 for a in range(3))
        shift = tuple(s // 2 for s in size)
        t = tiling(shape, offsets, axis, size, shift)
        factor = room(t)
        counts = np.zeros((t.lines.shape[0], 2), np.int64)
        forms(line_factors, "factorize")[form](
            c, t.lines, t.links, t.points, t.stride, t.band, *factor, counts
        )
        assert not counts.any()
        expected = 0.5 * twin.block_solve(matrix, shape, axis, size, shift, r)
        along = np.arange(t.points)[:, None] * t.stride
        held = np.isin(np.arange(r.size), t.lines[t.lines >= 0] + along)
        for add in (False, True):
            x = np.ones_like(r)
            scratch = np.empty((2, t.rows * lanes.LANES))
            forms(lines, "solve")[form](
                *factor, t.lines, t.lines, t.points, t.stride, t.band, 0.5, add, r, x, scratch
            )
            np.testing.assert_allclose(x, np.where(held, expected + add, 1.0), atol=1e-12)


@pytest.mark.parametrize(("n", "seams"), [(9, 1), (16, 1), (20, 2), (21, 2), (24, 2), (25, 3)])
def test_shifted_blocks_lie_across_the_seams_of_the_others(n, seams):
    t = tiling((1, n, 5), ((0, 0, 0), (0, 1, 0)), 2, (1, 8, 1), (0, 4, 0))
    blocks = t.lines.transpose(0, 2, 1).reshape(-1, 8) // 5
    blocks = blocks[(blocks >= 0).any(axis=1)]
    assert len(blocks) == seams
    for seam, block in enumerate(blocks, start=1):
        assert {8 * seam - 4, 8 * seam - 1, 8 * seam} <= set(block)


@numba.njit
def _halve(a, out):
    for i in range(0, a.size, lanes.LANES):
        vectorized.store(vectorized.load(a, i), out, i)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_halves_are_the_nearest_numbers_of_three_digits(dtype):
    a = np.random.default_rng(0).standard_normal(64).astype(dtype)
    a[:4] = 0.0, 1e6, -1e6, 3e-7  # none, too large, too small for all its digits
    compiled, plain = np.empty((2, 64), np.uint16)
    _halve(a, compiled)
    _halve.py_func(a, plain)
    np.testing.assert_array_equal(compiled, plain)
    back = lanes.whole(compiled)
    np.testing.assert_array_equal(back[:3], [0.0, 65504.0, -65504.0])
    np.testing.assert_allclose(back[3:], a[3:], rtol=2.0**-11, atol=2.0**-25)


WITHOUT_INSTRUCTIONS = """
import numba
import numpy as np
from sparseimplicit.kernels import lanes, vectorized

@numba.njit
def halve(a, out):
    for i in range(0, a.size, lanes.LANES):
        vectorized.store(vectorized.load(a, i), out, i)

@numba.njit
def eliminate(a, b, out):
    lanes.eliminate(out, 0, b, 0, a, 0, lanes.LANES, b, 0, lanes.LANES, 4)

rng = np.random.default_rng(0)
a = (rng.standard_normal(64) * 10.0 ** rng.integers(-8, 4, 64)).astype(np.float32)
a[:4] = 0.0, 1e6, -1e6, 3e-7
stored = np.empty(64, np.uint16)
halve(a, stored)
np.testing.assert_array_equal(lanes.whole(stored), lanes.whole(lanes.halves(a)))
b = rng.standard_normal(64).astype(np.float32)
out = np.zeros(lanes.LANES, np.float32)
eliminate(stored, b, out)
expected = -(lanes.whole(stored) * b).reshape(4, -1).sum(axis=0)
np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-3)
"""


def test_halves_need_no_instruction_of_the_processor(tmp_path):
    told = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_INSTRUCTIONS], env=os.environ | told, capture_output=True,
        text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]


def test_factors_in_halves_solve_as_well():
    shape, wraps = GRIDS[next(iter(GRIDS))]
    c, offsets, matrix = problem(shape, wraps)
    axis = int(np.argmax(shape))
    t = tiling(shape, offsets, axis, shape, (0, 0, 0))
    pivots, lower = room(t, np.uint16)
    line_factors.factorize(c, t.lines, t.links, t.points, t.stride, t.band, pivots, lower)
    r = np.random.default_rng(2).standard_normal(matrix.shape[0])
    x, scratch = np.zeros_like(r), np.empty((1, t.rows * lanes.LANES))
    lines.solve(
        pivots, lower, t.lines, t.lines, t.points, t.stride, t.band, 1.0, False, r, x, scratch
    )
    left = np.linalg.norm(r - matrix @ x) / np.linalg.norm(r)
    assert 1e-6 < left < 0.02


def test_a_pivot_that_is_rounding_gives_way_to_the_diagonal():
    c = np.array([[1.0, 1.0, 1.0], [-1.0, 0.0, 0.0]])  # singular in its first two points
    t = tiling((1, 1, 3), ((0, 0, 0), (0, 0, 1)), 2, (1, 1, 1), (0, 0, 0))
    factor = room(t)
    replaced = line_factors.factorize(c, t.lines, t.links, t.points, t.stride, t.band, *factor)
    assert replaced == (1, 0)
    assert np.isfinite(factor[0]).all()
    c[1, 0] = -2.0  # and now indefinite
    replaced = line_factors.factorize(c, t.lines, t.links, t.points, t.stride, t.band, *factor)
    assert replaced == (1, 1)


@numba.njit
def _eliminate(out, scale, a, b, count):
    lanes.eliminate(out, 0, scale, 0, a, 0, lanes.LANES, b, 0, lanes.LANES, count)


@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 8])
def test_compiled_lanes_do_what_their_body_says(count, dtype, halved):
    rng = np.random.default_rng(count)
    a, b = rng.standard_normal((2, 8 * lanes.LANES)).astype(dtype)
    a = lanes.halves(a) if halved else a
    scale, out = rng.standard_normal((2, lanes.LANES)).astype(dtype)
    plain = out.copy()
    lanes.eliminate(plain, 0, scale, 0, a, 0, lanes.LANES, b, 0, lanes.LANES, count)
    _eliminate(out, scale, a, b, count)
    np.testing.assert_allclose(out, plain, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-6)


@pytest.mark.parametrize("form", [0, 1, 2], ids=["serial", "parallel", "python"])
@pytest.mark.parametrize("shift", [0, 4])
@pytest.mark.parametrize("axis", [1, 2])
def test_what_couples_across_seams_is_subtracted_on_the_lines_beside_them(axis, shift, form):
    shape = (1, 21, 19)
    c, offsets, matrix = problem(shape, (False, False, False))
    size = (1, 1, 8) if axis == 1 else (1, 8, 1)
    s = seams_of(shape, offsets, axis, size, tuple(n // 2 for n in size))
    starts = s.starts[shift > 0]
    t = tiling(shape, offsets, axis, size, (0, 0, 0))
    y, x = np.divmod(np.arange(matrix.shape[0]), 19)
    block = ((x if axis == 1 else y) + shift) // 8
    a = matrix.toarray()
    a[block[:, None] == block] = 0.0  # what is left couples across a seam
    beside = a.any(axis=1)
    assert beside.sum() == 2 * len(starts) * shape[axis]
    v, r = np.random.default_rng(4).standard_normal((2, matrix.shape[0]))
    held = np.empty((len(starts), len(s.links), t.points))
    seams.couplings(c, starts, s.links, t.points, t.stride, held)
    for add in (False, True):
        out = r.copy()
        forms(seams, "across")[form](held, starts, s.alongs, t.points, t.stride, v, add, out)
        np.testing.assert_allclose(out, np.where(beside, add * r - a @ v, r), atol=1e-12)
    forms(seams, "clear")[form](starts, t.points, t.stride, out)
    np.testing.assert_array_equal(out == 0.0, beside)


@pytest.mark.parametrize("axis", [1, 2])
def test_the_lines_at_seams_are_known_in_both_tilings(axis):
    shape, offsets = (1, 21, 19), ((0, 0, 0), (0, 0, 1), (0, 1, 0))
    size = (1, 1, 8) if axis == 1 else (1, 8, 1)
    s = seams_of(shape, offsets, axis, size, tuple(n // 2 for n in size))
    first, shifted = (set(table.ravel()) for table in s.starts)
    assert set(s.first_own.ravel()) == first | {-1}
    assert set(s.second_other.ravel()) == first | {-1}
    covered = set(s.second_both.ravel())  # but for blocks that lie inside one of the first ones
    assert covered <= first | shifted | {-1}
    assert set(s.second_own.ravel()) == covered - first


def test_blocks_that_meet_along_two_axes_have_no_seams():
    offsets = ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0))
    assert seams_of((9, 9, 9), offsets, 2, (2, 2, 1), (1, 1, 0)) is None
