"""What keeps parameters smooth or near their start: terms of the upper level in θ alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...errors import ShapeError
from ...kernels.vectors import dot
from ...linear.operator import Array
from ...packing import Packing


@dataclass(frozen=True)
class Ridge:
    """``½ weight · mean (θ_b − start_b)²`` over the entries of block b."""

    block: str
    weight: float
    kind: ClassVar[str] = "ridge"

    def check(self, packing: Packing) -> None:
        """Refuse a block that is not there."""
        _check(self, packing)

    def value_and_gradient(self, block: Array, start: Array) -> tuple[float, Array]:
        """Return the term and its derivative by the block, of the block's shape."""
        factor = self.weight / block.size
        away = block - start
        return 0.5 * factor * dot(away.ravel(), away.ravel()), factor * away


@dataclass(frozen=True)
class Smooth:
    """``½ weight · mean |∇θ_b|²`` over the pixels of a map: its H¹ seminorm.

    Forward differences, zero at the far border. With log-weights, the map of weights has relative
    jumps that are small.
    """

    block: str
    weight: float
    kind: ClassVar[str] = "smooth"

    def check(self, packing: Packing) -> None:
        """Refuse a block that is not there, or is no map."""
        _check(self, packing)
        shape = packing.shapes[self.block]
        if len(shape) != 2:
            raise ShapeError(
                f"block '{self.block}' of shape {shape} is no map.",
                where="Smooth",
                fix="smooth a map of weights; Ridge is for all else.",
            )

    def value_and_gradient(self, block: Array, start: Array) -> tuple[float, Array]:
        """Return the term and its derivative by the block, of the block's shape."""
        factor, value = self.weight / block.size, 0.0
        gradient = np.zeros_like(block)
        for axis in (0, 1):
            jump = np.diff(block, axis=axis)
            value += 0.5 * factor * dot(jump.ravel(), jump.ravel())
            near = [slice(None)] * 2
            far = [slice(None)] * 2
            near[axis], far[axis] = slice(None, -1), slice(1, None)
            gradient[tuple(near)] -= factor * jump
            gradient[tuple(far)] += factor * jump
        return value, gradient


Regularizer = Ridge | Smooth


def _check(regularizer: Regularizer, packing: Packing) -> None:
    packing.slice(regularizer.block)
    if not 0 <= regularizer.weight < np.inf:
        raise ShapeError(
            f"the weight on block '{regularizer.block}' is {regularizer.weight}.",
            where=type(regularizer).__name__,
            fix="give a number ≥ 0.",
        )


def regularize(
    regularizers: tuple[Regularizer, ...], packing: Packing, theta: Array, start: Array
) -> tuple[float, Array]:
    """Return the sum of all terms at θ, and its gradient, (n_x,)."""
    value, gradient = 0.0, np.zeros_like(theta)
    for one in regularizers:
        place, shape = packing.slice(one.block), packing.shapes[one.block]
        own, slope = one.value_and_gradient(
            theta[place].reshape(shape), start[place].reshape(shape)
        )
        value += own
        gradient[place] += slope.ravel()
    return value, gradient
