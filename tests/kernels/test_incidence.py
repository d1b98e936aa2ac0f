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
def test_lifts_of_lists(compiled):
    def form(kernel):
        return kernel if compiled else kernel.py_func

    rng = np.random.default_rng(1)
    places = rng.integers(0, 35, (20, 6))
    filters, u, r = rng.standard_normal((4, 6)), rng.standard_normal(35), np.empty((4, 20))
    form(lifts.lift_list)(0, len(places), filters, u, places, r)
    np.testing.assert_allclose(r, lift_twin.lift(filters, u, places), rtol=1e-13, atol=1e-14)
    out = np.zeros(35)
    form(lifts.lower_list)(filters, r, places, out)
    np.testing.assert_allclose(out, lift_twin.lower(filters, r, places, 35), atol=1e-12)
    parts = np.zeros((1, 4, 6))
    form(lifts.outer_list)(r, u, places, parts)
    np.testing.assert_allclose(parts[0], lift_twin.outer(r, u, places), atol=1e-12)
