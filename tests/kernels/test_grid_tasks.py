"""A list of elements run by a function of a tile, against NumPy."""

import numpy as np
import pytest
from numba import cfunc

from sparseimplicit.kernels import grid_tasks

SIZE = 4


@cfunc("void(int64, CPointer(float64), CPointer(float64), CPointer(float64))")
def product(piece, inp, xs, o):
    for t in range(4):
        o[t] = xs[0] * inp[t] * inp[t + 4]
        o[t + 4] = piece


@pytest.mark.parametrize("count", [1, 4, 11])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_a_list_by_data_and_by_index(count, dtype):
    rng = np.random.default_rng(count)
    u, c, xs = rng.standard_normal(20), rng.standard_normal((count, 3)), np.array([2.0])
    places = rng.integers(0, 20, (count, 2)).astype(dtype)
    kind = grid_tasks.INDEX32 if dtype == np.int32 else grid_tasks.INDEX64
    inputs = np.array([
        (grid_tasks.DATA, c.ctypes.data, 2, 0, 0, 0, 3, 0, 0),
        (kind, u.ctypes.data, 1, 0, 0, places.ctypes.data, 2, 1, 0),
    ])  # fmt: skip
    to = rng.integers(0, 5, (count, 2))
    inp, o, out, sums = np.zeros(2 * SIZE), np.zeros(2 * SIZE), np.zeros(5), np.zeros(2)
    grid_tasks.run_list(
        count, product.address, 7, SIZE, inputs, np.array([0, 1]), np.array([1, 0]), inp, o, xs,
        to, out, sums,
    )  # fmt: skip
    made = 2 * c[:, 2] * u[places[:, 1]]
    exact = np.zeros(5)
    np.add.at(exact, to, np.stack([made, np.full(count, 7.0)], axis=1))
    np.testing.assert_allclose(out, exact, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(sums, [7.0 * count, made.sum()], rtol=1e-13)
