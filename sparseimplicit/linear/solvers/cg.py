"""Preconditioned conjugate gradients for symmetric positive definite systems."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ...errors import NotPositiveDefinite, StructureError
from ...kernels.vectors import direction, dots, step
from ..contract import Attempt, Needs, PreparedMethod, Solver
from ..operator import Array, Operator, Structure
from ..preconditioning import Preconditioner, PreparedPreconditioner
from ..reports import Reason


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
            structure=Structure.SYMMETRIC,
            definite=True,
            entries=False,
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
        rho = dots(r, z)
        goal = rtol**2 * dots(b, b)
        # A finished column stops by steps of length 0, so that all columns share one product.
        active = np.ones(b.shape[1], dtype=bool)
        for iteration in range(1, self._limit + 1):
            q = self._operator.apply(p)
            curvature = dots(p, q)
            if (curvature[active] <= 0).any():
                return Attempt(x if iteration > 1 else z, iteration, Reason.NEGATIVE_CURVATURE)
            active &= step(_ratio(rho, curvature, active), p, q, x, r) > goal
            if not active.any():
                return Attempt(x, iteration)
            z = self._precondition(r)
            rho, previous = dots(r, z), rho
            if not np.isfinite(rho).all():
                break
            if (rho[active] <= 0).any():  # an indefinite preconditioner
                return Attempt(x, iteration, Reason.NEGATIVE_CURVATURE)
            direction(_ratio(rho, previous, active), z, p)
        return Attempt(x, iteration, Reason.MAX_ITERATIONS)

    _solve_adjoint = _solve


def _identity(r: Array) -> Array:
    return r


def _ratio(a: Array, b: Array, active: NDArray[np.bool_]) -> Array:
    return np.where(active, a / np.where(active, b, 1.0), 0.0)
