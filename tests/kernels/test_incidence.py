"""Kernels of index arrays against their NumPy twins."""

import numpy as np
import pytest

from sparseimplicit.kernels import incidence, lifts
from tests.reference import incidence as twin
from tests.reference import lifts as lift_twin


@pytest.fixture
def elements():
    rng = np.random.default_rng(3)
    return rng.integers(0, 40, (90, 3)).astype(np.int32), rng.integers(0, 25, (90, 2))


def test_pattern_and_slots(elements):
    rows, columns = elements
    first, second = np.array([0, 1, 2, 2]), np.array([1, 0, 0, 1])
    parts = [(rows, columns.astype(np.int32), first, second)]
    indptr, indices = incidence.pattern(41, parts, 25)
    exact = twin.pattern(41, parts, 25)
    np.testing.assert_array_equal(indptr, exact[0])
    np.testing.assert_array_equal(indices, exact[1])
    slots = np.empty((90, 4), dtype=np.int32)
    incidence.find_slots(*parts[0], indptr, indices, -1, slots)
    np.testing.assert_array_equal(indices[slots], columns[:, second])
    row_of = np.repeat(np.arange(41), np.diff(indptr))
    np.testing.assert_array_equal(row_of[slots], rows[:, first])


def test_a_pair_that_has_no_place_goes_to_the_dump(elements):
    rows, _ = elements
    one = np.zeros(1, dtype=np.int64)
    indptr, indices = incidence.pattern(40, [(rows[:50], rows[:50], one, one)], 40)
    slots = np.empty((90, 1), dtype=np.int32)
    incidence.find_slots(rows, rows, one, one, indptr, indices, -1, slots)
    missing = ~np.isin(rows[:, 0], rows[:50, 0])
    assert missing.any()
    np.testing.assert_array_equal(slots[:, 0] == -1, missing)


def test_long_rows_are_sorted():
    rng = np.random.default_rng(0)
    columns = rng.integers(0, 5000, (3000, 1)).astype(np.int32)
    one = np.zeros(1, dtype=np.int64)
    indptr, indices = incidence.pattern(2, [(np.zeros_like(columns), columns, one, one)], 5000)
    np.testing.assert_array_equal(indices, np.unique(columns))
    np.testing.assert_array_equal(indptr, [0, indices.size, indices.size])


@pytest.mark.parametrize("run", [incidence.group_elements, incidence.group_elements.py_func])
def test_blocks_share_no_rows(elements, run):
    rows, _ = elements
    near = np.sort(np.arange(90)[:, None] * 40 // 95 + np.arange(3), axis=1).astype(np.int32)
    for given in (rows, near):
        starts, order = np.empty(5 + 2, dtype=np.int64), np.empty(90, dtype=np.int64)
        run(given, 48, 5, starts, order)
        np.testing.assert_array_equal(np.sort(order), np.arange(90))
        assert starts[0] == 0
        assert starts[-1] == 90
        assert not twin.shared_rows(given, starts, order)
    assert starts[-2] > 45  # of elements in order most are inside


@pytest.mark.parametrize("compiled", [True, False])
def test_lifts(compiled):
    def form(kernel):
        return kernel if compiled else kernel.py_func

    rng = np.random.default_rng(1)
    h, w, a, b = 5, 7, 2, 3
    pixels = np.arange(h - a + 1) * w
    shifts = (np.arange(a)[:, None] * w + np.arange(b)).ravel()
    width = w - b + 1
    places = (pixels[:, None] + np.arange(width)).reshape(-1, 1) + shifts
    runs = np.array([0, b, a * b])
    filters, u = rng.standard_normal((4, a * b)), rng.standard_normal(h * w)
    exact = lift_twin.lift(filters, u, places)
    r = np.empty_like(exact)
    where = pixels, shifts, runs, width
    form(lifts.lift_lines)(0, pixels.size, filters, u, *where, r)
    np.testing.assert_allclose(r, exact, rtol=1e-13, atol=1e-14)
    form(lifts.lift_list)(0, len(places), filters, u, places, r)
    np.testing.assert_allclose(r, exact, rtol=1e-13, atol=1e-14)
    out = np.zeros(h * w)
    form(lifts.lower_list)(filters, r, places, out)
    np.testing.assert_allclose(out, lift_twin.lower(filters, r, places, h * w), atol=1e-12)
    # Two tiles, of 3 and 2 lines: they read the lines 0, 1, 2 and 2, 3 of elements.
    slots = np.array([[0, -1], [1, 0], [2, 1], [1, 0], [-1, 1]])
    starts, needed = np.array([0, 3, 5]), np.array([0, 1, 2, 2, 3])
    flipped = np.ascontiguousarray(filters.reshape(4, a, b)[:, :, ::-1]).reshape(4, -1)
    out = np.zeros(h * w)
    for tile in (1, 0):
        form(lifts.lower_lines)(
            tile, tile + 1, flipped, r, 3, w, slots, np.zeros(2, int), starts, needed, runs,
            width, b - 1, out,
        )  # fmt: skip
    np.testing.assert_allclose(out, lift_twin.lower(filters, r, places, h * w), atol=1e-12)
    parts = np.zeros((2, 4, a * b))
    form(lifts.outer_lines)(0, 2, r, u, *where, 3, parts)
    np.testing.assert_allclose(parts.sum(axis=0), lift_twin.outer(r, u, places), atol=1e-12)
    parts = np.zeros((1, 4, a * b))
    form(lifts.outer_list)(r, u, places, parts)
    np.testing.assert_allclose(parts[0], lift_twin.outer(r, u, places), atol=1e-12)
