"""Central differences, (f(z + h v) − f(z − h v)) / 2h: for what cannot take a complex step."""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...errors import StructureError
from .steps import EPS, ROOT, Array, ComplexStep, Step, magnitudes


class InexactDerivatives(UserWarning):
    """Derivatives are differences; the message has their estimated accuracy."""


class CentralDifferences(Step):
    """The last resort, two values of f a product; says how good it is."""

    tolerance = 1e-4
    accuracy: float | None = None

    def along(self, x: Array, y: Array, v: Array) -> Array:
        """Return the derivative along v."""
        return self._difference(x, y, v, 1.0)

    def both_sides(self, x: Array, y: Array, v: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Return the derivative along v, which is of both sides already."""
        derivative = self.along(x, y, v)
        return derivative, np.zeros(derivative.shape, bool)

    def verify(self, x: Array, y: Array) -> None:
        """Estimate the accuracy from a step twice as long and from rounding, and warn of it."""
        point = self.point(x, y)
        v = np.random.default_rng(0).standard_normal(point.size) * magnitudes(point, 1.0)
        fine, coarse = self._difference(x, y, v, 1.0), self._difference(x, y, v, 2.0)
        size = float(np.linalg.norm(fine)) or 1.0
        rounding = EPS * float(np.linalg.norm(self.value(x, y))) / self._step(point, v)
        self.accuracy = (float(np.linalg.norm(fine - coarse)) / 3 + rounding) / size
        warnings.warn(
            f"the derivative of {self.name} in {self.argument} is made of central differences: "
            f"relative error about {self.accuracy:.0e}. A complex step would be exact.",
            InexactDerivatives,
            stacklevel=2,
        )

    def _difference(self, x: Array, y: Array, v: Array, longer: float) -> Array:
        if not v.any():
            return np.zeros(self.value(x, y).shape)
        point = self.point(x, y)
        h = longer * self._step(point, v)
        ahead, behind = self.value(x, y, point + h * v), self.value(x, y, point - h * v)
        return self.checked((ahead - behind) / (2 * h))

    @staticmethod
    def _step(point: Array, v: Array) -> float:
        return ROOT / float((np.abs(v) / magnitudes(point, 1.0)).max())


STEPS: Final[dict[str, type[Step]]] = {"complex": ComplexStep, "differences": CentralDifferences}


def step_named(name: str) -> type[Step]:
    """Return the class of "complex" or "differences"."""
    if name not in STEPS:
        raise StructureError(
            f"there is no step {name!r}.", where="step", fix=f"take one of: {', '.join(STEPS)}."
        )
    return STEPS[name]
