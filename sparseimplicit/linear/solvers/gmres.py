"""Restarted GMRES, preconditioned from the right, for nonsymmetric systems."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres

from ..checks import check_count
from ..contract import Solver
from ..krylov import ColumnByColumn
from ..method import Needs, PreparedMethod
from ..operator import Array, Operator, norm
from ..preconditioning import Preconditioner, prepared

STAGNATION: Final = 0.99  # a cycle that leaves more of the residual than this is the last one


class GMRES(Solver):
    """GMRES(restart), scipy's, on A M⁻¹ z = b, x = M⁻¹ z.

    Parameters
    ----------
    preconditioner : Preconditioner, optional
        Any; adjoint solves run on Aᵀ M⁻ᵀ, whose spectrum is that of the forward solve.
    restart : int
        Length of a cycle; memory is restart·n·8 bytes.
    max_iterations : int
        For one solve, all refinements apart.

    Notes
    -----
    Preconditioned from the right, the residual that stops it is the true one. Source: Saad and
    Schultz 1986; Saad 2003, alg. 9.5.
    """

    name: ClassVar[str] = "gmres"

    def __init__(
        self,
        preconditioner: Preconditioner | None = None,
        restart: int = 50,
        max_iterations: int = 2000,
    ) -> None:
        self.preconditioner = preconditioner
        self.needs = Needs(
            entries=False,
            preconditioning_entries=preconditioner is not None and preconditioner.entries,
        )
        self.restart = restart
        check_count(max_iterations, "max_iterations", "GMRES")
        check_count(restart, "restart", "GMRES")
        self.max_iterations = max_iterations

    @property
    def label(self) -> str:
        """Name of the method with its preconditioner."""
        return self.name if self.preconditioner is None else f"gmres+{self.preconditioner.name}"

    def _prepare(self, operator: Operator, analysis: object) -> PreparedMethod:
        preconditioner = prepared(self.preconditioner, operator, analysis)
        method = _GeneralisedMinimumResidual(operator, preconditioner, self.max_iterations)
        method.restart = min(self.restart, operator.n)
        return method


class _GeneralisedMinimumResidual(ColumnByColumn):
    restart = 50

    def _column(self, b: Array, rtol: float, *, transposed: bool) -> tuple[Array, int, bool]:
        n, count = self.operator.n, 0

        def through(z: Array) -> Array:
            return self.product(self.inverse(z, transposed=transposed), transposed=transposed)

        def tick(_: float) -> None:
            nonlocal count
            count += 1

        operator = LinearOperator((n, n), matvec=through, dtype=np.float64)
        z, left = np.zeros(n), 1.0
        # A cycle at a time, to see when a restart no longer helps.
        while count < self.limit:
            z, _ = gmres(
                operator, b, x0=z, rtol=rtol, restart=self.restart, maxiter=1, callback=tick,
                callback_type="pr_norm",
            )  # fmt: skip
            before, left = left, norm(b - through(z))
            if left <= rtol or not left <= STAGNATION * before:
                break
        return self.inverse(z, transposed=transposed), count, left <= rtol
