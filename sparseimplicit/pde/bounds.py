"""Bounds on a state, at one parameter, and the equations that hold where they are met."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from ..conditions import Conditions, finite_vector
from ..errors import NonFinite, ShapeError
from ..linear.operator import Array
from ..problem import RootProblem
from .condensed import Mask
from .dependent import Columns, Dependent, checked_jacobian, dependent


class Bounds:
    """Both bounds at one x: ``low`` and ``high``, (n_y,), with what they depend on."""

    def __init__(self, lower: Any, upper: Any, x: Array, n: int | None) -> None:
        self.x = x
        if n is None:
            shapes = [np.shape(b.value(x) if _moves(b) else b) for b in (lower, upper)]
            n = max((shape[0] for shape in shapes if shape), default=None)
        if n is None:
            raise ShapeError(
                "there is no first guess and no bound of a known length.",
                where="VariationalInequality.solve",
                fix="give y0, or start= a neighbouring solution.",
            )
        self.n = n
        self.of = [_bound(lower, -np.inf, n, x), _bound(upper, np.inf, n, x)]
        self.low, self.high = (_values(b, n, x) for b in self.of)
        if not (self.low <= self.high).all():
            place = int(np.argmin(self.low <= self.high))
            raise ShapeError(
                f"the lower bound {self.low[place]:.6g} is above the upper one "
                f"{self.high[place]:.6g} at unknown {place}.",
                where="VariationalInequality",
                fix="give lower ≤ upper for every unknown.",
            )

    def jacobian(self, side: int) -> Any:
        """Return how the lower (0) or the upper bound (1) moves with x, (n_y, n_x)."""
        given, n_x = self.of[side].jacobian(self.x), self.x.size
        checked = checked_jacobian(given, self.n, n_x, "the bound's jacobian")
        if not isinstance(checked, Columns):
            return checked
        block = sparse.coo_array(checked.matrix)
        rows, columns = block.coords
        return sparse.csr_array((block.data, (rows, columns + checked.first)), (self.n, n_x))


def _moves(bound: Any) -> bool:
    return isinstance(bound, Dependent)


def _bound(given: Any, none: float, n: int, x: Array) -> Dependent:
    if _moves(given):
        return given  # type: ignore[no-any-return]
    values = np.full(n, none) if given is None else np.asarray(given, dtype=np.float64)
    if values.shape not in ((), (n,)):
        raise ShapeError(
            f"a bound has shape {values.shape}.",
            where="VariationalInequality",
            fix=f"give a number or shape ({n},).",
        )
    return dependent(np.broadcast_to(values, (n,)), x.size)


def _values(bound: Dependent, n: int, x: Array) -> Array:
    values = np.asarray(bound.value(x), dtype=np.float64)
    if values.shape != (n,):
        raise ShapeError(
            f"a bound has shape {values.shape}.",
            where="VariationalInequality",
            fix=f"give shape ({n},).",
        )
    if np.isnan(values).any():
        raise NonFinite("a bound holds NaN.", where="VariationalInequality")
    return values


class Equations:
    """c_I = 0, d (y − ψ)_P = 0 for fixed sets, with derivatives."""

    def __init__(
        self, conditions: Conditions, bounds: Bounds, lower: Mask, upper: Mask, diagonal: Array
    ) -> None:
        self.conditions, self.bounds = conditions, bounds
        self.lower, self.upper, self.diagonal = lower, upper, diagonal
        self.inactive = (~(lower | upper)).astype(float)

    def residual(self, x: Array, y: Array) -> Array:
        """Return c_I and d (y − ψ)_P."""
        c = self.inactive * self.conditions.residual(x, y)
        for side, mask in enumerate((self.lower, self.upper)):
            bound = _values(self.bounds.of[side], y.size, x)
            c[mask] = (self.diagonal * (y - bound))[mask]
        return c

    def state_jacobian(self, x: Array, y: Array) -> Any:
        """Return A's rows of I and d on the diagonal of the others."""
        entries = self.conditions.state_jacobian(x, y).entries
        prescribed = (1.0 - self.inactive) * self.diagonal
        return sparse.diags_array(self.inactive) @ entries + sparse.diags_array(prescribed)

    def parameter_jacobian(self, x: Array, y: Array) -> Any:
        """Return B's rows of I and −d ψ' of the others."""
        parts = [(self.inactive, self.conditions.parameter_jacobian(x, y))]
        for side, mask in enumerate((self.lower, self.upper)):
            if mask.any():
                parts.append((-(mask * self.diagonal), self.bounds.jacobian(side)))
        if any(isinstance(b, LinearOperator) for _, b in parts):
            return _stacked(parts, y.size, x.size)
        return sum(
            (sparse.diags_array(rows) @ sparse.csr_array(b) for rows, b in parts[1:]),
            start=sparse.diags_array(parts[0][0]) @ sparse.csr_array(parts[0][1]),
        )

    def second_order(
        self, x: Array, y: Array, adjoint: Array, x_dot: Array, y_dot: Array
    ) -> tuple[Array, Array]:
        """Return the second derivatives of λ_Iᵀ c_I − (d λ)_Pᵀ ψ_P along (ẋ, ẏ), in x and in y."""
        x_part, y_part = self.conditions.second_order(x, y, self.inactive * adjoint, x_dot, y_dot)
        for side, mask in enumerate((self.lower, self.upper)):
            second = self.bounds.of[side].second_order
            if second is not None and mask.any():
                part = second(x, -(mask * self.diagonal * adjoint), x_dot)
                x_part = x_part + finite_vector(part, x.size, "second_order of a bound")
        return x_part, y_part

    def problem(self) -> RootProblem:
        """Return them as a problem; with second order where c has it."""
        return RootProblem(
            residual=self.residual,
            state_jacobian=self.state_jacobian,
            parameter_jacobian=self.parameter_jacobian,
            second_order=None if self.conditions.second_order_of is None else self.second_order,
        )


def _stacked(parts: list[tuple[Array, Any]], n_y: int, n_x: int) -> LinearOperator:
    """Return Σ diag(rows) B as products."""

    def forward(v: Array) -> Array:
        return np.asarray(sum((rows * (b @ v).T).T for rows, b in parts))

    def backward(v: Array) -> Array:
        return np.asarray(sum(b.T @ (rows * v.T).T for rows, b in parts))

    return LinearOperator(
        (n_y, n_x), matvec=forward, rmatvec=backward, matmat=forward, rmatmat=backward,
        dtype=np.float64,
    )  # fmt: skip
