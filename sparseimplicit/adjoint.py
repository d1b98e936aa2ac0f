"""The theorem, and the only place where its signs live.

A ẏ = −B ẋ          Aᵀ λ = ȳ,  x̄ = −Bᵀ λ          A = ∂c/∂yᵀ,  B = ∂c/∂xᵀ
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator

from .conditions import checked_parameter_jacobian
from .linear import Ladder, Operator, Solver
from .linear.checks import check_rtol, checked_columns
from .linear.operator import Array
from .linear.products import product


def vjp(
    A: Any,
    B: Any,
    y_bar: Any,
    *,
    linear_solver: str | Solver = "auto",
    rtol: float = 1e-8,
    on_singular: str = "raise",
) -> Array:
    """Pull state cotangents back to the parameter: ``x̄ = −Bᵀ A⁻ᵀ ȳ``.

    Parameters
    ----------
    A : sparse or dense array, LinearOperator or linear.Operator, shape (n_y, n_y)
        ∂c/∂yᵀ; for an argmin the Hessian g_yy.
    B : sparse or dense array or LinearOperator with ``rmatvec``, shape (n_y, n_x)
        ∂c/∂xᵀ; for an argmin the cross-Hessian, rows y, columns x.
    y_bar : array, shape (n_y,) or (n_y, k)
        ∂L/∂y, in units of L per unit of y.
    linear_solver : str or Solver
        ``"auto"``, a name of `available_solvers`, or a solver.
    rtol : float
        Bound on the true relative residual of every adjoint solve.
    on_singular : {"raise", "min_norm", "damp"}
        What to do where A is singular; see `linear.solve`.

    Returns
    -------
    array, shape (n_x,) or (n_x, k)

    Raises
    ------
    ShapeError, NonFinite, StructureError, NotPositiveDefinite, SingularSystem, NotConverged

    Notes
    -----
    Cost: one preparation of A, one solve with k columns, one product with Bᵀ; Aᵀ is never formed.
    Source: Domke, "Implicit Differentiation"; Blondel et al. 2022, arXiv:2105.15183, eq. 2–3.

    Examples
    --------
    >>> import numpy as np, sparseimplicit as si
    >>> A, B = np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([[1.0], [8.0]])
    >>> si.vjp(A, B, np.array([1.0, 0.0]))  # y = −A⁻¹B x, so ∂y₀/∂x = −(1/2 − 1)
    array([0.5])
    """
    check_rtol(rtol, "vjp")
    operator = A if isinstance(A, Operator) else Operator(A)
    b = checked_parameter_jacobian(B, operator.n, None, "B")
    checked_columns(y_bar, operator.n, "y_bar", "vjp")
    ladder = Ladder(operator, linear_solver, rtol=rtol, on_singular=on_singular)
    solution, _ = ladder.solve(y_bar, transpose=True)
    return contract(b, solution.value)


def jvp(
    A: Any,
    B: Any,
    x_dot: Any,
    *,
    linear_solver: str | Solver = "auto",
    rtol: float = 1e-8,
    on_singular: str = "raise",
) -> Array:
    """Push parameter tangents forward to the state: ``ẏ = −A⁻¹ B ẋ``.

    Parameters
    ----------
    A, B, linear_solver, rtol, on_singular
        As in `vjp`.
    x_dot : array, shape (n_x,) or (n_x, k)

    Returns
    -------
    array, shape (n_y,) or (n_y, k)

    Raises
    ------
    ShapeError, NonFinite, StructureError, NotPositiveDefinite, SingularSystem, NotConverged

    Notes
    -----
    Cost: one preparation of A, one product with B, one solve with k columns.
    """
    check_rtol(rtol, "jvp")
    operator = A if isinstance(A, Operator) else Operator(A)
    b = checked_parameter_jacobian(B, operator.n, None, "B")
    rhs = tangent_rhs(b, x_dot)
    ladder = Ladder(operator, linear_solver, rtol=rtol, on_singular=on_singular)
    return ladder.solve(rhs)[0].value


def tangent_rhs(parameter_jacobian: Any, x_dot: Any) -> Array:
    """Return −B ẋ, the right-hand side of the tangent equation."""
    n_x = parameter_jacobian.shape[1]
    columns = checked_columns(x_dot, n_x, "x_dot", "jvp")
    given = isinstance(parameter_jacobian, LinearOperator)
    b = product(parameter_jacobian, columns, "B") if given else parameter_jacobian @ columns
    return -np.asarray(b, dtype=np.float64).reshape(
        (parameter_jacobian.shape[0], *np.shape(x_dot)[1:])
    )


def contract(parameter_jacobian: Any, adjoint: Array) -> Array:
    """Return x̄ = −Bᵀ λ."""
    return -transposed_product(parameter_jacobian, adjoint)


def gradient_of(parameter_jacobian: Any, adjoint: Array, l_x: Array | None) -> Array:
    """Return dL/dx = L_x − Bᵀ λ."""
    x_bar = contract(parameter_jacobian, adjoint)
    return x_bar if l_x is None else l_x + x_bar


def adjoint_tangent_rhs(loss_part: Array, condition_part: Array | None) -> Array:
    """Return the right-hand side of Aᵀ λ̇ = (L_yx ẋ + L_yy ẏ) − (s_yx ẋ + s_yy ẏ), s = λᵀ c.

    None for the conditions' part leaves it out: Gauss–Newton.
    """
    return loss_part if condition_part is None else loss_part - condition_part


def gradient_tangent_of(
    parameter_jacobian: Any, adjoint_dot: Array, loss_part: Array | None,
    condition_part: Array | None,
) -> Array:  # fmt: skip
    """Return the derivative of dL/dx along ẋ: L_xx ẋ + L_xy ẏ − Bᵀ λ̇ − (s_xx ẋ + s_xy ẏ)."""
    moved = gradient_of(parameter_jacobian, adjoint_dot, loss_part)
    return moved if condition_part is None else moved - condition_part


def transposed_product(matrix: Any, v: Array) -> Array:
    """Return Bᵀ v for a matrix or a LinearOperator."""
    if not isinstance(matrix, LinearOperator):
        return np.asarray(matrix.T @ v)
    return product(matrix, v, "B", transposed=True)
