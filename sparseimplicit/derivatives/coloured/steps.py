"""Directional derivatives of f(x, y) in x or in y, from values of f alone.

    complex step    Im f(z + i h v) / h, h = 10⁻¹⁰⁰: no difference, so no rounding of one

Source: Lyness and Moler 1967; Squire and Trapp 1998.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import NonFinite, ShapeError, StructureError

Array = NDArray[np.float64]
Argument = Literal["x", "y"]

STEP: Final = 1e-100  # its square does not underflow, and is nothing beside any state
EPS: Final = float(np.finfo(float).eps)
ROOT: Final = float(np.cbrt(EPS))  # where truncation and rounding of a central difference meet
HABITS: Final = (
    "complex numbers must flow through: np.empty(n, dtype=y.dtype) for results; np.sqrt(d*d) and "
    "not np.abs, np.hypot or np.linalg.norm; `@` and not np.vdot or .conj(); no np.fft, no "
    '.real. If that cannot be: step="differences", which is good to some 9 digits.'
)


class Step(ABC):
    """d/dt f(z + t v) for one argument z of f, the other one fixed.

    Parameters
    ----------
    function : callable
        f(x, y), a real vector.
    argument : {"x", "y"}
        Which one is z.
    name : str
        What f is called in messages.
    """

    tolerance: float  # what a product may be off by, relative to the entries of its row

    def __init__(self, function: Callable[[Any, Any], Any], argument: Argument, name: str) -> None:
        self.function, self.argument, self.name = function, argument, name
        self._verified = False

    def verify_once(self, x: Array, y: Array) -> None:
        """Verify at the first point; later ones cost nothing."""
        if not self._verified:
            self.verify(x, y)
            self._verified = True

    @abstractmethod
    def along(self, x: Array, y: Array, v: Array) -> Array:
        """Return the derivative along v at (x, y). Raises NonFinite."""

    @abstractmethod
    def verify(self, x: Array, y: Array) -> None:
        """Find out, at a first point, whether this function can be differentiated in this way."""

    def both_sides(self, x: Array, y: Array, v: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Return the mean of the derivatives to both sides of the point, and where they differ.

        They differ in rows that have a kink at this very point: max(y, 0) at 0.
        """
        ahead, behind = self.along(x, y, v), -self.along(x, y, -v)
        kinks = np.abs(ahead - behind) > self.tolerance * (np.abs(ahead) + np.abs(behind))
        return 0.5 * (ahead + behind), kinks

    def point(self, x: Array, y: Array) -> Array:
        """Return z."""
        return x if self.argument == "x" else y

    def value(self, x: Array, y: Array, z: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return f with z in its place, as a vector; f cannot write to it."""
        if z is not None:
            z.flags.writeable = False
            x, y = (z, y) if self.argument == "x" else (x, z)
        value = np.asarray(self.function(x, y))
        return value.reshape(-1) if value.size == 1 else value

    def checked(self, derivative: NDArray[Any]) -> Array:
        """Return it if it is a finite vector."""
        if derivative.ndim != 1:
            raise ShapeError(f"{self.name}(x, y) has shape {derivative.shape}.",
                             fix="return a vector, one entry for each unknown.")  # fmt: skip
        if not np.isfinite(derivative).all():
            place = int(np.argmin(np.isfinite(derivative)))
            raise NonFinite(
                f"the derivative of {self.name} in {self.argument} is {derivative[place]} at "
                f"index {place}.",
                fix="look for a division, root or logarithm near 0 there.",
            )
        return np.asarray(derivative, dtype=np.float64)


class ComplexStep(Step):
    """Exact to rounding, one complex value of f a product; f must let complex numbers through."""

    tolerance = 1e-9

    def along(self, x: Array, y: Array, v: Array) -> Array:
        """Return the derivative along v."""
        size = float(np.abs(v).max(initial=0.0)) or 1.0
        z = self.point(x, y).astype(np.complex128)
        z.imag = v * (STEP / size)
        value = self.value(x, y, z)
        real = np.isrealobj(value)  # f does not depend on z, or drops it: `verify` tells
        return self.checked(np.zeros(value.shape) if real else value.imag * (size / STEP))

    def verify(self, x: Array, y: Array) -> None:
        """Compare with differences along a random direction.

        A row is wrong if no difference agrees with it: central ones of two steps, which a kink
        next to the point spares, and one-sided ones, for a kink at the point. The point is first
        moved a little: at y = 0, say, many lost parts would be 0 anyway.

        Raises
        ------
        StructureError
            If f refuses complex numbers or loses imaginary parts.
        """
        x, y = self._moved(x, y)
        middle = self.checked(self.value(x, y))
        wrong, distance, scale = self._compared(x, y, middle, 1e-3)
        if wrong.any():  # steps that are small beside every single unknown stay where f is defined
            wrong = wrong & self._compared(x, y, middle, 0.0)[0]
        if wrong.any():
            row = int(np.argmax(np.where(wrong, distance, -1.0)))
            raise StructureError(
                f"{self.name} loses imaginary parts: along a random direction its complex step and "
                f"its differences disagree in {int(wrong.sum())} of {wrong.size} rows; in "
                f"row {row} by {distance[row]:.1e}, where the derivative is {scale[row]:.1e}.",
                where=f"complex step of {self.name}",
                fix=HABITS,
            )

    def _compared(
        self, x: Array, y: Array, middle: Array, floor: float
    ) -> tuple[NDArray[np.bool_], Array, Array]:
        """Return the rows in which no difference agrees, the distances, and the scale of each."""
        point = self.point(x, y)
        v = np.random.default_rng(0).standard_normal(point.size) * magnitudes(point, floor)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                exact = self.along(x, y, v)
        except (TypeError, ValueError, np.exceptions.ComplexWarning) as error:
            raise StructureError(
                f"{self.name} cannot take a complex {self.argument} ({error}).",
                where=f"complex step of {self.name}",
                fix=HABITS,
            ) from error
        with np.errstate(all="ignore"):
            distance, scale = self._disagreement(x, y, v, middle, exact)
        wrong = distance > 1e-5 * scale + 1e-7 * np.abs(exact).max(initial=0.0)
        return wrong, distance, scale

    def _moved(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Return a point near by, where f is finite; else the point itself."""
        point = self.point(x, y)
        move = np.random.default_rng(1).standard_normal(point.size) * magnitudes(point, 0.0)
        z = point + 0.1 * move
        try:
            with np.errstate(all="ignore"):
                fine = bool(np.isfinite(self.value(x, y, z)).all())
        except (ValueError, ArithmeticError):
            fine = False
        if not fine:
            return x, y
        return (z, y) if self.argument == "x" else (x, z)

    def _disagreement(
        self, x: Array, y: Array, v: Array, middle: Array, exact: Array
    ) -> tuple[Array, Array]:
        """Return for each row the smallest distance to a difference, less rounding, and a scale."""
        point, least = self.point(x, y), ROOT / 100
        distance = np.full(exact.size, np.inf)
        scale = np.abs(exact)
        for h in (ROOT, least):
            ahead, behind = (np.asarray(self.value(x, y, point + t * v)) for t in (h, -h))
            for difference in ((ahead - behind) / (2 * h), (ahead - middle) / h,
                               (middle - behind) / h):  # fmt: skip
                known = np.isfinite(difference)
                distance = np.where(known, np.fmin(distance, np.abs(exact - difference)), distance)
                scale = np.where(known, np.fmax(scale, np.abs(difference)), scale)
        distance[np.isinf(distance)] = 0.0  # f is defined on the point alone: nothing to compare
        return np.maximum(distance - 16 * EPS * np.abs(middle) / least, 0.0), scale


def magnitudes(point: Array, floor: float) -> Array:
    """Return |zⱼ|, at least ``floor`` times the root mean square, and that where zⱼ = 0.

    1 where all is 0.
    """
    size = float(np.sqrt(np.mean(point * point))) if point.size else 0.0
    each = np.maximum(np.abs(point), floor * size)
    return np.where(each > 0, each, size if size else 1.0)
