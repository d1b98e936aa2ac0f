"""MKL's PARDISO: L Lᵀ, L D Lᵀ and L U, in parallel, for any structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from ...errors import StructureError
from ...kernels.csr import upper_triangle
from ..contract import Solver
from ..method import Attempt, Needs, PreparedMethod
from ..operator import Array, Operator, Structure
from ..pardiso_api import GENERAL, INDEFINITE, POSITIVE_DEFINITE, Factor, Handle
from ..preconditioning import refuse_empty_rows

ORDERINGS: Final = {"metis": 3, "amd": 0}
KINDS: Final = {
    Structure.POSITIVE_DEFINITE: POSITIVE_DEFINITE,
    Structure.SYMMETRIC: INDEFINITE,
    Structure.GENERAL: GENERAL,
}


class Pardiso(Solver):
    """The factorization that the declared structure allows, by MKL.

    Parameters
    ----------
    ordering : {"metis", "amd"}
        Nested dissection, or minimum degree: faster to find and nearly as good in the plane.
    single : bool
        Factorize in float32: half the memory of the factor; what the answer lacks is solved for
        again in float64, so that the residual asked for is met all the same, or the failure said.

    Notes
    -----
    Positive definite: L Lᵀ, and a negative pivot is reported. Symmetric: L D Lᵀ with Bunch–Kaufman
    pivots after a weighted matching. General: L U; Aᵀ is solved with the same factor. The analysis
    serves matrices of the same pattern; up to two of its factorizations can live at once.
    Source: Schenk and Gärtner 2004, FGCS 20; 2006, ETNA 23; Intel oneMKL.
    """

    name: ClassVar[str] = "pardiso"
    extra: ClassVar[str | None] = "pardiso"
    needs = Needs()

    def __init__(self, ordering: str = "metis", *, single: bool = False) -> None:
        if ordering not in ORDERINGS:
            raise StructureError(
                f"PARDISO has no ordering '{ordering}'.",
                where="Pardiso",
                fix=f"use one of {', '.join(ORDERINGS)}.",
            )
        self.ordering = ordering
        self.single = single

    @property
    def label(self) -> str:
        """Name of the method with its ordering and precision, where they are not the default."""
        ordering = "" if self.ordering == "metis" else f"+{self.ordering}"
        return f"{self.name}{ordering}{'+single' if self.single else ''}"

    def analyse(self, operator: Operator) -> PardisoAnalysis:
        """Order and analyse: what `prepare(A, analysis=)` takes over; no numeric work.

        Raises
        ------
        MissingBackend, SingularSystem (an empty row), MemoryBudgetExceeded
        """
        entries = operator.entries
        refuse_empty_rows(entries, "solver 'pardiso', prepare")  # PARDISO would crash
        kind = KINDS[operator.structure]
        indptr, indices, values = _stored(entries, kind)
        given = indptr, indices, kind, ORDERINGS[self.ordering]
        handle = Handle(*given, single=self.single)
        handle.analyse(values)
        if handle.overflowed:
            handle = Handle(*given, single=self.single, wide=True)
            handle.analyse(values)
        pattern = entries.indptr.copy(), entries.indices.copy()
        return PardisoAnalysis(self.ordering, self.single, kind, *pattern, handle)

    def _prepare(self, operator: Operator, analysis: Any) -> PreparedMethod:
        fits = isinstance(analysis, PardisoAnalysis) and analysis.fits(self, operator)
        used = analysis if fits else self.analyse(operator)
        return _PardisoFactor(used, operator, made=not fits)


@dataclass(frozen=True, eq=False)
class PardisoAnalysis:
    """A symbolic analysis with the pattern it was made for."""

    ordering: str
    single: bool
    kind: int
    indptr: NDArray[Any]
    indices: NDArray[Any]
    handle: Handle

    def fits(self, solver: Pardiso, operator: Operator) -> bool:
        """Compare the whole pattern; two factorizations that still live leave room for no third."""
        return (
            (self.ordering, self.single) == (solver.ordering, solver.single)
            and self.kind == KINDS[operator.structure]
            and not self.handle.full
            and np.array_equal(self.indptr, operator.entries.indptr)
            and np.array_equal(self.indices, operator.entries.indices)
        )


class _PardisoFactor(PreparedMethod):
    direct = True
    factorizations = 1

    def __init__(self, analysis: PardisoAnalysis, operator: Operator, *, made: bool) -> None:
        self.analysis = analysis
        self.analyses = int(made)
        self.reused = None if made else "symbolic analysis"
        self.bytes_estimate = analysis.handle.bytes
        _, _, values = _stored(operator.entries, analysis.kind)
        self._factor: Factor = analysis.handle.factorize(values)
        self.perturbed = self._factor.perturbed

    def _solve(self, b: Array, rtol: Array) -> Attempt:
        return Attempt(self._factor.solve(b, transposed=False))

    def _solve_adjoint(self, b: Array, rtol: Array) -> Attempt:
        return Attempt(self._factor.solve(b, transposed=True))


def _stored(entries: Any, kind: int) -> tuple[NDArray[Any], NDArray[Any], Array]:
    if kind == GENERAL:
        return entries.indptr, entries.indices, entries.data
    return upper_triangle(entries.indptr, entries.indices, entries.data)
