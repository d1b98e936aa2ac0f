"""Mixed linear complementarity by trying every choice of sides: the oracle of active sets."""

import itertools

import numpy as np


def solve(a, b, low, high):
    """Return y with low ≤ y ≤ high and A y − b of the right signs; for a P-matrix the only one."""
    for sides in itertools.product((-1, 0, 1), repeat=b.size):
        side = np.array(sides)
        y = np.where(side < 0, low, np.where(side > 0, high, 0.0))
        free = side == 0
        if not np.isfinite(y).all():
            continue
        y[free] = np.linalg.solve(a[np.ix_(free, free)], (b - a @ y)[free])
        c = a @ y - b
        if (
            (low - 1e-12 <= y).all() and (y <= high + 1e-12).all()
            and (c[side < 0] >= -1e-12).all() and (c[side > 0] <= 1e-12).all()
        ):  # fmt: skip
            return y
    raise AssertionError("no choice of sides solves it")
