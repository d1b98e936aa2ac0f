"""The contract of linear solvers: what one declares, what one writes, what is done for all.

A plug-in is a `Solver` with `needs` and `_prepare`, which returns a `PreparedMethod` with `_solve`
and `_solve_adjoint`. All else happens here, the same for every solver: inputs are checked, columns
normalised, the *true* residual b − A x is recomputed and decides, what is left of it is solved for
again while that helps, time is taken, and the report is written.
"""

from __future__ import annotations

import dataclasses
import enum
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from ..errors import (
    MemoryBudgetExceeded,
    NonFinite,
    NotConverged,
    NotPositiveDefinite,
    ShapeError,
    SingularSystem,
    SparseImplicitError,
    StructureError,
)
from ..report import Report
from .operator import Array, Operator, Structure, column_norms, norm
from .preconditioning import PreparedPreconditioner

# A direct solve with a random right-hand side that grows it by more than this, in units of
# 1/(‖A‖ √n), proves the matrix singular to working precision: a condition number above 1e14
# leaves no digit that one would call a gradient.
SINGULAR_GROWTH: Final = 1e14
MAX_REFINEMENTS: Final = 10


class Reason(enum.Enum):
    """Why a solve stopped."""

    CONVERGED = "the true residual met its tolerance"
    MAX_ITERATIONS = "the iterations allowed were used up"
    STAGNATED = "the true residual no longer fell"
    NEGATIVE_CURVATURE = "a direction of curvature ≤ 0 was met"


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
    """What a method's `_solve` hands back, before anybody believes it."""

    value: Array
    iterations: int = 0
    reason: Reason = Reason.CONVERGED


@dataclass(frozen=True, kw_only=True)
class PreparationReport(Report):
    """What preparing a matrix took.

    analyses, factorizations: numbers of symbolic analyses and numeric factorizations (or
    hierarchies) made. reused: what was taken over from a neighbouring matrix.
    """

    solver: str
    because: str = ""
    n: int
    nonzeros: int | None
    analyses: int = 0
    factorizations: int = 0
    reused: str | None = None
    bytes_estimate: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SolveReport(Report):
    """What a solve did, and how well: residuals are recomputed, ‖b − A x‖ / ‖b‖, worst column.

    condition_at_least: a measured lower bound of the condition number (direct methods).
    """

    solver: str
    because: str = ""
    transposed: bool
    columns: int
    rtol: float
    residual_before: float
    residual: float
    converged: bool
    reason: Reason
    iterations: int
    refinements: int
    condition_at_least: float | None = None
    seconds: float


@dataclass(frozen=True)
class LinearSolution:
    """The answer of a solve, `value` of the shape of b, and its `report`."""

    value: Array
    report: SolveReport


class PreparedMethod(ABC):
    """A method ready for one matrix: a factorization, a preconditioner with its Krylov method.

    direct : the answer does not depend on a tolerance.
    analysis : what a matrix with the same pattern can take over, or None.
    """

    direct: ClassVar[bool] = False
    analysis: Any = None
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
        self, b: Array, apply: Callable[[Array, Array], Attempt], rtol: Array
    ) -> Attempt:
        """Run a direct method, its first time with one random column more to measure ‖A⁻¹‖.

        ‖A‖ ‖A⁻¹z‖ / ‖z‖ is a lower bound of the condition number. It costs one column of the
        first solve, and unmasks a singular matrix that a factorization with a pivot of rounding
        size let pass: its residual can be small while the answer is arbitrary along the null
        vector.
        """
        if self._condition is not None or not self.method.direct:
            return apply(b, rtol)
        probe = np.random.default_rng(0).standard_normal(self.operator.n)
        probe /= np.linalg.norm(probe)
        attempt = apply(np.column_stack([b, probe]), np.append(rtol, 1.0))
        growth = norm(attempt.value[:, -1]) * self.operator.size_estimate()
        self._condition = growth
        if not np.isfinite(growth) or growth * np.sqrt(self.operator.n) > SINGULAR_GROWTH:
            raise SingularSystem(
                "the matrix is singular to working precision: a random right-hand side of norm 1 "
                f"is answered by one of norm {growth:.1e}/‖A‖.",
                where=f"solver '{self.solver.label}'",
                fix="fix the gauge (a pinned unknown, a mean value), or add the missing term; an "
                "empty or dependent row is the usual cause.",
            )
        return dataclasses.replace(attempt, value=np.ascontiguousarray(attempt.value[:, :-1]))

    def __repr__(self) -> str:
        """Name the solver and the matrix."""
        return f"PreparedSystem({self.solver.label}, {self.operator!r})"


class _Refinement:
    """Solve, recompute the residual, and solve for what is left while that helps."""

    def __init__(self, system: PreparedSystem, transposed: bool) -> None:
        operator, method = system.operator, system.method
        self.system = system
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
            result = self.system._with_probe(np.ascontiguousarray(left / size), self.attempt, goal)
        self.iterations += result.iterations
        if np.isfinite(result.value).all():
            x[:, active] += result.value * size
        elif result.reason is Reason.CONVERGED:
            return Reason.STAGNATED
        return result.reason


class _Empty(PreparedMethod):
    """The system of no unknowns."""

    direct = True

    def _solve(self, b: Array, rtol: Array) -> Attempt:
        return Attempt(b)

    def _solve_adjoint(self, b: Array, rtol: Array) -> Attempt:
        return Attempt(b)


@contextmanager
def backend_errors(where: str) -> Iterator[None]:
    """Turn what a backend raises into an error of ours: the last resort, after a plug-in's own."""
    try:
        yield
    except SparseImplicitError:
        raise
    except MemoryError as error:
        raise MemoryBudgetExceeded(
            f"memory ran out ({error}).",
            where=where,
            fix="use a solver that needs less: 'cg+jacobi', 'cg+amg', 'gmres'.",
        ) from error
    except (ArithmeticError, RuntimeError, ValueError, np.linalg.LinAlgError) as error:
        raise SparseImplicitError(
            f"the backend failed: {type(error).__name__}: {error}",
            where=where,
            fix="try another solver; if the matrix is sound, this is a bug worth reporting.",
        ) from error


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


def check_rtol(rtol: float, where: str) -> None:
    """Refuse a tolerance that is not a positive number."""
    if not isinstance(rtol, int | float | np.number) or not 0 < float(rtol) < np.inf:
        raise ShapeError(
            f"rtol must be a positive number, got {rtol!r}.",
            where=where,
            fix="it bounds the relative residual; 1e-8 is the default.",
        )


def checked_columns(b: Any, n: int, name: str, where: str) -> Array:
    """Return b (n,) or (n, k) as a new C-ordered float64 array (n, k); refuse all else."""
    if np.iscomplexobj(b):
        raise ShapeError(
            f"{name} is complex; systems here are real.",
            where=where,
            fix="solve for real and imaginary part, as two columns.",
        )
    try:
        rhs = np.array(b, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{name} is no array of numbers ({error}).", where=where) from error
    if rhs.ndim not in (1, 2) or rhs.shape[0] != n:
        raise ShapeError(
            f"{name} has shape {np.shape(b)}; the matrix has {n} unknowns.",
            where=where,
            fix=f"give shape ({n},), or ({n}, k) for k columns.",
        )
    if not np.isfinite(rhs).all():
        place = np.unravel_index(int(np.argmin(np.isfinite(rhs))), rhs.shape)
        raise NonFinite(
            f"{name} holds {rhs[place]} at {tuple(int(i) for i in place)}.",
            where=where,
            fix="find where it was computed: a division, root or logarithm near 0, or a bad input.",
        )
    return rhs.reshape(n, -1) if n else rhs.reshape(0, rhs.shape[1] if rhs.ndim == 2 else 1)


def failure(report: SolveReport, best: Array, where: str) -> Exception:
    """Return the error for a solve that missed its tolerance."""
    if report.reason is Reason.NEGATIVE_CURVATURE:
        error: Exception = NotPositiveDefinite(
            "the matrix is not positive definite: a search direction of curvature ≤ 0 was met "
            f"after {report.iterations} iterations.",
            where=f"{where}, residual {report.residual:.1e} (rtol {report.rtol:.1e})",
            fix="at an argmin: y is no strict minimiser, lower the `rtol` of the forward solve; "
            "otherwise declare Structure.SYMMETRIC, which selects MINRES or a direct solver.",
        )
    else:
        error = NotConverged(
            f"the linear solve stopped at a true relative residual of {report.residual:.1e}, its "
            f"rtol is {report.rtol:.1e}: {report.reason.value} ({report.iterations} iterations).",
            best=best,
            report=report,
            where=where,
            fix="use a better preconditioner ('cg+amg', 'gmres+ilu') or a direct solver, raise "
            "rtol or max_iterations; an rtol near 1e-16 times the condition number is out of "
            "reach.",
        )
    return error


def _declared(matrix: Any, neighbour: Operator) -> Structure | None:
    return matrix.structure if isinstance(matrix, Operator) else neighbour.structure
