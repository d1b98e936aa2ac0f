"""How firmly a state is a minimiser: the smallest curvature that a few products show."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal

from ..kernels.vectors import dot
from ..linear import Operator
from ..linear.operator import Array, norm

STEPS: Final = 40


def smallest_ritz_value(hessian: Operator, steps: int = STEPS, seed: int = 0) -> float:
    """Return the smallest Ritz value of a symmetric operator after a few Lanczos steps.

    A bound on the smallest eigenvalue from above: a value ≤ 0 proves that the operator is not
    positive definite, a positive one proves nothing.

    Notes
    -----
    From a random start, without reorthogonalization, which the outermost value does not need.
    Cost: ``steps`` products and three vectors. Source: Lanczos 1950; Paige 1972.
    """
    v: Array = np.random.default_rng(seed).standard_normal(hessian.n)
    v /= norm(v)
    before = np.zeros_like(v)
    diagonal: list[float] = []
    couplings: list[float] = []
    for _ in range(min(steps, hessian.n)):
        w = np.asarray(hessian.apply(v)).reshape(-1)
        diagonal.append(dot(v, w))
        w = w - diagonal[-1] * v - (couplings[-1] if couplings else 0.0) * before
        size = norm(w)
        couplings.append(size)
        if size <= 1e-12 * abs(diagonal[0]):  # the space is exhausted: the values are exact
            break
        before, v = v, w / size
    ritz = eigvalsh_tridiagonal(np.array(diagonal), np.array(couplings[: len(diagonal) - 1]))
    return float(ritz[0])
