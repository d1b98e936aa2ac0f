"""The contract of linear solvers: what one declares, what one writes, what is done for all.

A plug-in is a `Solver` with `needs` and `_prepare`, which returns a `PreparedMethod` with `_solve`
and `_solve_adjoint`. All else happens here, the same for every solver: inputs are checked, columns
normalised, the *true* residual b − A x is recomputed and decides, what is left of it is solved for
again while that helps, time is taken, and the report is written.
"""

from __future__ import annotations

import dataclasses
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from ..errors import (
    ShapeError,
    SingularSystem,
    StructureError,
)
from .checks import backend_errors, check_rtol, checked_columns
from .operator import Array, Operator, Structure, column_norms, norm
from .preconditioning import PreparedPreconditioner
from .reports import LinearSolution, PreparationReport, Reason, SolveReport, failure

# Of the equilibrated matrix, ‖A‖ ‖A⁻¹z‖ √n / ‖z‖ for a random z above this proves it singular to
# working precision: a condition number above 1e14 leaves no digit that one would call a gradient.
SINGULAR_GROWTH: Final = 1e14
MAX_REFINEMENTS: Final = 10


@dataclass(frozen=True)
class Needs:
    """What a method relies on, as data that can be read without its backend.

    structure : the weakest structure it is right for.
    definite : it wants a positive definite matrix, and finds out itself when it is not.
    entries : it wants the entries, not products alone.
    preconditioning_entries : it wants them, or those of a matrix to precondition from.
    """

    structure: Structure = Structure.GENERAL
    definite: bool = False
    entries: bool = True
    preconditioning_entries: bool = False


@dataclass(frozen=True)
class Attempt:
    """What a method's `_solve` hands back, before anybody believes it.

    spectrum: bounds from inside, (smallest, largest), of the eigenvalues of M⁻¹A, where it has
    met them on its way. residuals: relative, of the worst column, by its own recursion.
    """

    value: Array
    iterations: int = 0
    reason: Reason = Reason.CONVERGED
    spectrum: tuple[float, float] | None = None
    residuals: tuple[float, ...] = ()


class PreparedMethod(ABC):
    """A method ready for one matrix: a factorization, a preconditioner with its Krylov method.

    direct : the answer does not depend on a tolerance.
    analysis : what a matrix with the same pattern can take over, or None.
    perturbed : pivots near zero that were replaced by larger ones.
    """

    direct: ClassVar[bool] = False
    analysis: Any = None
    perturbed: int = 0
    analyses: int = 0
    factorizations: int = 0
    reused: str | None = None
    bytes_estimate: int | None = None

    @abstractmethod
    def _solve(self, b: Array, rtol: Array) -> Attempt:
        """Approximate A⁻¹ b for b (n, k) with columns of norm 1, to rtol (k,) each."""

    @abstractmethod
    def _solve_adjoint(self, b: Array, rtol: Array) -> Attempt:
        """The same for A⁻ᵀ b."""

    def as_preconditioner(self) -> PreparedPreconditioner | None:
        """Return what preconditions a neighbouring matrix: the factor itself, where direct."""
        return _Inverse(self) if self.direct else None


@final
class _Inverse(PreparedPreconditioner):
    """A direct method as preconditioner."""

    def __init__(self, method: PreparedMethod) -> None:
        self._method = method
        self.bytes_estimate = method.bytes_estimate

    def apply(self, r: Array) -> Array:
        return self._method._solve(r, np.ones(r.shape[1])).value

    def apply_transpose(self, r: Array) -> Array:
        return self._method._solve_adjoint(r, np.ones(r.shape[1])).value


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
        with backend_errors(f"solver '{self.label}', prepare"):
            method = self._prepare(operator, analysis) if operator.n else _Empty()
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
        self._condition: float | None = None
        self.seconds_inside = 0.0  # of the method's own work in all solves so far

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
        run = _Refinement(self, transposed).run(rhs, rtol, first)
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
            condition_at_least=self._condition,
            seconds=time.perf_counter() - started,
        )
        if strict and not report.converged:
            raise failure(report, value, where)
        return LinearSolution(value, report)

    def _with_probe(
        self, b: Array, rtol: Array, apply: Callable[[Array, Array], Attempt], transposed: bool
    ) -> Attempt:
        """Run a direct method, its first time with one random column more to measure ‖A⁻¹‖.

        ‖Ã‖ ‖Ã⁻¹z‖ / ‖z‖ is a lower bound of the condition number of the equilibrated Ã, which
        units do not change. It costs one column of the first solve, and unmasks a singular matrix
        that a factorization with a pivot of rounding size let pass: its residual can be small
        while the answer is arbitrary along the null vector.
        """
        if self._condition is not None or not self.method.direct:
            return apply(b, rtol)
        rows, columns, size = self.operator.equilibration()
        if transposed:
            rows, columns = columns, rows
        probe = rows * np.random.default_rng(0).standard_normal(self.operator.n)
        length = norm(probe)
        attempt = apply(np.column_stack([b, probe / length]), np.append(rtol, 1.0))
        root = np.sqrt(self.operator.n)
        growth = size * norm(columns * attempt.value[:, -1]) * (length / root)
        self._condition = growth
        if not growth * root <= SINGULAR_GROWTH or (
            self.method.perturbed and not self._refinable(apply, probe / length, transposed)
        ):
            raise SingularSystem(
                "the matrix is singular to working precision: its condition number, rows and "
                f"columns brought to size 1, is at least {growth:.1e}.",
                where=f"solver '{self.solver.label}'",
                fix="fix the gauge (a pinned unknown, a mean value), or add the missing term; "
                "si.linear.diagnose(A) names the null vectors; on_singular='min_norm' takes the "
                "solution without them.",
            )
        return dataclasses.replace(attempt, value=np.ascontiguousarray(attempt.value[:, :-1]))

    def _refinable(
        self, apply: Callable[[Array, Array], Attempt], b: Array, transposed: bool
    ) -> bool:
        """Whether a random right-hand side can be solved for, with the pivots as they were made.

        A singular matrix admits none: its residual keeps the part along the left null vector.
        """
        product = self.operator.apply_transpose if transposed else self.operator.apply
        x = np.zeros_like(b)
        for _ in range(MAX_REFINEMENTS):
            left = b - product(x)
            if norm(left) < 1e-6 / np.sqrt(self.operator.n):
                return True
            x += apply(left[:, None], np.ones(1)).value[:, 0]
        return False

    def __repr__(self) -> str:
        """Name the solver and the matrix."""
        return f"PreparedSystem({self.solver.label}, {self.operator!r})"


class _Refinement:
    """Solve, recompute the residual, and solve for what is left while that helps."""

    def __init__(self, system: PreparedSystem, transposed: bool) -> None:
        operator, method = system.operator, system.method
        self.system = system
        self.transposed = transposed
        self.apply = operator.apply_transpose if transposed else operator.apply
        self.attempt = method._solve_adjoint if transposed else method._solve
        self.value: Array = np.zeros(0)
        self.before = self.residual = 0.0
        self.iterations = self.refinements = 0
        self.reason = Reason.CONVERGED

    def run(self, rhs: Array, rtol: float, first: Array | None) -> _Refinement:
        """Work on columns of norm 1; a zero column is its own answer."""
        norms = column_norms(rhs)
        unit = np.where(norms > 0, norms, 1.0)
        b = rhs / unit
        x = np.zeros_like(b) if first is None else first / unit
        left = b.copy() if first is None else b - self.apply(x)
        size = column_norms(left)
        self.before = float(size.max(initial=0.0))
        while (active := np.flatnonzero(~(size <= rtol))).size:
            reason = self._improve(x, left[:, active], size[active], rtol, active)
            # The products are recomputed from x: nothing a method says of itself is believed.
            left_new = b - self.apply(x)
            size_new = column_norms(left_new)
            worse = ~(size_new <= 0.5 * size) & ~(size_new <= rtol)
            left, size = left_new, size_new
            if reason is not Reason.CONVERGED:
                self.reason = reason
            elif worse[active].any() or self.refinements >= MAX_REFINEMENTS:
                self.reason = Reason.STAGNATED
            if self.reason is not Reason.CONVERGED:
                break
            self.refinements += 1
        self.residual = float(size.max(initial=0.0))
        if self.residual <= rtol:
            self.reason = Reason.CONVERGED
        self.refinements = max(self.refinements - 1, 0)
        self.value = x * unit
        return self

    def _improve(
        self, x: Array, left: Array, size: Array, rtol: float, active: NDArray[np.intp]
    ) -> Reason:
        # 0.9: the recursive residual of a Krylov method drifts from the true one.
        goal = np.minimum(0.9 * rtol / size, 0.5)
        with backend_errors(f"solver '{self.system.solver.label}', solve"):
            b = np.ascontiguousarray(left / size)
            result = self.system._with_probe(b, goal, self._timed, self.transposed)
        self.iterations += result.iterations
        if np.isfinite(result.value).all():
            x[:, active] += result.value * size
        elif result.reason is Reason.CONVERGED:
            return Reason.STAGNATED
        return result.reason

    def _timed(self, b: Array, rtol: Array) -> Attempt:
        started = time.perf_counter()
        result = self.attempt(b, rtol)
        self.system.seconds_inside += time.perf_counter() - started
        return result


class _Empty(PreparedMethod):
    """The system of no unknowns."""

    direct = True

    def _solve(self, b: Array, rtol: Array) -> Attempt:
        return Attempt(b)

    def _solve_adjoint(self, b: Array, rtol: Array) -> Attempt:
        return Attempt(b)


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
