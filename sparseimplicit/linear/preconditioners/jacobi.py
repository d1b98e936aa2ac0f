"""Jacobi: the absolute diagonal. Costs nothing, suffices for well-conditioned Hessians."""

from __future__ import annotations

import numpy as np

from ..operator import Operator
from ..preconditioning import Diagonal, Preconditioner, PreparedPreconditioner, refuse_empty_rows


class Jacobi(Preconditioner):
    """M = |diag A|, positive definite also for an indefinite A, as MINRES wants it."""

    name = "jacobi"

    def prepare(self, operator: Operator, analysis: object = None) -> PreparedPreconditioner:
        """Take the diagonal; a zero on it has no inverse and is replaced by 1.

        Raises
        ------
        SingularSystem
            If a whole row of entries is zero.
        """
        if operator.preconditioning_entries is None and not operator.products_only:
            diagonal = np.abs(operator.diagonal).reshape(-1)  # of a matrix never assembled
            return Diagonal(1.0 / np.where(diagonal == 0, 1.0, diagonal))
        entries = self.entries_of(operator)
        own = entries is operator.entries
        diagonal = np.abs(operator.diagonal if own else entries.diagonal())
        if not diagonal.all():
            refuse_empty_rows(entries, "preconditioner 'jacobi', prepare")
            diagonal[diagonal == 0] = 1.0
        return Diagonal(1.0 / diagonal)
