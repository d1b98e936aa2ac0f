import numpy as np
import pytest

from sparseimplicit.linear.padding import Padding

CASES = [
    ((6,), ((2, 3),)),
    ((4, 5), ((1, 0), (2, 2))),
    ((2, 3), ((5, 4), (7, 1))),
    ((3, 1, 4), ((1, 2), (3, 3), (0, 1))),
]


@pytest.mark.parametrize("mode", ["symmetric", "edge", "wrap", "constant"])
@pytest.mark.parametrize(("shape", "margins"), CASES)
def test_it_is_numpys_and_its_transpose(shape, margins, mode):
    rng = np.random.default_rng(0)
    padding = Padding(shape, margins, mode)
    u = rng.standard_normal((2, *shape))
    given = u.copy()
    padded = padding.spread(u)
    exact = np.stack([np.pad(image, margins, mode=mode) for image in u])
    np.testing.assert_array_equal(padded, exact)
    np.testing.assert_array_equal(u, given)
    v = rng.standard_normal(padded.shape)
    other = np.vdot(v, padded)
    folded = padding.fold(v.copy())
    assert folded.shape == u.shape
    assert np.vdot(folded, u) == pytest.approx(other, rel=1e-13)
    again = np.zeros_like(padded)
    assert padding.spread(u, again) is again
    np.testing.assert_array_equal(again, exact)
