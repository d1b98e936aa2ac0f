"""Preconditioned conjugate gradients for symmetric positive definite systems."""

from __future__ import annotations

from typing import ClassVar

from ...errors import StructureError
from ..checks import check_count, refuse_indefinite_diagonal
from ..conjugate_gradients import ConjugateGradients
from ..contract import Solver
from ..method import Needs, PreparedMethod
from ..operator import Operator, Structure
from ..preconditioning import Preconditioner, prepared


class CG(Solver):
    """Conjugate gradients; k columns advance together, sharing each product with A.

    Parameters
    ----------
    preconditioner : Preconditioner, optional
        A symmetric one, or None.
    max_iterations : int
        For one solve, all refinements apart.
    foresight : int
        After so many iterations, and as often again, give up if the rate of convergence foretells
        more than max_iterations; 0 never does.

    Notes
    -----
    Curvature pᵀA p ≤ 0 ends the run and is reported: the matrix is not positive definite. The
    iterate so far is kept; if there is none, the preconditioned residual, a direction of descent.
    A diagonal entry ≤ 0 of an assembled matrix is refused at once. Cost an iteration and column:
    one product with A and M⁻¹, 10 n operations. Source: Hestenes and Stiefel 1952; Saad 2003, 9.1.
    """

    name: ClassVar[str] = "cg"

    def __init__(
        self,
        preconditioner: Preconditioner | None = None,
        max_iterations: int = 5000,
        *,
        foresight: int = 0,
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
        check_count(max_iterations, "max_iterations", "CG")
        check_count(foresight, "foresight", "CG", 0)
        self.max_iterations = max_iterations
        self.foresight = foresight

    @property
    def label(self) -> str:
        """Name of the method with its preconditioner."""
        return self.name if self.preconditioner is None else f"cg+{self.preconditioner.name}"

    def _prepare(self, operator: Operator, analysis: object) -> PreparedMethod:
        if operator.entries is not None:  # of products alone the curvature finds it out
            refuse_indefinite_diagonal(operator, f"solver '{self.label}', prepare")
        preconditioner = prepared(self.preconditioner, operator, analysis)
        return ConjugateGradients(operator, preconditioner, self.max_iterations, self.foresight)
