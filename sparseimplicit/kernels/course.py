"""A course of conjugate gradients on a small matrix, all of it in compiled code.

On some thousand unknowns the calls of a step from Python take longer than its arithmetic.
"""

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def run(
    indptr: Any, indices: Any, values: Any, diagonal: Any, b: Any, rtol: float,
    lengths: Any, turns: Any, residuals: Any,
) -> Any:  # fmt: skip
    """Run CG with D⁻¹ from x = 0, D = diag(diagonal); return the steps, and if curvature was ≤ 0.

    lengths, turns and residuals (steps,) become αₖ, βₖ and ‖rₖ‖/‖b‖. Twin: tests/reference/csr.py.
    """
    n, limit = b.size, lengths.size
    r, p, q = b.copy(), b / diagonal, np.empty(n)
    rho = size = 0.0
    for i in range(n):
        rho += r[i] * p[i]
        size += b[i] * b[i]
    for k in range(limit):
        curvature = 0.0
        for i in range(n):
            total = 0.0
            for e in range(indptr[i], indptr[i + 1]):
                total += values[e] * p[indices[e]]
            q[i] = total
            curvature += total * p[i]
        if not curvature > 0.0:
            return k, True
        lengths[k] = rho / curvature
        left, following = 0.0, 0.0
        for i in range(n):
            r[i] -= lengths[k] * q[i]
            left += r[i] * r[i]
            following += r[i] * r[i] / diagonal[i]
        residuals[k] = np.sqrt(left / size)
        if left <= rtol * rtol * size:
            return k + 1, False
        turns[k] = following / rho
        rho = following
        for i in range(n):
            p[i] = r[i] / diagonal[i] + turns[k] * p[i]
    return limit, False
