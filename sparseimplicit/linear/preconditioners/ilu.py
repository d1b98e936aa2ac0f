"""Incomplete LU with threshold (SuperLU's ILUTP, through scipy): for nonsymmetric systems."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spilu

from ...errors import MemoryBudgetExceeded, SingularSystem
from ..operator import Array, Operator
from ..preconditioning import Preconditioner, PreparedPreconditioner


class ILU(Preconditioner):
    """M = L U ≈ A with small entries dropped; one factor serves M⁻¹ and M⁻ᵀ.

    Parameters
    ----------
    drop_tolerance : float
        Entries below this times their column's size are dropped.
    fill_factor : float
        Bound on nnz(L) + nnz(U) over nnz(A).

    Notes
    -----
    Source: Li and Shao 2011, ACM TOMS 37(4), 43.
    """

    name = "ilu"
    symmetric: ClassVar[bool] = False

    def __init__(self, drop_tolerance: float = 1e-4, fill_factor: float = 10.0) -> None:
        self.drop_tolerance = drop_tolerance
        self.fill_factor = fill_factor

    def prepare(self, operator: Operator, analysis: object = None) -> PreparedPreconditioner:
        """Factorize incompletely.

        Raises
        ------
        SingularSystem, MemoryBudgetExceeded
        """
        entries = self.entries_of(operator)
        if entries.nnz * self.fill_factor > np.iinfo(np.int32).max:
            raise MemoryBudgetExceeded(
                f"SuperLU counts entries in int32; {entries.nnz} entries with fill_factor "
                f"{self.fill_factor} may pass it.",
                where="preconditioner 'ilu', prepare",
                fix="lower fill_factor, or use preconditioner 'amg' or 'jacobi'.",
            )
        transpose = sparse.csc_array(
            (entries.data, entries.indices.astype(np.int32), entries.indptr.astype(np.int32)),
            shape=entries.shape,
        )
        try:
            factor = spilu(transpose, drop_tol=self.drop_tolerance, fill_factor=self.fill_factor)
        except RuntimeError as error:
            raise SingularSystem(
                f"no incomplete LU of the matrix exists: SuperLU says “{error}”.",
                where="preconditioner 'ilu', prepare",
                fix="look for an empty or dependent row; or use preconditioner 'jacobi'.",
            ) from error
        return _Incomplete(factor)


class _Incomplete(PreparedPreconditioner):
    factorizations = 1

    def __init__(self, factor: object) -> None:
        self._factor = factor  # of Aᵀ: the rows of A read as columns
        self.bytes_estimate = 12 * int(factor.nnz)  # type: ignore[attr-defined]

    def apply(self, r: Array) -> Array:
        """Return (L U)⁻¹ r."""
        return np.asarray(self._factor.solve(r, trans="T"))  # type: ignore[attr-defined]

    def apply_transpose(self, r: Array) -> Array:
        """Return (L U)⁻ᵀ r."""
        return np.asarray(self._factor.solve(r))  # type: ignore[attr-defined]
