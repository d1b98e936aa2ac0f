"""The adjoint identity ⟨ȳ, J ẋ⟩ = ⟨Jᵀ ȳ, ẋ⟩."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..implicit import SolvedState


@dataclass(frozen=True)
class DualityCheck:
    """Both sides, and ``error``: their difference relative to ‖ȳ‖ ‖J ẋ‖."""

    forward: float
    backward: float
    error: float


def duality(solved: SolvedState, *, rtol: float = 1e-11, seed: int = 0) -> DualityCheck:
    """Compare the tangent with the adjoint, for random ẋ and ȳ.

    Parameters
    ----------
    solved : SolvedState
    rtol : float
        Of both solves; the error is of this size for right code.
    seed : int

    Notes
    -----
    Cost: two solves. It shows a preconditioner, a matrix or a contraction that was not
    transposed; not a wrong derivative, which `taylor` shows.
    """
    rng = np.random.default_rng(seed)
    x_dot = rng.standard_normal(solved.x.size)
    y_bar = rng.standard_normal(solved.y.size)
    y_dot = solved.jvp(x_dot, rtol=rtol)
    x_bar = solved.vjp(y_bar, rtol=rtol)
    forward, backward = float(y_bar @ y_dot), float(x_bar @ x_dot)
    scale = max(
        float(np.linalg.norm(y_bar) * np.linalg.norm(y_dot)),
        float(np.linalg.norm(x_bar) * np.linalg.norm(x_dot)),
    )
    return DualityCheck(forward, backward, abs(forward - backward) / scale if scale else 0.0)
