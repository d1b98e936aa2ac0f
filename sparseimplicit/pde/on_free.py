"""What equations and energies over bases share: y holds the free unknowns of all."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..linear import Structure
from ..packing import Packing
from .dirichlet import Split
from .spaces import Spaces, vector_of

Array = NDArray[np.float64]


class OnFree:
    """A problem of all unknowns, ``_whole``, as one of the free ones alone."""

    where: ClassVar[str]
    n_y: int
    n_x: int
    packing: Packing
    free: NDArray[Any]
    control_dofs: dict[str, NDArray[Any]]
    spaces: Spaces
    split: Split
    _whole: Any

    def _begin(self, spaces: Spaces, whole: Any, structure: Structure | None) -> None:
        """Set the attributes, of a class that is frozen."""
        split = spaces.split()
        for key, value in {
            "structure": structure, "n_y": split.free.size, "n_x": spaces.packing.size,
            "packing": spaces.packing, "free": split.free, "spaces": spaces, "split": split,
            "control_dofs": spaces.control_dofs, "_whole": whole,
        }.items():  # fmt: skip
            object.__setattr__(self, key, value)

    def full(self, x: Any, y: Any) -> Array:
        """Return all values of the state, the fixed ones too, (N,); fields one behind another."""
        return self.split.state(*self._checked(x, y))

    def fields(self, x: Any, y: Any) -> tuple[Array, ...]:
        """Return the vector of each field of the state, as its basis numbers it."""
        return tuple(np.split(self.full(x, y), self.spaces.offsets[1:-1]))

    def second_order(
        self, x: Any, y: Any, adjoint: Any, x_dot: Any, y_dot: Any
    ) -> tuple[Array, Array]:
        """Return (s_xx ẋ + s_xy ẏ, s_yx ẋ + s_yy ẏ) of s = λᵀ c: (n_x,) and (n_y,)."""
        x, y = self._checked(x, y)
        u, weight = self.split.state(x, y), self.split.padded(np.asarray(adjoint, dtype=float))
        x_dot = np.asarray(x_dot, dtype=float)
        u_dot = self.split.tangent(x_dot, np.asarray(y_dot, dtype=float))
        by_x, by_u = self._whole.second_order(x, u, weight, x_dot, u_dot)
        return by_x + self.split.to_parameters(by_u), by_u[self.free]

    def check(self, x: Any, y: Any, *, seed: int = 0) -> Any:
        """Hold every derivative against complex steps along random directions; ``print`` it."""
        x, y = self._checked(x, y)
        return self._whole.check(x, self.split.state(x, y), seed=seed)

    def _checked(self, x: Any, y: Any) -> tuple[Array, Array]:
        return vector_of(x, self.n_x, "x", self.where), vector_of(y, self.n_y, "y", self.where)

    def __repr__(self) -> str:
        """Name sizes and controls."""
        return f"{self.where}({self.n_y} of {self.spaces.size} unknowns, {self.packing})"
