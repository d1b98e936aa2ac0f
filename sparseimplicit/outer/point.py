"""What an optimiser knows of a point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..linear.operator import Array


@dataclass(frozen=True)
class Point:
    """A loss and its derivative at x.

    Attributes
    ----------
    x, gradient : arrays, shape (n_x,)
        gradient is dL/dx, which pairs with steps.
    value : float
    primal : array, shape (n_x,)
        M⁻¹ dL/dx, the gradient in the inner product.
    """

    x: Array
    value: float
    gradient: Array
    primal: Array

    @property
    def size(self) -> float:
        """√(gᵀ M⁻¹ g), the dual norm of the derivative."""
        return float(np.sqrt(max(float(self.gradient @ self.primal), 0.0)))
