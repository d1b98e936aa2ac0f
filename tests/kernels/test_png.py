import numpy as np
import pytest

from sparseimplicit.kernels.png import unfilter
from tests.reference.png import filtered


@pytest.mark.parametrize("run", [unfilter, unfilter.py_func], ids=["compiled", "python"])
@pytest.mark.parametrize("step", [1, 6, 8])
def test_every_filter_is_undone(run, step):
    raw = np.random.default_rng(step).integers(0, 256, (10, 6 * step), dtype=np.uint8)
    raw[4] = raw[3]  # equal distances in Paeth's rule
    kinds = [4, 0, 1, 2, 3, 4, 3, 1, 4, 4]
    lines = filtered(raw, kinds, step)
    assert run(lines, step) == -1
    np.testing.assert_array_equal(lines[:, 1:], raw)


def test_a_filter_that_there_is_not():
    lines = np.zeros((4, 7), dtype=np.uint8)
    lines[2, 0] = 5
    assert unfilter(lines, 2) == 2
