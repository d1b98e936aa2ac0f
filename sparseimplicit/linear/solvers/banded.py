"""LAPACK's banded factorizations: for chains, diagonal matrices, and batches of small systems."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dgbtrf, dgbtrs, dpbtrf, dpbtrs

from ...errors import MemoryBudgetExceeded, NotPositiveDefinite, SingularSystem
from ...kernels import csr
from ..contract import Solver
from ..memory import available_bytes, told_bytes
from ..method import Attempt, Needs, PreparedMethod
from ..operator import Array, Operator, Structure


class Banded(Solver):
    """L Lᵀ of a positive definite matrix, P L U of any other, within its band in natural order.

    Notes
    -----
    With b bands beside the diagonal: n b² operations, 8 n (b + 1) bytes, or for L U 8 n (3 b + 1).
    A block-diagonal matrix of small blocks is a banded one: a thousand systems of 64 unknowns with
    8 bands are one matrix, factorized in one call. Source: LAPACK's pbtrf and gbtrf.
    """

    name: ClassVar[str] = "banded"
    needs = Needs()

    def _prepare(self, operator: Operator, analysis: object) -> PreparedMethod:
        lower, upper = bandwidths(operator.entries)
        definite = operator.structure is Structure.POSITIVE_DEFINITE
        rows = lower + 1 if definite else 2 * lower + upper + 1
        needed, budget = 8 * rows * operator.n, available_bytes()
        if needed > budget:
            raise MemoryBudgetExceeded(
                f"the band of {lower} + {upper} diagonals needs {told_bytes(needed)}; "
                f"{told_bytes(budget)} are available.",
                where="solver 'banded', prepare",
                fix="number the unknowns so that neighbours are near, or use another solver.",
            )
        if definite:
            return _Cholesky(operator, lower)
        return _LU(operator, lower, upper)


def bandwidths(entries: Any) -> tuple[int, int]:
    """Return the numbers of diagonals below and above the main one; entries are sorted by row."""
    lower, upper = csr.bandwidths(entries.indptr, entries.indices)
    return int(lower), int(upper)


class _Cholesky(PreparedMethod):
    direct = True
    factorizations = 1

    def __init__(self, operator: Operator, lower: int) -> None:
        bands = _bands(operator.entries, lower + 1, 0)
        self._factor, failed = dpbtrf(bands, lower=1, overwrite_ab=1)
        self.bytes_estimate = bands.nbytes
        if failed > 0:
            raise NotPositiveDefinite(
                f"the matrix is not positive definite (Cholesky stopped at unknown {failed - 1} of "
                f"{operator.n}).",
                unknown=failed - 1,
                where="solver 'banded', prepare",
                fix="at an argmin: y is no strict minimiser, lower the `rtol` of the forward "
                "solve; or declare Structure.SYMMETRIC if it may be indefinite.",
            )

    def _solve(self, b: Array, rtol: Array) -> Attempt:
        x, _ = dpbtrs(self._factor, b, lower=1)
        return Attempt(np.ascontiguousarray(x))

    _solve_adjoint = _solve


class _LU(PreparedMethod):
    direct = True
    factorizations = 1

    def __init__(self, operator: Operator, lower: int, upper: int) -> None:
        self._lower, self._upper = lower, upper
        bands = _bands(operator.entries, 2 * lower + upper + 1, lower + upper)
        self._factor, self._pivots, failed = dgbtrf(bands, lower, upper, overwrite_ab=1)
        self.bytes_estimate = bands.nbytes
        if failed > 0:
            raise SingularSystem(
                f"the matrix is singular: pivot {failed - 1} is exactly zero.",
                where="solver 'banded', prepare",
                fix="look for an empty or dependent row; fix the gauge (a pinned unknown).",
            )

    def _solve(self, b: Array, rtol: Array) -> Attempt:
        return self._substitute(b, 0)

    def _solve_adjoint(self, b: Array, rtol: Array) -> Attempt:
        return self._substitute(b, 1)

    def _substitute(self, b: Array, transposed: int) -> Attempt:
        x, _ = dgbtrs(self._factor, self._lower, self._upper, b, self._pivots, trans=transposed)
        return Attempt(np.ascontiguousarray(x))


def _bands(entries: Any, rows: int, main: int) -> NDArray[np.float64]:
    """Return the entries by diagonals, (rows, n), the main one in row ``main``; Fortran order."""
    columns = np.zeros((entries.shape[0], rows))
    csr.fill_bands(entries.indptr, entries.indices, entries.data, main, columns)
    return columns.T
