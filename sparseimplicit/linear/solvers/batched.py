"""Many small positive definite systems in one parallel call: patches, blocks, time series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...errors import MemoryBudgetExceeded, NotPositiveDefinite
from ...kernels import batches
from ..blocks import Batch, batch_of
from ..contract import Solver
from ..memory import available_bytes, told_bytes
from ..method import Attempt, Needs, PreparedMethod
from ..operator import Array, Operator, Structure


class Batched(Solver):
    """L Lᵀ of each system that the matrix falls into, eight side by side, over all cores.

    The systems are the connected components, wherever their unknowns stand; of each the band is
    kept. For dense systems see `block_diagonal`. A matrix that does not fall apart is one system,
    for which other solvers are better.

    Notes
    -----
    With m systems of n unknowns and b bands: m n b² operations, 8 m n (b + 1) bytes. An analysis
    (which unknown goes where) serves every matrix of the same pattern.
    """

    name: ClassVar[str] = "batched"
    needs = Needs(structure=Structure.SYMMETRIC, definite=True)

    def _prepare(self, operator: Operator, analysis: object) -> PreparedMethod:
        taken = isinstance(analysis, Analysis) and analysis.operator.same_pattern(operator)
        found = analysis if isinstance(analysis, Analysis) and taken else analysis_of(operator)
        batch = found.batch
        needed, budget = 8 * batch.numbers, available_bytes()
        if needed > budget:
            raise MemoryBudgetExceeded(
                f"the factors of {batch.count} systems need {told_bytes(needed)}; "
                f"{told_bytes(budget)} are available.",
                where="solver 'batched', prepare",
                fix="use a solver for one large matrix: 'auto', 'cholmod', 'cg'.",
            )
        return _Factors(operator, batch, reused="symbolic analysis" if taken else None)


@dataclass(frozen=True)
class Analysis:
    """Where the unknowns of a pattern go."""

    operator: Operator
    batch: Batch


def analysis_of(operator: Operator) -> Analysis:
    """Find the systems of a matrix, for `Batched().prepare(A, analysis=)`."""
    return Analysis(operator, batch_of(operator.entries))


class _Factors(PreparedMethod):
    direct = True
    factorizations = 1

    def __init__(self, operator: Operator, batch: Batch, reused: str | None) -> None:
        self._batch = batch
        self._factor = np.empty(batch.numbers)
        self.bytes_estimate = self._factor.nbytes
        self.analysis = Analysis(operator, batch)
        self.analyses, self.reused = int(reused is None), reused
        entries = operator.entries
        failed = batches.factorize(
            entries.indptr, entries.indices, entries.data, batch.members, batch.first,
            batch.place, batch.size, batch.band, batch.offset, self._factor,
        )  # fmt: skip
        if failed >= 0:
            raise NotPositiveDefinite(
                f"the matrix is not positive definite (Cholesky stopped at unknown {failed} of "
                f"{operator.n}).",
                unknown=failed,
                where="solver 'batched', prepare",
                fix="at an argmin: y is no strict minimiser, lower the `rtol` of the forward "
                "solve; or use 'banded' or 'pardiso' for an indefinite matrix.",
            )

    def _solve(self, b: Array, rtol: Array) -> Attempt:
        batch, x = self._batch, np.empty(b.shape)
        batches.solve(
            self._factor, batch.members, batch.first, batch.size, batch.band, batch.offset, b, x
        )
        return Attempt(x)

    _solve_adjoint = _solve
