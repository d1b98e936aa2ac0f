"""The contract of preconditioners: M ≈ A, applied as M⁻¹ and, for adjoint solves, M⁻ᵀ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, final

import numpy as np
from scipy import sparse

from ..errors import SingularSystem, StructureError
from ..kernels.csr import row_sizes
from ..kernels.vectors import NOTHING
from .operator import Array, Operator


class PreparedPreconditioner(ABC):
    """A preconditioner made for one matrix.

    analysis : what a neighbouring matrix can take over, or None. factorizations : made here.
    diagonal : of M⁻¹, where M is diagonal; else empty. precision : in which `apply_into` can
    write M⁻¹ r of one column, without a copy.
    """

    factorizations: int = 0
    bytes_estimate: int | None = None
    analysis: Any = None
    reused: str | None = None
    diagonal: Array = NOTHING
    precision: type[np.floating[Any]] = np.float64

    @abstractmethod
    def apply(self, r: Array) -> Array:
        """Return M⁻¹ r for r (n, k)."""

    def apply_into(self, r: Array, out: Array) -> Array:
        """Return M⁻¹ r, in ``out`` where the method can write it there."""
        del out
        return self.apply(r)

    @abstractmethod
    def apply_transpose(self, r: Array) -> Array:
        """Return M⁻ᵀ r for r (n, k)."""


class Diagonal(PreparedPreconditioner):
    """M⁻¹ = diag(d) for a positive d, (n,)."""

    def __init__(self, inverse: Array) -> None:
        self.diagonal = inverse
        self.bytes_estimate = inverse.nbytes

    def apply(self, r: Array) -> Array:
        """Return d r."""
        return np.asarray(r * self.diagonal[:, None])

    apply_transpose = apply


class Preconditioner(ABC):
    """A way to make preconditioners.

    symmetric : M is symmetric positive definite when A is; needed by CG and MINRES.
    definite : M is positive definite only where A is; MINRES then cannot take an indefinite A.
    entries : it works on an assembled matrix.
    """

    name: str
    symmetric: ClassVar[bool] = True
    definite: ClassVar[bool] = False
    entries: ClassVar[bool] = True

    @abstractmethod
    def prepare(self, operator: Operator, analysis: Any = None) -> PreparedPreconditioner:
        """Make M from the operator's `preconditioning_entries`.

        analysis : `PreparedPreconditioner.analysis` of a neighbouring matrix, used where it fits.
        """

    @final
    def entries_of(self, operator: Operator) -> sparse.csr_array:
        """Return the assembled matrix to work from, or say that there is none."""
        entries = operator.preconditioning_entries
        if entries is None:
            raise StructureError(
                f"preconditioner '{self.name}' needs entries; this matrix gives products alone.",
                where=f"preconditioner '{self.name}', prepare",
                fix="give Operator(..., precondition_from=M) with an assembled matrix near A, or "
                "preconditioner=None.",
            )
        return entries

    def __repr__(self) -> str:
        """Name the preconditioner."""
        return f"<preconditioner {self.name}>"


def prepared(
    preconditioner: Preconditioner | None, operator: Operator, analysis: Any
) -> PreparedPreconditioner | None:
    """Return the preconditioner made for a matrix, if there is one."""
    return None if preconditioner is None else preconditioner.prepare(operator, analysis)


def refuse_empty_rows(entries: sparse.csr_array, where: str) -> None:
    """Raise SingularSystem, naming the first row without an entry other than 0."""
    full = row_sizes(entries.indptr, entries.data)[0] > 0
    if not full.all():
        raise SingularSystem(
            f"the matrix is singular: row {int(np.argmin(full))} is empty ({int((~full).sum())} "
            f"of {full.size} rows are).",
            where=where,
            fix="remove the unknown, or give it an equation.",
        )
