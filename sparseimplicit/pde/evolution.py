"""What evolves: M dy/dt + r(t, x, y) = 0, its initial state, and its functions with checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from ..conditions import call, conditions_of, finite_vector
from ..errors import NonFinite, ShapeError, SparseImplicitError, StructureError
from ..linear import Operator, Structure
from ..linear.operator import Array
from ..problem import Problem
from .dependent import checked_jacobian

Function = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Evolution:
    """``M dy/dt + r(t, x, y) = 0``: the semi-discrete form of an evolution equation.

    Every callable is ``f(t, x, y)`` with x of shape (n_x,) and y of shape (n_y,).

    Parameters
    ----------
    mass : sparse array, shape (n_y, n_y)
        M, constant. It may be singular: rows without a time derivative hold at every t.
    residual : callable
        r, (n_y,).
    state_jacobian : callable
        J = ∂r/∂yᵀ, (n_y, n_y): sparse, dense or a LinearOperator.
    parameter_jacobian : callable
        ∂r/∂xᵀ, (n_y, n_x): **rows y, columns x**; sparse, dense, a LinearOperator or `Columns`.
    second_order : callable, optional
        ``f(t, x, y, adjoint, x_dot, y_dot) -> (x_part, y_part)``: with s = adjointᵀ r,
        x_part = s_xx ẋ + s_xy ẏ, (n_x,), and y_part = s_yx ẋ + s_yy ẏ, (n_y,). Needed for
        Hessians; `no_curvature` says that r is affine in x and y together.
    structure : Structure, optional
        Of M + h J, for positive h. Default: found from the entries.
    linear : bool
        Declares that J depends neither on t nor on y: it is then asked for once, a step is one
        solve, and a step that needs more raises.
    """

    mass: Any
    residual: Function
    state_jacobian: Function
    parameter_jacobian: Function
    second_order: Function | None = None
    structure: Structure | None = None
    linear: bool = False

    @classmethod
    def autonomous(cls, mass: Any, problem: Problem, *, linear: bool = False) -> Evolution:
        """Return ``M dy/dt + c(x, y) = 0`` with the conditions c of a problem.

        The stationary state is the problem's; for a `MinimizationProblem` this is its gradient
        flow.
        """
        conditions = conditions_of(problem)
        unknowns, shape = getattr(problem, "n_y", None), np.shape(mass)
        if unknowns is not None and shape not in ((unknowns, unknowns), ()):
            raise ShapeError(
                f"mass has shape {shape}; the problem has {unknowns} unknowns.",
                where="pde.Evolution.autonomous",
                fix="give pde.mass(basis, dofs=problem.free), of the free unknowns alone.",
            )
        second = conditions.second_order_of
        return cls(
            mass=mass,
            residual=lambda t, x, y: conditions.residual_of(x, y),
            state_jacobian=lambda t, x, y: conditions.state_jacobian_of(x, y),
            parameter_jacobian=lambda t, x, y: conditions.parameter_jacobian_of(x, y),
            second_order=None if second is None else lambda t, *arguments: second(*arguments),
            structure=conditions.structure,
            linear=linear,
        )


def no_curvature(*arguments: Any) -> tuple[Array, Array]:
    """Second order of a residual that is affine in x and y together: zero, and said to be so."""
    _, x, y = arguments[:3]
    return np.zeros_like(x), np.zeros_like(y)


class Rates:
    """r and its derivatives at one x, with all that the user returns checked."""

    def __init__(self, evolution: Evolution, x: Array) -> None:
        self.evolution = evolution
        self.x = x
        self.mass = Operator(evolution.mass)
        self._constant: Operator | None = None

    def _call(self, function: Function, t: float, y: Array, name: str) -> Any:
        return call(lambda x, y: function(t, x, y), self.x, y, name)

    def residual(self, t: float, y: Array) -> Array:
        """Return r(t, x, y)."""
        value = self._call(self.evolution.residual, t, y, "residual")
        return finite_vector(value, y.size, f"residual(t = {t:.6g}, x, y)")

    def state_jacobian(self, t: float, y: Array) -> Operator:
        """Return J(t, x, y); the one and only, where r is declared linear."""
        if self._constant is not None:
            return self._constant
        matrix = self._call(self.evolution.state_jacobian, t, y, "state_jacobian")
        if y.size == 1 and np.size(matrix) == 1 and not sparse.issparse(matrix):
            matrix = np.reshape(matrix, (1, 1))
        if getattr(matrix, "shape", None) != (y.size, y.size):
            raise ShapeError(
                f"state_jacobian(t, x, y) has shape {getattr(matrix, 'shape', None)}; the state "
                f"has {y.size} unknowns.",
                fix=f"return shape ({y.size}, {y.size}).",
            )
        try:
            jacobian = Operator(matrix)
        except SparseImplicitError as error:
            raise error.at("state_jacobian(t, x, y)") from error.__cause__
        if self.evolution.linear:
            self._constant = jacobian
        return jacobian

    def parameter_jacobian(self, t: float, y: Array) -> Any:
        """Return ∂r/∂xᵀ at (t, x, y)."""
        matrix = self._call(self.evolution.parameter_jacobian, t, y, "parameter_jacobian")
        return checked_jacobian(matrix, y.size, self.x.size, "parameter_jacobian(t, x, y)")

    def second_order(
        self, t: float, y: Array, adjoint: Array, x_dot: Array, y_dot: Array
    ) -> tuple[Array, Array]:
        """Return the second derivatives of adjointᵀ r along (ẋ, ẏ)."""
        function = self.evolution.second_order
        if function is None:
            raise StructureError(
                "the Hessian needs second derivatives of the residual.",
                where="Evolution",
                fix="give second_order=; pde.no_curvature where r is affine in x and y together; "
                "or ask for hessian(loss, gauss_newton=True).",
            )
        x_part, y_part = function(t, self.x, y, adjoint, x_dot, y_dot)
        return (
            finite_vector(x_part, self.x.size, "second_order(…), x_part"),
            finite_vector(y_part, y.size, "second_order(…), y_part"),
        )


def checked_times(times: Any) -> Array:
    """Return rising finite times, (N + 1,), N ≥ 1."""
    t = np.array(times, dtype=np.float64)
    if t.ndim != 1 or t.size < 2:
        raise ShapeError(
            f"times has shape {t.shape}.",
            where="pde.TimeStepping",
            fix="give t_0 < t_1 < … < t_N, such as np.linspace(0, 1, N + 1).",
        )
    if not np.isfinite(t).all():
        raise NonFinite("times holds NaN or infinity.", where="pde.TimeStepping")
    if not (np.diff(t) > 0).all():
        k = int(np.argmin(np.diff(t) > 0))
        raise ShapeError(
            f"times must rise: t_{k} = {t[k]:.6g}, t_{k + 1} = {t[k + 1]:.6g}.",
            where="pde.TimeStepping",
        )
    return t
