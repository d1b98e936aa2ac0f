import numpy as np
import pytest
from numba import njit

from sparseimplicit.kernels import tiles


@njit
def wide(c, at, step, apart, places, count, u, base, out, o, below):
    tiles.add_wide(c, at, step, apart, places, count, u, base, out, o, below)


@njit
def tall(c, at, step, apart, places, count, u, base, out, o, below):
    tiles.add_tall(c, at, step, apart, places, count, u, base, out, o, below)


CASES = [(wide, tiles.add_wide, tiles.WIDE), (tall, tiles.add_tall, tiles.TALL)]


@pytest.mark.parametrize("count", [0, 1, 2, 13])
@pytest.mark.parametrize(("compiled", "plain", "shape"), CASES)
def test_sums_of_shifted_rows(compiled, plain, shape, count):
    rows, lanes = shape
    rng = np.random.default_rng(count)
    c, u = rng.standard_normal(300), rng.standard_normal(100)
    places = rng.integers(0, 60, count)
    start = rng.standard_normal(rows * 30 + 5)
    exact, step, apart = start.copy(), 3, 41
    for r in range(rows):
        for t in range(count):
            for j in range(lanes):
                exact[4 + 30 * r + j] += c[7 + 3 * t + 41 * r] * u[2 + places[t] + j]
    for run in (compiled, plain):
        out = start.copy()
        run(c, 7, step, apart, places, count, u, 2, out, 4, 30)
        np.testing.assert_allclose(out, exact, rtol=1e-13, atol=1e-13)
