"""What every image model is: an energy of an image, with parameters that can be learned."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final

from ...derivatives import Energy
from ...implicit import ImplicitFunction
from ...linear import Solver
from ...linear.operator import Array
from ...packing import Packing
from ..observation import Observation

Shape = tuple[int, int]
BLURRED: Final = 24  # bytes of an entry of the Hessian of a blur, while it is made and held
Bounds = list[tuple[float, float]]


class Model(ABC):
    """``g(θ, y) = ½ Σ w (b ∗ u − f)² + R_θ(y)``: y is the state, u the image in it.

    A model is a frozen dataclass whose fields are plain settings; its parameters θ are apart.

    Attributes
    ----------
    kind : str
        Its name, for `model_named`.
    linear_solver : str
        What suits its Hessian, where nothing blurs; see `solver_for`.
    sigma : float
        Standard deviation of the noise, in grey levels, for which `start` is sensible.
    """

    kind: ClassVar[str]
    linear_solver: ClassVar[str] = "auto"
    sigma: ClassVar[float] = 25.0

    @property
    def reach(self) -> int | None:
        """How wide what couples pixels is, for a model that may be solved tile by tile.

        Its state is then the image, and θ does not depend on its shape. None where it may not.
        """
        return None

    @property
    @abstractmethod
    def convex(self) -> bool:
        """Whether R_θ is convex in y for every θ, so that the minimiser is the only one."""

    @abstractmethod
    def packing(self, shape: Shape) -> Packing:
        """Return the named blocks of θ; they depend on the shape for maps of weights alone."""

    @abstractmethod
    def start(self, shape: Shape) -> Array:
        """Return θ to begin with, (packing.size,)."""

    @abstractmethod
    def bounds(self, shape: Shape) -> Bounds | None:
        """Return the pairs (low, high) within which learning keeps θ; None for no bounds."""

    @abstractmethod
    def problem(self, observed: Observation) -> Energy:
        """Return g as local terms, a `MinimizationProblem` with x = θ."""

    def memory(self, shape: Shape, blur: Array | None = None) -> int:
        """Return the bytes that a solve takes, about, as far as they matter.

        Here the Hessian's alone, where a blur couples every pixel with many.
        """
        if blur is None:
            return 0
        a, b = blur.shape
        return int(BLURRED * (2 * a - 1) * (2 * b - 1) * shape[0] * shape[1])

    def first_guess(self, observed: Observation) -> Array:
        """Return a state to begin with: the image measured, missing pixels filled."""
        return observed.filled.ravel()

    def image(self, state: Array, shape: Shape) -> Array:
        """Return the image in a state, (h, w)."""
        return state[: shape[0] * shape[1]].reshape(shape)

    def settings(self) -> dict[str, Any]:
        """Return plain numbers and strings from which `model_named` makes this model again."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]

    def solver_for(self, observed: Observation) -> str:
        """Return the name of the linear solver that suits this observation."""
        return self.linear_solver if observed.blur is None else "auto"

    def implicit(
        self, observed: Observation, linear_solver: str | Solver | None = None
    ) -> ImplicitFunction:
        """Return the state as a function of θ, by the solver given or the one that suits."""
        solver = self.solver_for(observed) if linear_solver is None else linear_solver
        return ImplicitFunction(self.problem(observed), solver)
