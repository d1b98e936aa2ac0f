"""Sparse LU by SuperLU, which scipy ships: for any matrix, and always there."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from ...errors import MemoryBudgetExceeded, NotPositiveDefinite, SingularSystem
from ..contract import Solver
from ..method import Attempt, Needs, PreparedMethod
from ..operator import Array, Operator, Structure

INT32_MOST: Final = int(np.iinfo(np.int32).max)


class SuperLU(Solver):
    """LU with threshold pivoting; one factor serves A x = b and Aᵀ x = b.

    Parameters
    ----------
    ordering : {"auto", "COLAMD", "MMD_AT_PLUS_A", "MMD_ATA", "NATURAL"}
        Column ordering. ``auto`` takes MMD_AT_PLUS_A for symmetric matrices, where it gives the
        least fill, unless a pivot on the diagonal is impossible there; else COLAMD.

    Notes
    -----
    A matrix declared positive definite is pivoted on its diagonal alone, and refused where a pivot
    is not positive. Indices are int32: above 2³¹ − 1 entries in the factors memory runs out, and
    that is said. Source: Demmel, Eisenstat, Gilbert, Li, Liu 1999, SIAM J. Matrix Anal. Appl. 20.
    """

    name: ClassVar[str] = "superlu"
    needs = Needs()

    def __init__(self, ordering: str = "auto") -> None:
        self.ordering = ordering

    def _prepare(self, operator: Operator, analysis: object) -> PreparedMethod:
        # A saddle has zeros on the diagonal: keeping pivots there takes minutes, not seconds.
        entries = operator.entries
        diagonal = entries.diagonal()
        steady = operator.structure.symmetric and bool((diagonal > 0).all())
        if operator.structure is Structure.POSITIVE_DEFINITE and not steady:
            unknown = int(np.argmin(diagonal > 0))
            raise NotPositiveDefinite(
                f"the matrix is not positive definite: its diagonal entry {unknown} is "
                f"{diagonal[unknown]:.3g}.",
                unknown=unknown,
                where="solver 'superlu', prepare",
                fix="declare Structure.SYMMETRIC if it may be indefinite.",
            )
        ordering = self.ordering
        if ordering == "auto":
            ordering = "MMD_AT_PLUS_A" if steady else "COLAMD"
        return _SuperLUFactor(operator, ordering, steady=steady)


class _SuperLUFactor(PreparedMethod):
    direct = True
    analyses = 1
    factorizations = 1

    def __init__(self, operator: Operator, ordering: str, *, steady: bool) -> None:
        entries = operator.entries
        assert entries is not None  # noqa: S101 - held by `needs`
        where = "solver 'superlu', prepare"
        if entries.nnz > INT32_MOST:
            raise MemoryBudgetExceeded(
                f"SuperLU counts entries in int32 and the matrix has {entries.nnz}.",
                where=where,
                fix="use 'cholmod' (symmetric positive definite) or a Krylov method.",
            )
        # The rows of A, read as columns, are Aᵀ: no copy. Solves and adjoint solves swap.
        transpose = sparse.csc_array(
            (entries.data, entries.indices.astype(np.int32), entries.indptr.astype(np.int32)),
            shape=entries.shape,
        )
        options = {"SymmetricMode": True} if steady else {}
        definite = operator.structure is Structure.POSITIVE_DEFINITE
        # Pivots on the diagonal alone are stable for a definite matrix, and their signs tell
        # whether it is one (Sylvester); an indefinite one needs others.
        threshold = 0.0 if definite else 0.1 if steady else 1.0
        try:
            self._factor = splu(
                transpose, permc_spec=ordering, diag_pivot_thresh=threshold, options=options
            )
        except RuntimeError as error:
            raise SingularSystem(
                f"the matrix is singular: SuperLU says “{error}”.",
                where=where,
                fix="look for an empty or dependent row; fix the gauge (a pinned unknown).",
            ) from error
        except MemoryError as error:
            raise MemoryBudgetExceeded(
                f"SuperLU ran out of memory on {operator.n} unknowns.",
                where=where,
                fix="use 'cholmod' for a symmetric positive definite matrix, or a Krylov method.",
            ) from error
        self.bytes_estimate = 12 * int(self._factor.nnz)
        if definite:
            self.bytes_estimate *= 2  # U is copied to look at its diagonal
            pivots = self._factor.U.diagonal()
            if not (pivots > 0).all():
                place = int(np.argmin(pivots > 0))
                raise NotPositiveDefinite(
                    f"the matrix is not positive definite (pivot {place} of {pivots.size} is "
                    f"{pivots[place]:.3g}).",
                    unknown=int(np.flatnonzero(self._factor.perm_c == place)[0]),
                    where=where,
                    fix="declare Structure.SYMMETRIC if it may be indefinite.",
                )

    def _solve(self, b: Array, rtol: Array) -> Attempt:
        return Attempt(self._factor.solve(b, trans="T"))

    def _solve_adjoint(self, b: Array, rtol: Array) -> Attempt:
        return Attempt(self._factor.solve(b))
