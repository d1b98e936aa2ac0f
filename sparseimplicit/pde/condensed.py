"""Systems in which some unknowns are prescribed: they are eliminated, the rest is solved for.

    [ A_II  A_IP ] [x_I]   [b_I]
    [  0     D   ] [x_P] = [b_P]        I inactive, P prescribed, D diagonal

The matrix is not symmetric, A_II may be: it alone is prepared, by any solver.
"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..linear import (
    Attempt,
    Needs,
    Operator,
    PreparedMethod,
    PreparedSystem,
    Solver,
    Structure,
    select,
)
from ..linear.operator import Array

Mask = NDArray[np.bool_]


class Condensed(Solver):
    """Elimination of prescribed unknowns before a solver of the rest.

    Parameters
    ----------
    inactive : array of bool, shape (n,), optional
        The unknowns that are not prescribed; by default those whose row has more than one entry.
    inner : str or Solver
        For A_II.
    structure : Structure or None
        Of A_II, as its owner declares it.
    known : PreparedSystem, optional
        Of an A_II; it is used where that has the same entries.
    """

    name: ClassVar[str] = "condensed"
    needs = Needs()

    def __init__(
        self,
        inactive: Mask | None = None,
        inner: str | Solver = "auto",
        structure: Structure | None = None,
        known: PreparedSystem | None = None,
    ) -> None:
        self.inactive: Final = inactive
        self.inner: Final = inner
        self.structure: Final = structure
        self.known: Final = known

    @property
    def label(self) -> str:
        """Its name, with that of the inner solver where it is known."""
        if self.known is not None:
            return f"condensed + {self.known.solver.label}"
        return f"condensed + {self.inner.label if isinstance(self.inner, Solver) else self.inner}"

    def _prepare(self, operator: Operator, analysis: object) -> PreparedMethod:
        entries = operator.entries
        inactive = self.inactive
        if inactive is None:
            single = (np.diff(entries.indptr) == 1) & (entries.diagonal() != 0.0)
            inactive = ~single
        rows = sparse.csr_array(entries[inactive])
        matrix = Operator(rows[:, inactive], self.structure)
        known = self.known
        if known is not None and same_entries(known.operator, matrix):
            system, factorizations = known, 0
        else:
            selection = select(self.inner, matrix)
            system = selection.solver.prepare(
                matrix, analysis=selection.analysis, because=selection.because
            )
            factorizations = system.report.factorizations
        return _Eliminated(
            system, inactive, sparse.csr_array(rows[:, ~inactive]),
            entries.diagonal()[~inactive], factorizations,
        )  # fmt: skip


class _Eliminated(PreparedMethod):
    def __init__(
        self,
        system: PreparedSystem,
        inactive: Mask,
        coupling: sparse.csr_array,
        diagonal: Array,
        factorizations: int,
    ) -> None:
        self.system = system
        self.inactive = inactive
        self.coupling = coupling
        self.diagonal = diagonal
        self.factorizations = factorizations
        self.bytes_estimate = system.report.bytes_estimate
        self.reused = None if factorizations else "the factorization of the last active set"

    def _solve(self, b: Array, rtol: Array) -> Attempt:
        value = np.empty_like(b)
        value[~self.inactive] = b[~self.inactive] / self.diagonal[:, None]
        rhs = b[self.inactive] - self.coupling @ value[~self.inactive]
        inner = self.system.solve(rhs, rtol=float(rtol.min()), strict=False)
        value[self.inactive] = inner.value
        return Attempt(value, inner.report.iterations, inner.report.reason)

    def _solve_adjoint(self, b: Array, rtol: Array) -> Attempt:
        value = np.empty_like(b)
        inner = self.system.solve_adjoint(
            np.ascontiguousarray(b[self.inactive]), rtol=float(rtol.min()), strict=False
        )
        value[self.inactive] = inner.value
        rest = b[~self.inactive] - self.coupling.T @ inner.value
        value[~self.inactive] = rest / self.diagonal[:, None]
        return Attempt(value, inner.report.iterations, inner.report.reason)


def same_entries(one: Operator, other: Operator) -> bool:
    """Whether two assembled matrices are the same to the last bit."""
    a, b = one.entries, other.entries
    return (
        one.n == other.n
        and np.array_equal(a.indptr, b.indptr)
        and np.array_equal(a.indices, b.indices)
        and np.array_equal(a.data, b.data)
    )
