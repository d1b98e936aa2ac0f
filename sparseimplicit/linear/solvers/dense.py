"""Dense factorizations by LAPACK: the oracle, and the best choice for a few hundred unknowns."""

from __future__ import annotations

import warnings
from typing import ClassVar

import numpy as np
import scipy.linalg

from ...errors import MemoryBudgetExceeded, NotPositiveDefinite, SingularSystem
from ..contract import Solver
from ..memory import available_bytes, told_bytes
from ..method import Attempt, Needs, PreparedMethod
from ..operator import Array, Operator, Structure


class Dense(Solver):
    """LU with partial pivoting, or Cholesky for a matrix declared positive definite.

    Cost: n²·8 bytes, 2n³/3 or n³/3 operations; asked for by name only above a few hundred
    unknowns. Source: LAPACK getrf/getrs, potrf/potrs through scipy.linalg.
    """

    name: ClassVar[str] = "dense"
    needs = Needs()

    def _prepare(self, operator: Operator, analysis: object) -> PreparedMethod:
        needed = 2 * 8 * operator.n**2
        if needed > available_bytes():
            raise MemoryBudgetExceeded(
                f"a dense factorization of {operator.n} unknowns needs {told_bytes(needed)}, "
                f"{told_bytes(available_bytes())} are available.",
                where="solver 'dense', prepare",
                fix="use a sparse solver: 'auto', 'cholmod', 'superlu', 'cg'.",
            )
        assert operator.entries is not None  # noqa: S101 - held by `needs`
        matrix = operator.entries.toarray()
        if operator.structure is Structure.POSITIVE_DEFINITE:
            return _DenseCholesky(matrix)
        return _DenseLU(matrix)


class _DenseCholesky(PreparedMethod):
    direct = True
    factorizations = 1

    def __init__(self, matrix: Array) -> None:
        factor, info = scipy.linalg.lapack.dpotrf(matrix, lower=1)
        if info > 0:
            raise NotPositiveDefinite(
                f"the matrix is not positive definite (Cholesky stopped at column {info - 1} of "
                f"{len(matrix)}).",
                unknown=info - 1,
                where="solver 'dense', prepare",
                fix="declare Structure.SYMMETRIC if it may be indefinite.",
            )
        self._factor = factor
        self.bytes_estimate = factor.nbytes

    def _solve(self, b: Array, rtol: Array) -> Attempt:
        return Attempt(scipy.linalg.cho_solve((self._factor, True), b, check_finite=False))

    _solve_adjoint = _solve


class _DenseLU(PreparedMethod):
    direct = True
    factorizations = 1

    def __init__(self, matrix: Array) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", scipy.linalg.LinAlgWarning)  # looked at just below
            self._factor = scipy.linalg.lu_factor(matrix, check_finite=False)
        self.bytes_estimate = self._factor[0].nbytes
        pivots = np.abs(np.diag(self._factor[0]))
        if pivots.min() == 0.0:
            raise SingularSystem(
                f"the matrix is singular: pivot {int(np.argmin(pivots))} of {len(pivots)} is 0.",
                where="solver 'dense', prepare",
                fix="look for an empty or dependent row.",
            )

    def _solve(self, b: Array, rtol: Array) -> Attempt:
        return Attempt(scipy.linalg.lu_solve(self._factor, b, check_finite=False))

    def _solve_adjoint(self, b: Array, rtol: Array) -> Attempt:
        return Attempt(scipy.linalg.lu_solve(self._factor, b, trans=1, check_finite=False))
