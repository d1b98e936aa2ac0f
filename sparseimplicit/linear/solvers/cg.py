"""Preconditioned conjugate gradients for symmetric positive definite systems."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ...errors import NotPositiveDefinite, StructureError
from ..contract import Attempt, Needs, PreparedMethod, Reason, Solver
from ..operator import Array, Operator, Structure
from ..preconditioning import Preconditioner, PreparedPreconditioner


class CG(Solver):
    """Conjugate gradients; k columns advance together, sharing each product with A.

    Parameters
    ----------
    preconditioner : Preconditioner, optional
        A symmetric one, or None.
    max_iterations : int
        For one solve, all refinements apart.

    Notes
    -----
    Curvature pᵀA p ≤ 0 ends the run and is reported: the matrix is not positive definite. The
    iterate so far is kept; if there is none, the preconditioned residual, a direction of descent.
    A diagonal entry ≤ 0 is refused at once. Cost an iteration and column: one product with A and
    M⁻¹, 10 n operations. Source: Hestenes and Stiefel 1952; Saad 2003, alg. 9.1.
    """

    name: ClassVar[str] = "cg"

    def __init__(
        self, preconditioner: Preconditioner | None = None, max_iterations: int = 5000
    ) -> None:
        if preconditioner is not None and not preconditioner.symmetric:
            raise StructureError(
                f"CG needs a symmetric preconditioner; '{preconditioner.name}' is none.",
                where="CG",
                fix="use 'jacobi' or 'amg', or GMRES with this one.",
            )
        self.preconditioner = preconditioner
        self.needs = Needs(
            structure=Structure.SYMMETRIC, definite=True, entries=False,
            preconditioning_entries=preconditioner is not None and preconditioner.entries,
        )
        self.max_iterations = max_iterations

    @property
    def label(self) -> str:
        """Name of the method with its preconditioner."""
        return self.name if self.preconditioner is None else f"cg+{self.preconditioner.name}"

    def _prepare(self, operator: Operator, analysis: object) -> PreparedMethod:
        if operator.entries is not None:
            diagonal = operator.entries.diagonal()
            if not (diagonal > 0).all():
                unknown = int(np.argmin(diagonal > 0))
                raise NotPositiveDefinite(
                    f"the matrix is not positive definite: its diagonal entry {unknown} is "
                    f"{diagonal[unknown]:.3g}.",
                    unknown=unknown,
                    where=f"solver '{self.label}', prepare",
                    fix="use 'minres' or a direct solver for an indefinite matrix.",
                )
        prepared = None if self.preconditioner is None else self.preconditioner.prepare(operator)
        return _ConjugateGradients(operator, prepared, self.max_iterations)


class _ConjugateGradients(PreparedMethod):
    def __init__(
        self, operator: Operator, preconditioner: PreparedPreconditioner | None, limit: int
    ) -> None:
        self._operator = operator
        self._preconditioner = preconditioner
        self._precondition = _identity if preconditioner is None else preconditioner.apply
        self._limit = limit
        if preconditioner is not None:
            self.factorizations = preconditioner.factorizations
            self.bytes_estimate = preconditioner.bytes_estimate

    def as_preconditioner(self) -> PreparedPreconditioner | None:
        """Return the preconditioner that was made for this matrix."""
        return self._preconditioner

    def _solve(self, b: Array, rtol: Array) -> Attempt:
        x, r = np.zeros_like(b), b.copy()
        z = self._precondition(r)
        p = z.copy()
        rho = _dots(r, z)
        goal = rtol * np.sqrt(_dots(b, b))
        # A finished column stops by steps of length 0, so that all columns share one product.
        active = np.ones(b.shape[1], dtype=bool)
        for iteration in range(1, self._limit + 1):
            q = self._operator.apply(p)
            curvature = _dots(p, q)
            if (curvature[active] <= 0).any():
                return Attempt(x if iteration > 1 else z, iteration, Reason.NEGATIVE_CURVATURE)
            alpha = np.where(active, rho / np.where(active, curvature, 1.0), 0.0)
            x += alpha * p
            r -= alpha * q
            active &= np.sqrt(_dots(r, r)) > goal
            if not active.any():
                return Attempt(x, iteration)
            z = self._precondition(r)
            rho_new = _dots(r, z)
            if not np.isfinite(rho_new).all():
                break
            if (rho_new[active] <= 0).any():  # an indefinite preconditioner
                return Attempt(x, iteration, Reason.NEGATIVE_CURVATURE)
            p *= np.where(active, rho_new / np.where(active, rho, 1.0), 0.0)
            p += z
            rho = rho_new
        return Attempt(x, iteration, Reason.MAX_ITERATIONS)

    _solve_adjoint = _solve


def _identity(r: Array) -> Array:
    return r


def _dots(a: Array, b: Array) -> Array:
    if a.shape[1] == 1:  # BLAS; einsum over the columns of a C array is several times slower
        return np.array([np.dot(a[:, 0], b[:, 0])])
    return np.asarray(np.einsum("ij,ij->j", a, b))
