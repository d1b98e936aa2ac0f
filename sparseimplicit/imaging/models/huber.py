"""Huber total variation: quadratic for small gradients, linear for large ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...derivatives import where
from .gradients import GradientModel, check_positive, check_weight


@dataclass(frozen=True)
class HuberVariation(GradientModel):
    """``g(θ, u) = data + Σ_p exp(θ_p) h(|∇u|_p)``, h(t) = t²/2δ where t < δ, else t − δ/2.

    Parameters
    ----------
    delta : float
        δ > 0, in grey levels: below it the image is smoothed, above it has edges.
    weight : {"number", "directions", "map"}
        As for `TotalVariation`.

    Notes
    -----
    The Hessian jumps where |∇u| = δ; Newton's method is then a semismooth one, and gradients with
    respect to θ exist where no pixel lies on the kink. Beyond δ there is no curvature along ∇u:
    where nothing is measured (a mask), the Hessian may be singular, and solvers say so.
    Source: Huber 1973; Pock, Cremers, Bischof, Chambolle 2010.
    """

    delta: float = 5.0
    weight: str = "number"

    kind: ClassVar[str] = "huber-tv"

    def __post_init__(self) -> None:
        check_positive(self.kind, "delta", self.delta)
        check_weight(self.kind, self.weight)

    @property
    def usual_weight(self) -> float:
        """A weight to begin with, for noise of standard deviation 25."""
        return 13.0 if self.weight == "directions" else 20.0

    def potential(self, square: Any, x: Any) -> Any:
        """Return h(√s)."""
        delta = float(self.delta)
        near, far = square * (0.5 / delta), np.sqrt(square) - 0.5 * delta
        return where(square < delta**2, near, far)
