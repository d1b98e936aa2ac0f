"""Inner products of the parameter: (a, b) = aᵀ M b, the gradient M⁻¹ g that goes with them.

A derivative dL/dx pairs with steps, and is no step itself: M⁻¹ dL/dx is. With the mass matrix for
M, steps and norms are those of functions, and the number of iterations does not depend on the mesh.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Final, final

import numpy as np
from scipy import sparse

from ..conditions import finite_vector
from ..errors import NotPositiveDefinite, ShapeError, SingularSystem, StructureError
from ..linear import Operator, PreparedSystem, Solver, Structure, prepare
from ..linear.operator import Array

RIESZ_RTOL: Final = 1e-10  # of the solves with M: far below what any loss is known to
AGREES: Final = 1e-6  # how well a user's apply and riesz must undo each other


class InnerProduct(ABC):
    """A symmetric positive definite M of the parameter space.

    ``apply`` is v ↦ M v, from steps to derivatives; ``riesz`` is g ↦ M⁻¹ g, back. Any object with
    these two methods will do where an inner product is asked for.
    """

    n: int

    @abstractmethod
    def apply(self, v: Array) -> Array:
        """Return M v, (n_x,)."""

    @abstractmethod
    def riesz(self, g: Array) -> Array:
        """Return M⁻¹ g, (n_x,): the gradient that belongs to a derivative."""

    @final
    def dot(self, a: Array, b: Array) -> float:
        """Return aᵀ M b."""
        return float(a @ self.apply(b))

    @final
    def norm(self, a: Array) -> float:
        """Return √(aᵀ M a)."""
        return _root(self.dot(a, a), "aᵀ M a")

    @final
    def dual_norm(self, g: Array) -> float:
        """Return √(gᵀ M⁻¹ g), the size of a derivative."""
        return _root(float(g @ self.riesz(g)), "gᵀ M⁻¹ g")

    @final
    def lumped(self) -> DiagonalProduct:
        """Return the diagonal of row sums, M·1: the metric in which bounds are projected on.

        Raises
        ------
        StructureError
            If a row sum is not positive, as at the corners of quadratic triangles.
        """
        if isinstance(self, DiagonalProduct):
            return self
        sums = self.apply(np.ones(self.n))
        if self.n and sums.min() <= 0:
            row = int(np.argmin(sums))
            raise StructureError(
                f"row {row} of the inner product sums to {sums[row]:.1e}, which is no weight.",
                where="InnerProduct.lumped",
                fix="where there are bounds, give a positive diagonal as `inner`: that of the "
                "matrix, scaled to the same total, or weights of a quadrature.",
            )
        return DiagonalProduct(sums)


@final
class DiagonalProduct(InnerProduct):
    """M = diag(weights), weights positive, (n_x,)."""

    def __init__(self, weights: Any) -> None:
        diagonal = np.array(weights, dtype=np.float64)
        diagonal = finite_vector(diagonal, diagonal.size, "the diagonal of the inner product")
        if diagonal.size and diagonal.min() <= 0:
            i = int(np.argmin(diagonal))
            raise NotPositiveDefinite(
                f"weight {i} of the inner product is {diagonal[i]:.1e}.",
                unknown=i,
                where="inner product",
                fix="give positive weights, such as the areas that the parameters stand for.",
            )
        self.n = diagonal.size
        self.weights: Final = diagonal

    def apply(self, v: Array) -> Array:
        """Return weights · v."""
        return self.weights * v

    def riesz(self, g: Array) -> Array:
        """Return g / weights."""
        return g / self.weights


@final
class MatrixProduct(InnerProduct):
    """M from its entries, prepared once.

    Parameters
    ----------
    matrix : sparse or dense array, or Operator, shape (n_x, n_x)
        Symmetric positive definite: a mass matrix, mass and stiffness, a prior's precision.
    linear_solver : str or Solver
        For M; ``"auto"`` chooses.
    rtol : float
        Of the solves with M.

    Raises
    ------
    StructureError, NotPositiveDefinite, NonFinite, ShapeError

    Notes
    -----
    Cost: one preparation at the first `riesz`; then one solve each.
    """

    def __init__(
        self, matrix: Any, linear_solver: str | Solver = "auto", *, rtol: float = RIESZ_RTOL
    ) -> None:
        self.operator: Final = Operator(matrix, structure=Structure.POSITIVE_DEFINITE)
        self.linear_solver: Final = linear_solver
        self.rtol: Final = rtol
        self.n = self.operator.n

    @cached_property
    def system(self) -> PreparedSystem:
        """What was prepared for M."""
        return prepare(self.operator, self.linear_solver, rtol=self.rtol)

    def apply(self, v: Array) -> Array:
        """Return M v."""
        return self.operator.apply(v)

    def riesz(self, g: Array) -> Array:
        """Return M⁻¹ g."""
        try:
            return self.system.solve(g, rtol=self.rtol).value
        except (NotPositiveDefinite, SingularSystem) as error:
            raise NotPositiveDefinite(
                f"the matrix of the inner product (`inner`) is not positive definite: {error.what}",
                where="inner product",
                fix="give a positive definite one, such as the mass matrix of the parameters "
                "themselves: a mass on facets is 0 elsewhere, pde.mass(basis, dofs=) picks them.",
            ) from error


@final
class GivenProduct(InnerProduct):
    """The user's object; its ``apply`` and ``riesz`` are held against each other once."""

    def __init__(self, given: Any, n: int) -> None:
        self.given: Final = given
        self.n = n
        a, b = np.random.default_rng(0).standard_normal((2, n))
        m_a, m_b = self.apply(a), self.apply(b)
        size = float(np.linalg.norm(m_a) * np.linalg.norm(b)) or 1.0
        flaws = {
            "apply is not symmetric": abs(m_a @ b - a @ m_b) > AGREES * size,
            "aᵀ M a is not positive": n > 0 and a @ m_a <= 0,
            "riesz(apply(a)) is not a": not np.allclose(self.riesz(m_a), a, rtol=0, atol=AGREES),
        }
        if found := [name for name, holds in flaws.items() if holds]:
            raise StructureError(
                f"{type(given).__name__} is no inner product: {found[0]}.",
                where="inner product",
                fix="let apply be v ↦ M v and riesz g ↦ M⁻¹ g, with M symmetric positive definite.",
            )

    def apply(self, v: Array) -> Array:
        """Return M v."""
        return finite_vector(self.given.apply(v), self.n, "apply(v)")

    def riesz(self, g: Array) -> Array:
        """Return M⁻¹ g."""
        return finite_vector(self.given.riesz(g), self.n, "riesz(g)")


def inner_product(given: Any, n: int, linear_solver: str | Solver = "auto") -> InnerProduct:
    """Return what ``inner=`` means, for n parameters.

    Parameters
    ----------
    given : None, array (n,), matrix (n, n), or an object with ``apply`` and ``riesz``
        None is the Euclidean product.
    n : int
    linear_solver : str or Solver
        For a matrix.

    Raises
    ------
    ShapeError
        If it is none of these, or does not fit n.
    """
    if given is None:
        return DiagonalProduct(np.ones(n))
    product = _of(given, n, linear_solver)
    if product.n != n:
        raise ShapeError(
            f"the inner product is one of {product.n} parameters; there are {n}.",
            where="inner product",
            fix=f"give a diagonal of shape ({n},) or a matrix of shape ({n}, {n}).",
        )
    return product


def _of(given: Any, n: int, linear_solver: str | Solver) -> InnerProduct:
    if isinstance(given, DiagonalProduct | MatrixProduct | GivenProduct):
        return given
    if sparse.issparse(given) or isinstance(given, Operator) or np.ndim(given) == 2:
        return MatrixProduct(given, linear_solver)
    if isinstance(given, (np.ndarray, list, tuple)):
        return DiagonalProduct(given)
    if callable(getattr(given, "apply", None)) and callable(getattr(given, "riesz", None)):
        return GivenProduct(given, n)
    raise ShapeError(
        f"an inner product is needed, got {type(given).__name__}.",
        where="inner product",
        fix="give a sparse matrix, a positive diagonal, or an object with apply(v) and riesz(g).",
    )


def _root(square: float, name: str) -> float:
    if not square >= 0:
        raise NotPositiveDefinite(
            f"{name} is {square:.1e}.",
            where="inner product",
            fix="the inner product must be symmetric positive definite.",
        )
    return float(np.sqrt(square))
