"""Losses of a state and its controls, with first and second derivatives.

``J = tracking + 1e-6 * l2``: losses add and subtract, and numbers scale them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..errors import NonFinite, ShapeError, StructureError
from .energy import Energy
from .equation import Equation
from .spaces import spaces_of, vector_of
from .weighting import symmetric_matrix

Array = NDArray[np.float64]
Values = tuple[float, Array, Array]


class Loss(ABC):
    """A loss of (x, y) for `hypergradient`, `minimize` and `reduced_hessian`."""

    @abstractmethod
    def __call__(self, x: Any, y: Any) -> Values:
        """Return value, L_x (n_x,) and L_y (n_y,)."""

    @abstractmethod
    def second_order(self, x: Any, y: Any, x_dot: Any, y_dot: Any) -> tuple[Array, Array]:
        """Return L_xx ẋ + L_xy ẏ, (n_x,), and L_yx ẋ + L_yy ẏ, (n_y,)."""

    __array_ufunc__ = None  # an array times a loss is refused, not an array of losses

    def __add__(self, other: Any) -> Loss:
        """Return the sum of two losses."""
        return Sum([(1.0, self), (1.0, other)])

    def __radd__(self, other: Any) -> Loss:
        """Return itself for the 0 with which ``sum`` begins."""
        if isinstance(other, int) and other == 0:
            return self
        return Sum([(1.0, other), (1.0, self)])

    def __sub__(self, other: Any) -> Loss:
        """Return the difference of two losses."""
        return Sum([(1.0, self), (-1.0, other)])

    def __neg__(self) -> Loss:
        """Return the loss times −1."""
        return Sum([(-1.0, self)])

    def __mul__(self, factor: Any) -> Loss:
        """Return the loss times a number."""
        return Sum([(_factor(factor), self)])

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> Loss:
        """Return the loss divided by a number."""
        if _factor(divisor) == 0.0:
            raise NonFinite("a loss is divided by 0.", where="pde.Loss")
        return Sum([(1.0 / _factor(divisor), self)])


def _factor(given: Any) -> float:
    """Return a finite number by which a loss is scaled."""
    if isinstance(given, Loss) or np.ndim(given) or np.asarray(given).dtype.kind not in "fiu":
        raise StructureError(
            f"a loss cannot be scaled by {type(given).__name__}.", where="pde.Loss",
            fix="scale it by a real number.",
        )  # fmt: skip
    if not np.isfinite(given):
        raise NonFinite(f"a loss cannot be scaled by {given}.", where="pde.Loss")
    return float(given)


class Sum(Loss):
    """Σ_i w_i L_i: made by adding and scaling losses."""

    def __init__(self, parts: Sequence[tuple[float, Loss]]) -> None:
        for _, loss in parts:
            if not isinstance(loss, Loss):
                raise StructureError(
                    f"a loss cannot be added to {type(loss).__name__}.",
                    where="pde.Loss",
                    fix="add losses of sparseimplicit.pde; write others as a Functional.",
                )
        self.parts: list[tuple[float, Loss]] = [
            (weight * inner, part)
            for weight, loss in parts
            for inner, part in (loss.parts if isinstance(loss, Sum) else [(1.0, loss)])
        ]

    def __call__(self, x: Any, y: Any) -> Values:
        """Return value, L_x and L_y."""
        found = [(weight, loss(x, y)) for weight, loss in self.parts]
        return (
            sum(weight * value for weight, (value, _, _) in found),
            np.asarray(sum(weight * by_x for weight, (_, by_x, _) in found)),
            np.asarray(sum(weight * by_y for weight, (_, _, by_y) in found)),
        )

    def second_order(self, x: Any, y: Any, x_dot: Any, y_dot: Any) -> tuple[Array, Array]:
        """Return the sums of the parts' second derivatives."""
        found = [(weight, loss.second_order(x, y, x_dot, y_dot)) for weight, loss in self.parts]
        return (
            np.asarray(sum(weight * by_x for weight, (by_x, _) in found)),
            np.asarray(sum(weight * by_y for weight, (_, by_y) in found)),
        )


class Tracking(Loss):
    """½ (C u − d)ᵀ M (C u − d): of all values u of a state, or of what is observed of them.

    Parameters
    ----------
    problem : Equation or Energy
    target : array, shape (N,), or (observations,)
        d.
    inner : sparse array, optional
        M, symmetric, such as `mass` of the basis of the state; the identity by default.
    observe : sparse array, shape (observations, N), optional
        C, such as ``basis.probes(points)``.

    Raises
    ------
    StructureError
        If M is not symmetric: its gradient would be that of ½ (M + Mᵀ).
    ShapeError, NonFinite
    """

    def __init__(
        self,
        problem: Equation | Energy,
        target: Any,
        inner: Any = None,
        *,
        observe: Any = None,
    ) -> None:
        size = spaces_of(problem, "pde.Tracking").size
        self.problem = problem
        self.observe = None if observe is None else sparse.csr_array(observe)
        count = size if self.observe is None else self.observe.shape[0]
        self.target = vector_of(target, count, "target", "pde.Tracking")
        if not np.isfinite(self.target).all():
            raise NonFinite("target holds NaN or infinity.", where="pde.Tracking",
                            fix="observe= picks the values that were measured.")  # fmt: skip
        self.inner = None if inner is None else symmetric_matrix(inner, "inner=", "pde.Tracking")
        if self.observe is not None and self.observe.shape[1] != size:
            raise ShapeError(
                f"observe= has {self.observe.shape[1]} columns; the state has {size} values.",
                where="pde.Tracking",
            )
        if self.inner is not None and self.inner.shape != (count, count):
            raise ShapeError(
                f"inner= has shape {self.inner.shape}, needed is ({count}, {count}).",
                where="pde.Tracking",
            )

    def __call__(self, x: Any, y: Any) -> Values:
        """Return value, L_x and L_y."""
        miss = self._observed(self.problem.full(x, y)) - self.target
        weighted = self._weighted(miss)
        by_x, by_y = self._back(weighted)
        return 0.5 * float(miss @ weighted), by_x, by_y

    def second_order(self, x: Any, y: Any, x_dot: Any, y_dot: Any) -> tuple[Array, Array]:
        """Return Cᵀ M C (ẋ, ẏ)."""
        u_dot = self.problem.split.tangent(np.asarray(x_dot), np.asarray(y_dot))
        return self._back(self._weighted(self._observed(u_dot)))

    def _observed(self, u: Array) -> Array:
        return u if self.observe is None else np.asarray(self.observe @ u)

    def _weighted(self, v: Array) -> Array:
        return v if self.inner is None else np.asarray(self.inner @ v)

    def _back(self, v: Array) -> tuple[Array, Array]:
        u_bar = v if self.observe is None else np.asarray(self.observe.T @ v)
        split = self.problem.split
        return split.to_parameters(u_bar), u_bar[split.free]


class Linear(Loss):
    """ℓ · u of all values u of a state: the work of a load, a flux, a value at a point.

    Parameters
    ----------
    problem : Equation or Energy
    weights : array, shape (N,)
        ℓ.
    """

    def __init__(self, problem: Equation | Energy, weights: Any) -> None:
        self.problem = problem
        self.weights = vector_of(
            weights, spaces_of(problem, "pde.Linear").size, "weights", "pde.Linear"
        )
        if not np.isfinite(self.weights).all():
            raise NonFinite("weights holds NaN or infinity.", where="pde.Linear")

    def __call__(self, x: Any, y: Any) -> Values:
        """Return value, L_x and L_y."""
        split = self.problem.split
        value = float(self.weights @ self.problem.full(x, y))
        return value, split.to_parameters(self.weights), self.weights[split.free]

    def second_order(self, x: Any, y: Any, x_dot: Any, y_dot: Any) -> tuple[Array, Array]:
        """Return zeros."""
        return np.zeros(self.problem.n_x), np.zeros(self.problem.n_y)


class Quadratic(Loss):
    """½ (m − m₀)ᵀ R (m − m₀) of one control: R = `mass` for L², `h1` or a stiffness for H¹.

    Parameters
    ----------
    problem : Equation or Energy
    matrix : sparse array, shape (n, n)
        R, symmetric, of the control's numbers in x.
    control : str, optional
        Its name; the only control by default.
    centre : number or array, shape (n,)
        m₀.

    Raises
    ------
    StructureError
        If R is not symmetric: its gradient would be that of ½ (R + Rᵀ).
    ShapeError, NonFinite
    """

    def __init__(
        self,
        problem: Equation | Energy,
        matrix: Any,
        control: str | None = None,
        centre: Any = 0.0,
    ) -> None:
        names = list(problem.packing.shapes)
        if control is None and len(names) != 1:
            raise ShapeError(
                f"the problem has controls {', '.join(names) or 'none'}.",
                where="pde.Quadratic",
                fix="name one.",
            )
        self.problem = problem
        self.place = problem.packing.slice(names[0] if control is None else control)
        n = self.place.stop - self.place.start
        self.matrix = symmetric_matrix(matrix, "the matrix", "pde.Quadratic")
        if self.matrix.shape != (n, n):
            raise ShapeError(
                f"the matrix has shape {self.matrix.shape}; the control has {n} numbers.",
                where="pde.Quadratic",
                fix="give pde.mass(basis, dofs=problem.control_dofs[name]) where x holds a part.",
            )
        middle = np.asarray(centre, dtype=np.float64)
        if middle.shape not in ((), (1,), (n,)):
            raise ShapeError(
                f"centre= has shape {middle.shape}; the control has {n} numbers.",
                where="pde.Quadratic",
                fix=f"give a number, or an array of shape ({n},).",
            )
        if not np.isfinite(middle).all():
            raise NonFinite("centre= holds NaN or infinity.", where="pde.Quadratic")
        self.centre = np.broadcast_to(middle, (n,))

    def __call__(self, x: Any, y: Any) -> Values:
        """Return value, L_x and L_y = 0."""
        away = np.asarray(x)[self.place] - self.centre
        weighted = self.matrix @ away
        return 0.5 * float(away @ weighted), self._placed(weighted), np.zeros(self.problem.n_y)

    def second_order(self, x: Any, y: Any, x_dot: Any, y_dot: Any) -> tuple[Array, Array]:
        """Return (R ẋ, 0)."""
        by_x = self._placed(self.matrix @ np.asarray(x_dot)[self.place])
        return by_x, np.zeros(self.problem.n_y)

    def _placed(self, values: Array) -> Array:
        out = np.zeros(self.problem.n_x)
        out[self.place] = values
        return out
