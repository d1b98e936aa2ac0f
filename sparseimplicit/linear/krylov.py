"""What MINRES and GMRES share: scipy's methods, a column at a time, with counts."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from .method import Attempt, PreparedMethod
from .operator import Array, Operator
from .preconditioning import PreparedPreconditioner
from .reports import Reason


class ColumnByColumn(PreparedMethod):
    """A Krylov method that solves for one column after the other."""

    def __init__(
        self, operator: Operator, preconditioner: PreparedPreconditioner | None, limit: int
    ) -> None:
        self.operator = operator
        self.preconditioner = preconditioner
        self.limit = limit
        # scipy's methods compare with absolute numbers: they get A and M⁻¹ in units of ‖A‖.
        size = operator.size_estimate()
        self.unit = 2.0 ** round(np.log2(size)) if size > 0 else 1.0
        if preconditioner is not None:
            self.factorizations = preconditioner.factorizations
            self.bytes_estimate = preconditioner.bytes_estimate
            self.analysis = preconditioner.analysis
            self.reused = preconditioner.reused

    def as_preconditioner(self) -> PreparedPreconditioner | None:
        """Return the preconditioner that was made for this matrix."""
        return self.preconditioner

    @abstractmethod
    def _column(self, b: Array, rtol: float, *, transposed: bool) -> tuple[Array, int, bool]:
        """Return x of (A / unit) x = b, the iterations, whether the method says it converged."""

    def product(self, v: Array, *, transposed: bool = False) -> Array:
        """Return A v / unit, or Aᵀ v / unit, for one column."""
        apply = self.operator.apply_transpose if transposed else self.operator.apply
        return apply(v.reshape(-1)) / self.unit

    def inverse(self, r: Array, *, transposed: bool = False) -> Array:
        """Return unit · M⁻¹ r, or with M⁻ᵀ, for one column; r itself without a preconditioner."""
        if self.preconditioner is None:
            return r
        apply = self.preconditioner.apply_transpose if transposed else self.preconditioner.apply
        return apply(r.reshape(-1, 1)).reshape(-1) * self.unit

    def _solve(self, b: Array, rtol: Array) -> Attempt:
        return self._columns(b, rtol, transposed=False)

    def _solve_adjoint(self, b: Array, rtol: Array) -> Attempt:
        return self._columns(b, rtol, transposed=True)

    def _columns(self, b: Array, rtol: Array, *, transposed: bool) -> Attempt:
        x, iterations, converged = np.zeros_like(b), 0, True
        for j in range(b.shape[1]):
            x[:, j], used, reached = self._column(
                np.ascontiguousarray(b[:, j]), float(rtol[j]), transposed=transposed
            )
            iterations += used
            converged &= reached
        x /= self.unit
        if converged:
            return Attempt(x, iterations)
        spent = iterations >= self.limit
        return Attempt(x, iterations, Reason.MAX_ITERATIONS if spent else Reason.STAGNATED)
