"""What defines the state y for a parameter x: an argmin, or conditions c(x, y) = 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from .linear import Structure

Function = Callable[[Any, Any], Any]
SecondOrder = Callable[[Any, Any, Any, Any, Any], tuple[Any, Any]]


@dataclass(frozen=True, kw_only=True)
class MinimizationProblem:
    """y(x) = argmin_y g(x, y), a strict local minimiser, with c = g_y = 0.

    Every callable is ``f(x, y)`` with x of shape (n_x,) and y of shape (n_y,).

    Parameters
    ----------
    gradient : callable
        g_y, shape (n_y,).
    hessian : callable
        g_yy, (n_y, n_y): a sparse or dense array, a LinearOperator, or a `linear.Operator`.
    cross_hessian : callable
        ∂²g/∂y∂xᵀ, (n_y, n_x): **rows y, columns x**; sparse, dense or a LinearOperator with
        ``rmatvec``; of shape (n_y,) where n_x = 1.
    objective : callable, optional
        g itself, a number; the line search then uses it.
    structure : Structure, optional
        Of the Hessian at the minimiser. Default: positive definite, which the factorization or
        the curvature of CG finds out. `Structure.SYMMETRIC` admits a saddle as the state.
    majorant : callable, optional
        ``f(x, y, share)``, the matrix (1 − share) g_yy + share M, where M ⪰ g_yy is positive
        semidefinite, best the Hessian of a quadratic that lies above g and touches it at y. Where
        CG meets negative curvature of g_yy, Newton's method takes this in its place.
    primal_dual : callable, optional
        ``f()``, called where Newton's steps turn out too long: a matrix that has a memory, in
        place of g_yy, or None. Its ``at(x, y, share)`` is the matrix, with a share of the majorant
        if there is one, and ``moved(x, y, step)`` what it becomes after a step, which is whole
        also where the line search shortens it. `Energy` has it for smoothed norms.
    second_order : callable, optional
        ``f(x, y, adjoint, x_dot, y_dot) -> (x_part, y_part)``: with λ the adjoint and s = λᵀ g_y,
        s_xx ẋ + s_xy ẏ, (n_x,), and s_yx ẋ + s_yy ẏ, (n_y,). `reduced_hessian` needs it; `Energy`
        has it by itself.
    """

    gradient: Function
    hessian: Function
    cross_hessian: Function
    objective: Function | None = None
    structure: Structure | None = None
    majorant: Callable[[Any, Any, float], Any] | None = None
    primal_dual: Callable[[], Any] | None = None
    second_order: SecondOrder | None = None


def altered(problem: MinimizationProblem, **functions: Any) -> MinimizationProblem:
    """Return the same problem with other functions for some of its fields."""
    own = {f.name: getattr(problem, f.name) for f in fields(MinimizationProblem)}
    return MinimizationProblem(**{**own, **functions})


@dataclass(frozen=True, kw_only=True)
class RootProblem:
    """y(x) with c(x, y) = 0.

    Every callable is ``f(x, y)`` with x of shape (n_x,) and y of shape (n_y,).

    Parameters
    ----------
    residual : callable
        c, shape (n_y,).
    state_jacobian : callable
        A = ∂c/∂yᵀ, (n_y, n_y): a sparse or dense array, a LinearOperator (with ``rmatvec``, for
        the adjoint), or a `linear.Operator`.
    parameter_jacobian : callable
        B = ∂c/∂xᵀ, (n_y, n_x): **rows y, columns x**, as for `MinimizationProblem`.
    structure : Structure, optional
        Of A. Default: found from the entries; general for a LinearOperator.
    second_order : callable, optional
        As for `MinimizationProblem`, with s = λᵀ c. `Residual` has it by itself.
    linear : bool
        Declares that A does not depend on y: it is then asked for once a state, which is one
        solve, and a state that needs more raises.
    """

    residual: Function
    state_jacobian: Function
    parameter_jacobian: Function
    structure: Structure | None = None
    second_order: SecondOrder | None = None
    linear: bool = False


Problem = MinimizationProblem | RootProblem
