"""The contract of linear solvers: what one declares, what one writes, what is done for all.

A plug-in is a `Solver` with `needs` and `_prepare`, which returns a `PreparedMethod` with `_solve`
and `_solve_adjoint`. All else happens here, the same for every solver: inputs are checked, columns
normalised, the *true* residual b − A x is recomputed and decides, what is left of it is solved for
again while that helps, time is taken, and the report is written.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final, final

import numpy as np

from ..errors import ShapeError, SparseImplicitError, StructureError
from ..kernels.vectors import fingerprint
from .checks import backend_errors, check_rtol, checked_columns
from .evidence import keep_evidence
from .method import Empty, Needs, PreparedMethod
from .operator import Array, Operator, Structure
from .refinement import Probed, Refinement
from .reports import LinearSolution, PreparationReport, Reason, SolveReport, failure


class Solver(ABC):
    """A method for linear systems. `Solver().prepare(A)` makes a `PreparedSystem`."""

    name: ClassVar[str]
    needs: Needs
    extra: ClassVar[str | None] = None

    @property
    def label(self) -> str:
        """Name for reports, with the preconditioner where there is one."""
        return self.name

    @final
    def prepare(self, matrix: Any, *, analysis: Any = None, because: str = "") -> PreparedSystem:
        """Do the costly work for a matrix, once.

        Parameters
        ----------
        matrix : sparse or dense array, LinearOperator or Operator, shape (n, n)
        analysis : optional
            `PreparedSystem.analysis` of a neighbouring matrix. Patterns are compared in full;
            one that does not fit is not used, and the report tells.
        because : str
            Why this solver was chosen, for the report.

        Raises
        ------
        StructureError, NotPositiveDefinite, SingularSystem, MissingBackend, MemoryBudgetExceeded
        """
        operator = matrix if isinstance(matrix, Operator) else Operator(matrix)
        check_needs(self.label, self.needs, operator)
        started = time.perf_counter()
        try:
            with backend_errors(f"solver '{self.label}', prepare"):
                method = self._prepare(operator, analysis) if operator.n else Empty()
        except SparseImplicitError as error:
            keep_evidence(error, operator, self.label)
            raise
        seconds = time.perf_counter() - started
        report = PreparationReport(
            solver=self.label,
            because=because,
            n=operator.n,
            nonzeros=None if operator.entries is None else operator.entries.nnz,
            analyses=method.analyses,
            factorizations=method.factorizations,
            reused=method.reused,
            bytes_estimate=method.bytes_estimate,
            seconds={"prepare": seconds},
        )
        return PreparedSystem(self, operator, method, report)

    @abstractmethod
    def _prepare(self, operator: Operator, analysis: Any) -> PreparedMethod:
        """Prepare a checked matrix of at least one unknown, reusing an analysis that fits."""

    def __repr__(self) -> str:
        """Name the method."""
        return f"<solver {self.label}>"


@final
class PreparedSystem:
    """A matrix with all that was prepared for it; made by `Solver.prepare`, never changed.

    Attributes
    ----------
    operator : Operator
    solver : Solver
    report : PreparationReport
    """

    def __init__(
        self, solver: Solver, operator: Operator, method: PreparedMethod, report: PreparationReport
    ) -> None:
        self.solver: Final = solver
        self.operator: Final = operator
        self.method: Final = method
        self.report: Final = report
        self._probed: Final = Probed(operator, method, solver.label)
        costly = method.factorizations > 0 and operator.entries is not None
        self._fingerprint: Final = fingerprint(operator.entries.data) if costly else None

    def is_of(self, operator: Operator) -> bool:
        """Whether a costly preparation of a matrix would be this one again, to the bit.

        All entries are compared; and their fingerprint with that of when this was prepared, for an
        array that its owner writes anew for each matrix is the same array, of other values.
        """
        mine = self.operator
        if self._fingerprint is None or operator.preconditioning_entries is not operator.entries:
            return False
        if (mine.structure, mine.grid) != (operator.structure, operator.grid):
            return False
        if not mine.same_pattern(operator):
            return False
        old, new = mine.source.data, operator.source.data  # entries, for both have a pattern
        return (old is new or np.array_equal(old, new)) and fingerprint(new) == self._fingerprint

    @property
    def seconds_inside(self) -> float:
        """The method's own seconds in all solves so far."""
        return self._probed.seconds

    @property
    def seconds_each(self) -> float:
        """The method's own seconds for a column, of all that a direct method has solved so far."""
        return self._probed.seconds / max(self._probed.columns, 1)

    @property
    def analysis(self) -> Any:
        """What `prepare(A, analysis=)` of a matrix with the same pattern can take over."""
        return self.method.analysis

    def solve(
        self, b: Any, *, rtol: float = 1e-8, strict: bool = True, start: Array | None = None
    ) -> LinearSolution:
        """Solve A x = b for one right-hand side (n,) or k of them as columns (n, k), in one call.

        Parameters
        ----------
        b : array, shape (n,) or (n, k)
        rtol : float
            Bound on the true relative residual ‖b − A x‖ / ‖b‖ of every column.
        strict : bool
            Raise when it is missed; with False look at ``report.converged``.
        start : array of b's shape, optional
            First guess.

        Raises
        ------
        ShapeError, NonFinite
            If b does not fit or is not finite.
        NotConverged, NotPositiveDefinite, SingularSystem
            If the residual misses rtol, by the reason found; ``error.best`` has the best iterate.
        """
        return self._run(b, rtol, strict, start, transposed=False)

    def solve_adjoint(
        self, b: Any, *, rtol: float = 1e-8, strict: bool = True, start: Array | None = None
    ) -> LinearSolution:
        """Solve Aᵀ x = b with what was prepared for A; see `solve`."""
        return self._run(b, rtol, strict, start, transposed=True)

    def refresh(self, matrix: Any, *, because: str = "") -> PreparedSystem:
        """Prepare a neighbouring matrix, taking over what a shared pattern allows.

        The old system stays as it is and can still solve.
        """
        operator = Operator(matrix, structure=_declared(matrix, self.operator))
        return self.solver.prepare(
            operator, analysis=self.analysis, because=because or self.report.because
        )

    def _run(
        self, b: Any, rtol: float, strict: bool, start: Array | None, *, transposed: bool
    ) -> LinearSolution:
        started = time.perf_counter()
        where = f"solver '{self.solver.label}', {'adjoint ' if transposed else ''}solve"
        check_rtol(rtol, where)
        rhs = checked_columns(b, self.operator.n, "the right-hand side", where)
        first = None
        if start is not None:
            first = checked_columns(start, self.operator.n, "the first guess", where)
            if first.shape != rhs.shape:
                raise ShapeError(
                    f"the first guess has shape {np.shape(start)}, b {np.shape(b)}.", where=where
                )
        run = Refinement(self._probed, transposed).run(rhs, rtol, first)
        value = run.value.reshape(np.shape(b))
        report = SolveReport(
            solver=self.solver.label,
            because=self.report.because,
            transposed=transposed,
            columns=rhs.shape[1],
            rtol=float(rtol),
            residual_before=run.before,
            residual=run.residual,
            converged=run.reason is Reason.CONVERGED,
            reason=run.reason,
            iterations=run.iterations,
            refinements=run.refinements,
            condition_at_least=self._probed.condition,
            seconds=time.perf_counter() - started,
        )
        if strict and not report.converged:
            error = failure(report, value, where)
            keep_evidence(
                error, self.operator, self.solver.label, np.array(b), rtol=float(rtol),
                transposed=transposed, report=report.to_dict(),
            )  # fmt: skip
            raise error
        return LinearSolution(value, report)

    def __repr__(self) -> str:
        """Name the solver and the matrix."""
        return f"PreparedSystem({self.solver.label}, {self.operator!r})"


def check_needs(label: str, needs: Needs, operator: Operator) -> None:
    """Refuse a matrix that a method is not right for."""
    if needs.entries and operator.entries is None:
        raise StructureError(
            f"solver '{label}' works on the entries of the matrix; this one gives products alone.",
            where=f"solver '{label}', prepare",
            fix="give a sparse matrix; or use 'cg', 'minres' or 'gmres', with "
            "Operator(..., precondition_from=M).",
        )
    if needs.structure.symmetric and not operator.structure.symmetric:
        known = "declared" if operator.entries is None else "found"
        raise StructureError(
            f"solver '{label}' is right for symmetric matrices only; this one is {known} general.",
            where=f"solver '{label}', prepare",
            fix="declare Operator(A, structure=Structure.POSITIVE_DEFINITE) if it is so, or use "
            "'superlu' or 'gmres'.",
        )


def _declared(matrix: Any, neighbour: Operator) -> Structure | None:
    return matrix.structure if isinstance(matrix, Operator) else neighbour.structure
