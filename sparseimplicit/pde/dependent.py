"""A vector of the state's space that depends on the parameter: an initial state, a bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from ..adjoint import contract, tangent_rhs
from ..conditions import checked_parameter_jacobian
from ..errors import ShapeError
from ..linear.operator import Array


@dataclass(frozen=True)
class Columns:
    """A parameter Jacobian that is zero but for some columns: ``matrix`` stands at ``first``.

    For a control that acts at its own time, products with it cost what the block costs.
    """

    matrix: Any
    first: int


@dataclass(frozen=True)
class Dependent:
    """A vector of shape (n_y,) as a function of x.

    Parameters
    ----------
    value : callable
        ``f(x) -> v``, (n_y,).
    jacobian : callable
        ``f(x) -> ∂v/∂xᵀ``, (n_y, n_x): sparse, dense, a LinearOperator or `Columns`.
    second_order : callable, optional
        ``f(x, y_bar, x_dot) -> ∂²(ȳᵀ v)/∂x∂xᵀ ẋ``, (n_x,); None where v is affine.
    """

    value: Callable[[Array], Any]
    jacobian: Callable[[Array], Any]
    second_order: Callable[[Array, Array, Array], Any] | None = None

    @classmethod
    def affine(cls, matrix: Any, offset: Any = 0.0) -> Dependent:
        """Return ``v = offset + E x``: E the identity, or its part that is controlled."""
        return cls(lambda x: offset - tangent_of(matrix, x), lambda x: matrix)


def dependent(given: Any, n_x: int) -> Dependent:
    """Return it, or a fixed array as one that does not depend on x."""
    if isinstance(given, Dependent):
        return given
    fixed = np.array(given, dtype=np.float64).reshape(-1)
    return Dependent(lambda x: fixed, lambda x: sparse.csr_array((fixed.size, n_x)))


def checked_jacobian(matrix: Any, n_y: int, n_x: int, name: str) -> Any:
    """Return a parameter Jacobian with its shape and entries checked."""
    if not isinstance(matrix, Columns):
        return checked_parameter_jacobian(matrix, n_y, n_x, name)
    inner = checked_parameter_jacobian(matrix.matrix, n_y, None, name)
    if not 0 <= matrix.first <= n_x - inner.shape[1]:
        raise ShapeError(
            f"{name}: columns {matrix.first} to {matrix.first + inner.shape[1]} of {n_x}.",
            fix="give Columns(matrix, first) with first + matrix.shape[1] ≤ n_x.",
        )
    return Columns(inner, matrix.first)


def tangent_of(b: Any, x_dot: Array) -> Array:
    """Return −B ẋ, (n_y,) or (n_y, k)."""
    if isinstance(b, Columns):
        return tangent_rhs(b.matrix, x_dot[b.first : b.first + b.matrix.shape[1]])
    return tangent_rhs(b, x_dot)


def add_contraction(x_bar: Array, b: Any, adjoint: Array, scale: float = 1.0) -> None:
    """Add −scale Bᵀ λ to x̄, in place."""
    if isinstance(b, Columns):
        x_bar[b.first : b.first + b.matrix.shape[1]] += scale * contract(b.matrix, adjoint)
    else:
        x_bar += scale * contract(b, adjoint)
