"""Models of the gradient of an image alone: what total variation and its kin share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final

import numpy as np

from ...derivatives import Energy, Stencil, Term, shared, stencil, term
from ...derivatives.stated.terms import Shared
from ...errors import ShapeError
from ...linear.operator import Array
from ...packing import Packing
from ..observation import Observation
from .data_terms import data_term
from .model import Bounds, Model, Shape

WEIGHTS: Final = ("number", "directions", "map")
FORWARD: Final = [(0, 0), (0, 1), (1, 0)]  # a pixel, its right and its lower neighbour
LEAST_SIDE: Final = 16  # of an image whose Hessian is left to multigrid as coefficients
LOG_WEIGHTS: Final = (-8.0, 8.0)


class GradientModel(Model):
    """``g(θ, u) = data + Σ_p exp(θ_p) φ(∇u_p)``: forward differences, zero at the far border.

    With one weight, one for each direction (a sum of two terms), or one for each pixel.
    """

    linear_solver: ClassVar[str] = "multigrid+late"
    weight: str

    @abstractmethod
    def potential(self, square: Any, x: Any) -> Any:
        """Return φ of a squared length, as a local term; x are the parameters of the element."""

    @property
    @abstractmethod
    def usual_weight(self) -> float:
        """A weight to begin with, for noise of standard deviation 25."""

    @property
    def convex(self) -> bool:
        """Whether R is convex: always."""
        return True

    def extra(self) -> dict[str, tuple[float, tuple[float, float]]]:
        """Return the start and the bounds of each parameter beside the weights, by name."""
        return {}

    def packing(self, shape: Shape) -> Packing:
        """Return ``log_weight``: (), (2,) for right and down, or (h, w); and what is learned too.

        The blocks beside the weights are numbers.
        """
        weights: dict[str, Any] = {"number": (), "directions": (2,), "map": shape}
        return Packing(log_weight=weights[self.weight], **dict.fromkeys(self.extra(), ()))

    def start(self, shape: Shape) -> Array:
        """Return the usual weight everywhere."""
        packing = self.packing(shape)
        weights = np.full(packing.shapes["log_weight"], np.log(self.usual_weight))
        return packing.pack(log_weight=weights, **{n: s for n, (s, _) in self.extra().items()})

    def bounds(self, shape: Shape) -> Bounds | None:
        """Return −8 to 8 for the logarithms of weights."""
        count = int(np.prod(self.packing(shape).shapes["log_weight"], dtype=int))
        return [LOG_WEIGHTS] * count + [pair for _, pair in self.extra().values()]

    def problem(self, observed: Observation) -> Energy:
        """Return g; its Hessian has 7 points, as coefficients where `solver_for` is multigrid."""
        return self.energy(observed, assembled=self.solver_for(observed) == "auto")

    def energy(self, observed: Observation, *, assembled: bool) -> Energy:
        """Return g with its Hessian as CSR, or as coefficients."""
        # A window of at least 3 × 3 has the neighbours that the differences couple.
        data = data_term(observed, least=3)
        n_y, n_x = observed.image.size, self.packing(observed.shape).size
        return Energy([data, self._smoothness(observed)], n_y=n_y, n_x=n_x, assembled=assembled)

    def solver_for(self, observed: Observation) -> str:
        """Return multigrid, unless the image is small or blurred."""
        small = min(observed.shape) < LEAST_SIDE
        return "auto" if small or observed.blur is not None else self.linear_solver

    def _smoothness(self, observed: Observation) -> Term:
        return term(
            self._local(),
            y=stencil(observed.shape, FORWARD),
            x=self._parameters(observed.shape),
            name=self.kind,
        )

    def _parameters(self, shape: Shape) -> list[Stencil | Shared]:
        extra = len(self.extra())
        if self.weight != "map":
            return [shared(self.packing(shape).size)]
        maps: list[Stencil | Shared] = [stencil(shape, [(0, 0)])]
        return [*maps, shared(extra, first=shape[0] * shape[1])] if extra else maps

    def _local(self) -> Callable[..., Any]:
        if self.weight == "directions":
            return lambda u, x, c: (
                np.exp(x[0]) * self.potential((u[1] - u[0]) ** 2, x)
                + np.exp(x[1]) * self.potential((u[2] - u[0]) ** 2, x)
            )
        return lambda u, x, c: (
            np.exp(x[0]) * self.potential((u[1] - u[0]) ** 2 + (u[2] - u[0]) ** 2, x)
        )


def check_weight(kind: str, weight: Any) -> None:
    """Refuse a kind of weight that there is not."""
    if weight not in WEIGHTS:
        raise ShapeError(
            f"weight is {weight!r}.",
            where=f"model '{kind}'",
            fix=f"choose one of {', '.join(WEIGHTS)}.",
        )


def check_positive(kind: str, name: str, value: Any) -> None:
    """Refuse a setting that is no positive number."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (number and 0 < value < np.inf):
        raise ShapeError(
            f"{name} must be positive and finite, got {value!r}.", where=f"model '{kind}'"
        )
