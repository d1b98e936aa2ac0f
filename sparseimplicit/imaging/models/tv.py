"""Smoothed total variation, as local terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from ...derivatives import Energy
from ..observation import Observation, checked_image
from .gradients import GradientModel, check_positive, check_weight

LOG_EPSILON: Final = (-4.0, 4.0)


@dataclass(frozen=True)
class TotalVariation(GradientModel):
    """``g(θ, u) = data + Σ_p exp(θ_p) √(|∇u|_p² + ε²)``.

    Parameters
    ----------
    epsilon : float
        ε > 0, in grey levels: differences below it are smoothed quadratically.
    weight : {"number", "directions", "map"}
        One weight; one for differences to the right and one for those down, each with a root of
        its own (anisotropic); one a pixel.
    learn_epsilon : bool
        θ has ``log_epsilon`` too, which starts at the logarithm of ``epsilon``.

    Notes
    -----
    The Hessian is positive definite where every pixel is measured, with smallest eigenvalue ≥ the
    smallest weight of the data. Kernels are compiled once for each ε that is fixed.
    Source: Rudin, Osher, Fatemi 1992; Kunisch and Pock 2013 for the learning.
    """

    epsilon: float = 1.0
    weight: str = "number"
    learn_epsilon: bool = False

    kind: ClassVar[str] = "tv"

    def __post_init__(self) -> None:
        check_positive(self.kind, "epsilon", self.epsilon)
        check_weight(self.kind, self.weight)

    @property
    def usual_weight(self) -> float:
        """A weight to begin with, for noise of standard deviation 25."""
        return 12.0 if self.weight == "directions" else 18.0

    def extra(self) -> dict[str, tuple[float, tuple[float, float]]]:
        """Return the smoothing if it is learned."""
        return {"log_epsilon": (float(np.log(self.epsilon)), LOG_EPSILON)} if (
            self.learn_epsilon) else {}  # fmt: skip

    def potential(self, square: Any, x: Any) -> Any:
        """Return √(s + ε²)."""
        smoothing = np.exp(2.0 * x[-1]) if self.learn_epsilon else float(self.epsilon) ** 2
        return np.sqrt(square + smoothing)


def total_variation(
    noisy: Any, *, epsilon: float = 1.0, weight_map: bool = False, assembled: bool = True
) -> Energy:
    """Denoise by ``g(θ, u) = ½‖u − f‖² + Σ_p exp(θ_p) √(|∇u|_p² + ε²)``.

    Parameters
    ----------
    noisy : array, shape (h, w)
        f, on the scale 0 to 255.
    epsilon : float
        ε > 0, in grey levels: differences below it are smoothed quadratically.
    weight_map : bool
        One weight a pixel, x = θ of shape (h·w,); else one for all, x of shape (1,).
    assembled : bool
        The Hessian as CSR, which every solver takes: 88 bytes a pixel. Else as a
        `linear.StencilOperator`, for the solver "multigrid": 32 bytes a pixel.

    Returns
    -------
    Energy
        A `MinimizationProblem` of the state u, shape (h·w,), row by row. Its Hessian has 7 points
        and is positive definite with smallest eigenvalue ≥ 1; all Hessians share one pattern.

    Raises
    ------
    ShapeError, NonFinite

    Notes
    -----
    Forward differences, zero at the far border. Cost of a Hessian: one pass over the image. The
    same as `TotalVariation`, which has more kinds of weights and of data.
    """
    model = TotalVariation(epsilon, "map" if weight_map else "number")
    return model.energy(Observation(checked_image(noisy, "noisy")), assembled=assembled)
