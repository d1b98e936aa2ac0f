import numpy as np
import pytest
import scipy.optimize

from sparseimplicit.errors import NonFinite, ShapeError
from sparseimplicit.outer.bounds import limits_of

LOW, HIGH = np.array([0.0, -np.inf, -1.0]), np.array([np.inf, 4.0, 5.0])


@pytest.mark.parametrize(
    "bounds",
    [
        (LOW, HIGH),
        [LOW.tolist(), HIGH.tolist()],
        ([0.0, None, -1.0], [None, 4.0, 5.0]),
        [(0.0, None), (None, 4.0), (-1.0, 5.0)],
        np.stack([LOW, HIGH], axis=1),
        np.stack([LOW, HIGH]),
        scipy.optimize.Bounds(LOW, HIGH),
    ],
)
def test_pairs_and_arrays_are_told_apart(bounds):
    limits = limits_of(bounds, np.zeros(3))
    np.testing.assert_array_equal(limits.lb, LOW)
    np.testing.assert_array_equal(limits.ub, HIGH)


@pytest.mark.parametrize("bounds", [(-1.0, None), [(-1.0, None)], (-np.ones(3), None)])
def test_one_number_is_for_all(bounds):
    limits = limits_of(bounds, np.zeros(3))
    np.testing.assert_array_equal(limits.lb, [-1.0] * 3)
    np.testing.assert_array_equal(limits.ub, [np.inf] * 3)


def test_two_by_two_is_refused_unless_it_is_said_which():
    for bounds in (
        (np.zeros(2), np.full(2, 3.0)),
        ([0.0, 0.0], [3.0, 3.0]),
        np.array([[0.0, 0.0], [3.0, 3.0]]),
    ):
        with pytest.raises(ShapeError, match="two pairs"):
            limits_of(bounds, np.zeros(2))
    np.testing.assert_array_equal(limits_of([(0, 3), (1, 4)], np.zeros(2)).lb, [0, 1])


@pytest.mark.parametrize(
    ("bounds", "error", "says"),
    [
        ([(0, 1), (2, 1), (0, 1)], ShapeError, "parameter 1 .*2.0, 1.0.*above"),
        ((LOW, np.array([1.0, 1.0, np.nan])), NonFinite, r"parameter 2 .*\(-1.0, nan\)"),
        ([(0, 1)] * 4, ShapeError, "4 bounds for 3 parameters"),
        ((np.zeros(2), np.ones(2)), ShapeError, "2 bounds for 3 parameters"),
        (1.0, ShapeError, "fit 3 parameters"),
        (("a", "b"), ShapeError, "fit 3 parameters"),
        (scipy.optimize.Bounds(np.zeros(2), np.ones(2)), ShapeError, "fit 3 parameters"),
    ],
)
def test_what_is_wrong_is_named(bounds, error, says):
    with pytest.raises(error, match=says):
        limits_of(bounds, np.zeros(3))
