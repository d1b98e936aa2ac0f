"""The adjoint identity ⟨ȳ, J ẋ⟩ = ⟨Jᵀ ȳ, ẋ⟩, and the symmetry of a Hessian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ..implicit import SolvedState
from ..reduced_hessian import ReducedHessian

DIRECTIONS: Final = 4  # of two random ones a Hessian of few parameters may not show it


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


def hessian_symmetry(hessian: ReducedHessian, *, seed: int = 0) -> float:
    """Return the largest |⟨H v, w⟩ − ⟨v, H w⟩| / (‖H v‖ ‖w‖) among four random directions.

    Of the size of the solves' rtol for right code. Cost: four products, in one block.

    It shows a tangent and a second adjoint that do not belong together; not second derivatives
    that are wrong but symmetric, which `hessian_taylor` shows.
    """
    v = np.random.default_rng(seed).standard_normal((hessian.shape[0], DIRECTIONS))
    hv = hessian.apply(v)
    pairs = hv.T @ v
    scale = float(np.max(np.linalg.norm(hv, axis=0)) * np.max(np.linalg.norm(v, axis=0)))
    return float(np.max(np.abs(pairs - pairs.T))) / scale if scale else 0.0
