"""MINRES for symmetric, possibly indefinite systems."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.sparse.linalg import LinearOperator, minres

from ...errors import NotPositiveDefinite, StructureError
from ..checks import check_count
from ..contract import Solver
from ..krylov import ColumnByColumn
from ..method import Needs, PreparedMethod
from ..operator import Array, Operator, Structure, norm
from ..preconditioning import Preconditioner, prepared


class MINRES(Solver):
    """The minimum residual method, scipy's.

    Parameters
    ----------
    preconditioner : Preconditioner, optional
        A symmetric positive definite one, also where A is indefinite.
    max_iterations : int
        For one solve, all refinements apart.

    Notes
    -----
    Source: Paige and Saunders 1975.
    """

    name: ClassVar[str] = "minres"

    def __init__(
        self, preconditioner: Preconditioner | None = None, max_iterations: int = 5000
    ) -> None:
        if preconditioner is not None and not preconditioner.symmetric:
            raise StructureError(
                f"MINRES needs a symmetric preconditioner; '{preconditioner.name}' is none.",
                where="MINRES",
                fix="use 'jacobi', or GMRES with this one.",
            )
        self.preconditioner = preconditioner
        self.needs = Needs(
            structure=Structure.SYMMETRIC,
            definite=preconditioner is not None and preconditioner.definite,
            entries=False,
            preconditioning_entries=preconditioner is not None and preconditioner.entries,
        )
        check_count(max_iterations, "max_iterations", "MINRES")
        self.max_iterations = max_iterations

    @property
    def label(self) -> str:
        """Name of the method with its preconditioner."""
        return self.name if self.preconditioner is None else f"minres+{self.preconditioner.name}"

    def _prepare(self, operator: Operator, analysis: object) -> PreparedMethod:
        preconditioner = prepared(self.preconditioner, operator, analysis)
        return _MinimumResidual(operator, preconditioner, self.max_iterations)


class _MinimumResidual(ColumnByColumn):
    def _column(self, b: Array, rtol: float, *, transposed: bool) -> tuple[Array, int, bool]:
        n, count = self.operator.n, 0

        def tick(_: Array) -> None:
            nonlocal count
            count += 1

        # scipy stops when ‖r‖ ≤ rtol (‖A‖ ‖x‖ + ‖b‖) in the norm of M, too early for rtol ‖b‖.
        x, asked = np.zeros(n), rtol
        for _ in range(4):
            try:
                x, info = minres(
                    LinearOperator((n, n), matvec=self.product, dtype=np.float64),
                    b,
                    x0=x,
                    rtol=asked,
                    maxiter=self.limit - count,
                    M=LinearOperator((n, n), matvec=self.inverse, dtype=np.float64),
                    callback=tick,
                )
            except ValueError as error:
                raise NotPositiveDefinite(
                    "the preconditioner of MINRES is not positive definite.",
                    where="solver 'minres', solve",
                    fix="precondition an indefinite matrix by 'jacobi', or not at all.",
                ) from error
            left = norm(b - self.product(x))
            if left <= rtol or count >= self.limit or asked < 1e-15:
                break
            asked *= 0.5 * rtol / left
        return x, count, left <= rtol or info == 0
