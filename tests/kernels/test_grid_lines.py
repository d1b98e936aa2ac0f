"""Tiles of grid lines, compiled and plain, against NumPy's slices."""

import numpy as np
import pytest

from sparseimplicit.kernels import grid_lines

SIZE = 6


@pytest.fixture(params=["compiled", "plain"])
def form(request):
    return (lambda k: k) if request.param == "compiled" else (lambda k: k.py_func)


@pytest.mark.parametrize("left", [-8, -2, 0, 3, 7, 20])
@pytest.mark.parametrize("line", [-1, 0, 3, 4])
def test_a_tile_is_the_line_and_0_off_the_grid(form, left, line):
    lines, width = 4, 8
    u = np.arange(1.0, 2 + lines * width)
    out = np.full(3 * SIZE, 7.0)
    form(grid_lines.stage)(u, 1, line, lines, width, left, out, SIZE, SIZE)
    expected = np.zeros(SIZE)
    for t in range(SIZE):
        if 0 <= left + t < width and 0 <= line < lines:
            expected[t] = u[1 + line * width + left + t]
    np.testing.assert_array_equal(out[SIZE : 2 * SIZE], expected)
    assert (out[:SIZE] == 7).all()
    assert (out[2 * SIZE :] == 7).all()


def test_data_and_indexed_parameters(form):
    c = np.arange(20.0).reshape(10, 2)
    places = np.arange(10)[::-1].reshape(10, 1).copy()
    out = np.full(2 * SIZE, 7.0)
    form(grid_lines.stage_data)(c.ravel(), 2, 1, 3, 1, 4, out, 0, SIZE)
    form(grid_lines.stage_indexed)(c[:, 0].copy(), places.ravel(), 1, 0, 3, 1, 4, out, SIZE, SIZE)
    np.testing.assert_array_equal(out[:SIZE], [0, *c[4:7, 1], 0, 0])
    np.testing.assert_array_equal(out[SIZE:], [0, *c[places[4:7, 0], 0], 0, 0])


@pytest.mark.parametrize("left", [-9, -2, 0, 3, 30])
def test_within_and_clear(form, left):
    low, high = form(grid_lines.within)(2, 5, left, SIZE)
    inside = [t for t in range(SIZE) if 2 <= left + t < 5]
    assert list(range(low, high)) == inside
    out = np.ones(3 * SIZE)
    form(grid_lines.clear)(out, 1, 2, SIZE, low, high)
    expected = np.zeros((3, SIZE))
    expected[0] = 1
    expected[:, inside] = 1
    np.testing.assert_array_equal(out.reshape(3, SIZE), expected)


def test_rows_at_the_border_are_written_by_their_tables(form):
    sums = np.arange(2.0 * SIZE)
    columns, bounds = np.array([1, 4, 40]), np.array([[0, 2], [2, 5], [5, 6]])
    table = np.array([9, 1, -1, 4, 2, 5, 5])  # from the second number on
    out = np.full(6, 7.0)
    form(grid_lines.put_irregular)(sums, 2, SIZE, 0, 0, 3, columns, bounds, table, 1, out)
    np.testing.assert_array_equal(out, [0, 1, SIZE + 4, 0, 4, 7])


def test_columns_of_inner_rows(form):
    out = np.full(8, -1)
    begins, rows = np.array([0, -1, 4]), np.array([10, 20, 30])
    form(grid_lines.fill_columns)(begins, rows, 2, np.array([-1, 3]), out)
    np.testing.assert_array_equal(out, [9, 13, 10, 14, 29, 33, 30, 34])
