"""Total generalized variation of second order: edges, and slopes between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from ...derivatives import Energy, shared, stencil, term
from ...linear.operator import Array
from ...packing import Packing
from ..observation import Observation
from .data_terms import data_term
from .gradients import FORWARD, LOG_WEIGHTS, check_positive
from .model import Bounds, Model, Shape

HERE: Final = [(0, 0)]
USUAL: Final = (18.0, 36.0)  # weights to begin with, for noise of standard deviation 25


@dataclass(frozen=True)
class GeneralizedVariation(Model):
    """``g(θ, (u, v)) = data + exp(θ₀) Σ √(|∇u − v|² + ε²) + exp(θ₁) Σ √(|Ev|² + ε²)``.

    The state has three fields, stacked: the image u, and v = (v_y, v_x), which takes up its slope.
    E is the symmetrized gradient, |Ev|² = (∂_y v_y)² + (∂_x v_x)² + ½ (∂_x v_y + ∂_y v_x)².

    Parameters
    ----------
    epsilon : float
        ε > 0, in grey levels.

    Notes
    -----
    ``log_weights`` has two numbers: of ∇u − v, and of Ev. Forward differences; those of u that
    would reach beyond the border are left out, so that an affine image costs nothing. In an image
    of one row (or column) v_y (or v_x) is held to 0. The Hessian is positive definite where every
    pixel is measured, though badly conditioned: direct solvers suit. Cost: 3 unknowns a pixel.
    Source: Bredies, Kunisch, Pock 2010; De los Reyes, Schönlieb, Valkonen 2017 for the learning.
    """

    epsilon: float = 1.0

    kind: ClassVar[str] = "tgv"

    def __post_init__(self) -> None:
        check_positive(self.kind, "epsilon", self.epsilon)

    @property
    def convex(self) -> bool:
        """Whether R is convex in (u, v): it is."""
        return True

    def packing(self, shape: Shape) -> Packing:
        """Return ``log_weights``, (2,)."""
        return Packing(log_weights=2)

    def start(self, shape: Shape) -> Array:
        """Return the logarithms of 18 and 36."""
        return np.log(USUAL)

    def bounds(self, shape: Shape) -> Bounds | None:
        """Return −8 to 8 for both."""
        return [LOG_WEIGHTS] * 2

    def first_guess(self, observed: Observation) -> Array:
        """Return the image measured, and no slope."""
        return np.concatenate([observed.filled.ravel(), np.zeros(2 * observed.image.size)])

    def problem(self, observed: Observation) -> Energy:
        """Return g."""
        square, shape = float(self.epsilon) ** 2, observed.shape

        def slope(y: Any, x: Any, c: Any) -> Any:
            down, right = c[0] * (y[2] - y[0]) - c[2] * y[3], c[1] * (y[1] - y[0]) - c[3] * y[4]
            return np.exp(x[0]) * np.sqrt(down**2 + right**2 + square)

        def bend(y: Any, x: Any, _: Any) -> Any:
            v_y, v_x = y[:3], y[3:]
            shear = 0.5 * (v_y[1] - v_y[0] + v_x[2] - v_x[0])
            along = (v_y[2] - v_y[0]) ** 2 + (v_x[1] - v_x[0]) ** 2
            return np.exp(x[0]) * np.sqrt(along + 2.0 * shear**2 + square)

        u_and_v = (
            stencil(shape, FORWARD) + stencil(shape, HERE, field=1) + stencil(shape, HERE, field=2)
        )
        v_alone = stencil(shape, FORWARD, field=1) + stencil(shape, FORWARD, field=2)
        terms = [
            data_term(observed, least=3),
            term(slope, y=u_and_v, x=shared(1), c=_inside(shape), name="slope"),
            term(bend, y=v_alone, x=shared(1, first=1), name="bend"),
        ]
        return Energy(terms, n_y=3 * observed.image.size, n_x=2)


def _inside(shape: Shape) -> Array:
    """Return for each pixel whether it has a lower and a right neighbour, and whether v counts.

    v counts where the neighbour is; and everywhere along an axis of one pixel, where nothing else
    would hold it. (h·w, 4).
    """
    out = np.ones((*shape, 4))
    if shape[0] > 1:
        out[-1, :, 0] = out[-1, :, 2] = 0.0
    if shape[1] > 1:
        out[:, -1, 1] = out[:, -1, 3] = 0.0
    return out.reshape(-1, 4)
