import numpy as np
import pytest
from scipy import sparse

from sparseimplicit.kernels import colouring
from tests.reference import colouring as twin
from tests.reference.tv import hessian_pattern


def pattern(seed, rows=23, columns=31, dtype=np.int32):
    a = sparse.random_array(
        (rows, columns), density=0.1, rng=np.random.default_rng(seed), format="csr"
    )
    a.sort_indices()
    a.indices, a.indptr = a.indices.astype(dtype), a.indptr.astype(dtype)
    return a


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("run", [colouring.transposed, colouring.transposed.py_func])
def test_transposed(run, dtype):
    a = pattern(0, dtype=dtype)
    for ours, theirs in zip(run(a.indptr, a.indices, 31), twin.transposed(a), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("run", [colouring.colour_columns, colouring.colour_columns.py_func])
def test_colour_columns(run, seed):
    a = pattern(seed)
    starts, rows, _ = colouring.transposed(a.indptr, a.indices, 31)
    colours = run(a.indptr, a.indices, starts, rows)
    np.testing.assert_array_equal(colours, twin.colour_columns(a))
    for i in range(a.shape[0]):  # no row meets a colour twice
        met = colours[a.indices[a.indptr[i] : a.indptr[i + 1]]]
        assert len(set(met)) == len(met)


@pytest.mark.parametrize("run", [colouring.entries_by_colour, colouring.entries_by_colour.py_func])
def test_entries_by_colour(run):
    a = pattern(4)
    colours = twin.colour_columns(a).astype(np.int32)
    ours = run(a.indptr, a.indices, colours, int(colours.max()) + 1)
    for mine, theirs in zip(ours, twin.entries_by_colour(a, colours), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("run", [colouring.place_entries, colouring.place_entries.py_func])
def test_place_entries(run):
    values, product = np.full(4, np.nan), np.array([10.0, 20.0])
    run(np.array([1, 0]), np.array([3, 0]), product, values)
    np.testing.assert_array_equal(values, [10.0, np.nan, np.nan, 20.0])


def test_an_empty_pattern_has_colours_too():
    starts, rows, slots = colouring.transposed(np.zeros(1, np.int32), np.zeros(0, np.int32), 3)
    assert starts.tolist() == [0, 0, 0, 0]
    assert rows.size == slots.size == 0
    colours = colouring.colour_columns(np.zeros(1, np.int32), np.zeros(0, np.int32), starts, rows)
    assert colours.tolist() == [0, 0, 0]


def test_seven_points_of_an_image_take_nine_colours():
    indptr, indices = hessian_pattern(30, 40)
    starts, rows, _ = colouring.transposed(indptr, indices, 1200)
    assert colouring.colour_columns(indptr, indices, starts, rows).max() + 1 == 9
