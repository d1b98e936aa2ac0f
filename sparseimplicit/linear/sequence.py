"""A sequence of neighbouring matrices: factorize anew, or go on with what is there.

Between Newton steps and outer steps a matrix changes a little, or a lot. The engine measures what
a fresh preparation and an iteration with the old one cost, foretells the iterations from how much
the matrix has changed and from how the last ones went, and takes the cheaper way. A wrong guess is
noticed after a few iterations; once such guesses have cost a twenty-fifth of all the time, none is
made until they no longer do.
"""

from __future__ import annotations

import dataclasses
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..errors import NotPositiveDefinite, SingularSystem, StructureError
from .causes import causes_told
from .contract import PreparedSystem, Solver
from .operator import Array, Operator, Structure
from .preconditioners import Lagged
from .registry import solver_named
from .reports import LinearSolution, Reason
from .solvers import CG, GMRES

WASTE: Final = 0.04  # of all time so far: what trials in vain may have cost
TRIAL: Final = 4  # iterations after which a trial in vain is given up
WORTHLESS: Final = 0.01  # seconds: where a preparation takes less, there is nothing to gain


@dataclass(frozen=True)
class Step:
    """What was done for one matrix: ``action`` is ``"prepared"`` or ``"reused"``; why; its cost.

    change: largest over smallest ratio of the new diagonal to that of the matrix prepared last.
    iterations: of the solve. in_vain: seconds of a trial that was given up before.
    """

    action: str
    because: str
    change: float
    iterations: int
    prepare_seconds: float
    solve_seconds: float
    in_vain: float = 0.0


class Sequence:
    """Solve with one matrix after another, reusing what was prepared where that pays.

    Parameters
    ----------
    solver : str or Solver
        What prepares a matrix, or its name.
    because : str
        Why it was chosen, for the reports.
    analysis : optional
        Symbolic work for the first matrix: `PreparedSystem.analysis`, `Choice.analysis`.
    reuse : bool
        False prepares every matrix anew (on the stored analysis), unless it is the one before.
    prepared : PreparedSystem, optional
        Of an earlier matrix, to begin with.

    Attributes
    ----------
    steps : list of Step
        Every decision, with its reason and what it cost.
    system : PreparedSystem or None
        What answered last.

    Examples
    --------
    >>> import numpy as np, sparseimplicit as si
    >>> sequence = si.linear.Sequence(si.linear.SuperLU(), reuse=False)
    >>> for weight in (1.0, 1.1, 1.2):
    ...     x = sequence.solve(si.linear.Operator(weight * np.eye(3)), np.ones(3)).value
    >>> [step.action for step in sequence.steps]
    ['prepared', 'prepared', 'prepared']
    """

    def __init__(
        self,
        solver: str | Solver,
        *,
        because: str = "",
        analysis: Any = None,
        reuse: bool = True,
        prepared: PreparedSystem | None = None,
    ) -> None:
        if solver == "auto" or not isinstance(solver, str | Solver):
            raise StructureError(
                f"a sequence needs a solver before its first matrix, got {solver!r}.",
                where="Sequence",
                fix="give a solver or its name; choose(A).solver is what 'auto' would take.",
            )
        self.solver: Final = solver_named(solver) if isinstance(solver, str) else solver
        self.because: Final = because
        self.reuse: Final = reuse
        self.steps: list[Step] = []
        self.system: PreparedSystem | None = None
        self._root: PreparedSystem | None = prepared  # of the matrix prepared last
        self._analysis = analysis
        self._preparing = 0.0  # seconds of the last preparation, its analysis already there
        self._fresh = 0.0  # seconds of the same and its solve
        self._own = (0, 1.0)  # iterations of that solve, and to which accuracy
        self._iteration = 0.0  # seconds of an iteration with the old one
        self._slower = 1.0  # iterations found, over those foretold
        self._wait = 0  # matrices for which no trial is made, after one in vain
        self._patience = 1
        self._first_iterations = self._last_iterations = 0

    @property
    def analysis(self) -> Any:
        """Symbolic work that a new sequence of the same pattern can start from."""
        return self._analysis if self._root is None else self._root.analysis

    @property
    def prepared(self) -> PreparedSystem | None:
        """What was prepared last, of a matrix that may be an earlier one."""
        return self._root

    def solve(
        self,
        matrix: Any,
        b: Array,
        *,
        rtol: float = 1e-8,
        strict: bool = True,
        transpose: bool = False,
    ) -> LinearSolution:
        """Solve with the next matrix, by the way that looks cheaper.

        Parameters
        ----------
        matrix : sparse or dense array, LinearOperator or Operator, shape (n, n)
        b : array, shape (n,) or (n, k)
        rtol : float
            Bound on the true relative residual, whichever way is taken.
        strict : bool
            Raise when it is missed after all.
        transpose : bool

        Raises
        ------
        NotConverged, NotPositiveDefinite, SingularSystem, ShapeError, NonFinite
        """
        operator = matrix if isinstance(matrix, Operator) else Operator(matrix)
        if self._root is not None and self._root.is_of(operator):
            return self._solve_again(self._root, b, rtol, strict, transpose)
        change = self._change(operator)
        limit, why = self._affordable(operator, change, rtol)
        in_vain = 0.0
        if limit:
            started = time.perf_counter()
            answer = self._try(operator, b, rtol, strict, transpose, limit, why)
            spent = time.perf_counter() - started
            if answer is not None:
                self._learn(answer.report.iterations, spent, change, rtol)
                self.steps.append(Step("reused", why, change, answer.report.iterations, 0.0, spent))
                return answer
            in_vain = spent
            self._wait, self._patience = self._patience, 2 * self._patience
            why = f"the old one was tried in vain for {spent:.2g} s"
        step = Step("prepared", why, change, 0, 0.0, 0.0, in_vain)
        with causes_told(operator) if strict else nullcontext():
            return self._prepare_and_solve(operator, b, rtol, strict, transpose, step)

    def _solve_again(
        self, root: PreparedSystem, b: Array, rtol: float, strict: bool, transpose: bool
    ) -> LinearSolution:
        """Solve with the matrix that was prepared last."""
        started = time.perf_counter()
        self.system = root
        run = root.solve_adjoint if transpose else root.solve
        with causes_told(root.operator) if strict else nullcontext():
            answer = run(b, rtol=rtol, strict=strict)
        spent = time.perf_counter() - started
        why = "the matrix is the one prepared last"
        self.steps.append(Step("reused", why, 1.0, answer.report.iterations, 0.0, spent))
        return answer

    def _prepare_and_solve(
        self,
        operator: Operator,
        b: Array,
        rtol: float,
        strict: bool,
        transpose: bool,
        step: Step,
    ) -> LinearSolution:
        started = time.perf_counter()
        analysis = self.analysis
        if self._slow_hierarchy():
            analysis = None
            step = dataclasses.replace(
                step, because=f"{step.because}; old transfers had grown slow"
            )
        # Dropped before the next one is made: two factors at once would double the memory.
        self._root = self.system = None
        self._analysis = analysis
        self._root = self.system = self.solver.prepare(
            operator, analysis=analysis, because=self.because
        )
        ready = time.perf_counter()
        run = self._root.solve_adjoint if transpose else self._root.solve
        solution = run(b, rtol=rtol, strict=strict)
        done = time.perf_counter()
        if analysis is not None or self._root.report.analyses == 0 or self._fresh == 0.0:
            self._preparing, self._fresh = ready - started, done - started
        # An iteration with the old one costs about a solve with it, or a cycle. The first solve of
        # a direct method has one column more, the probe.
        iterations, columns = solution.report.iterations, solution.report.columns
        trips = columns + 1 if self._root.method.direct else max(iterations, 1) * columns
        self._iteration = self._root.seconds_inside / trips
        if self._root.report.reused is None:
            self._first_iterations = iterations
        self._last_iterations = iterations
        self._own = (iterations, rtol)
        self.steps.append(
            dataclasses.replace(
                step, iterations=iterations, prepare_seconds=ready - started,
                solve_seconds=done - ready,
            )
        )  # fmt: skip
        return solution

    def _slow_hierarchy(self) -> bool:
        """Whether transfers taken over take half as many iterations again as when they were new."""
        return self._last_iterations > 1.5 * self._first_iterations + 2

    def _affordable(self, operator: Operator, change: float, rtol: float) -> tuple[int, str]:
        """Return how many iterations the old preparation may take, 0 for none; and why."""
        root = self._root
        if root is None:
            return 0, "nothing was prepared before"
        if not self.reuse:
            return 0, "every matrix is to be prepared"
        if root.method.as_preconditioner() is None or root.report.factorizations == 0:
            return 0, "there is nothing costly to reuse"
        if self._fresh < WORTHLESS:
            return 0, f"a preparation takes {self._fresh:.2g} s"
        if operator.n != root.operator.n or not np.isfinite(change):
            return 0, "the matrix is of another kind"
        if self._wait:
            self._wait -= 1
            return 0, "the last trial was in vain"
        foretold = self._slower * self._foretold(change, rtol)
        most = self._fresh / max(self._iteration, 1e-9)
        why = (
            f"diagonals changed by a factor of {change:.3g}: about {foretold:.0f} iterations of "
            f"{self._iteration:.2g} s against {self._fresh:.2g} s"
        )
        if foretold >= most - 0.3 * self._preparing / max(self._iteration, 1e-9):
            return 0, why
        wasted = sum(step.in_vain for step in self.steps)
        total = sum(s.prepare_seconds + s.solve_seconds + s.in_vain for s in self.steps)
        risk = TRIAL * self._iteration if change > 1.5 and foretold > 0.3 * most else 0.0
        if wasted + risk > WASTE * total:
            return 0, f"{why}; a trial could cost more than it may"
        # GMRES has no foresight: twice the forecast is enough to see that it was wrong.
        return int(min(most, 2.0 * foretold + TRIAL)), why

    def _try(
        self,
        operator: Operator,
        b: Array,
        rtol: float,
        strict: bool,
        transpose: bool,
        limit: int,
        why: str,
    ) -> LinearSolution | None:
        """Solve with the old preparation as preconditioner; None where it leads nowhere.

        A direction of negative curvature is an answer to those only who asked not to be strict.
        """
        assert self._root is not None  # noqa: S101 - `_affordable` has looked
        lagged = Lagged(self._root)
        definite = operator.structure is Structure.POSITIVE_DEFINITE
        krylov: Solver
        if definite or (operator.structure.symmetric and self._root.solver.needs.definite):
            krylov = CG(lagged, max_iterations=limit, foresight=TRIAL)
        else:
            krylov = GMRES(lagged, max_iterations=limit)
        because = f"{self.because}; '{self.solver.label}' of an earlier matrix preconditions: {why}"
        try:
            system = krylov.prepare(operator, because=because)
            run = system.solve_adjoint if transpose else system.solve
            solution = run(b, rtol=rtol, strict=False)
        except (NotPositiveDefinite, SingularSystem):
            return None
        curved = not strict and solution.report.reason is Reason.NEGATIVE_CURVATURE
        if not (solution.report.converged or curved):
            return None
        self.system = system
        return solution

    def _learn(self, iterations: int, spent: float, change: float, rtol: float) -> None:
        foretold = self._foretold(change, rtol)
        self._slower = float(np.clip(iterations / foretold, 0.3, 10.0))
        self._iteration = spent / max(iterations, 1)
        self._patience = 1

    def _foretold(self, change: float, rtol: float) -> float:
        """Return the iterations with the old preparation: of a hierarchy, √κ times its own."""
        own, reached = self._own
        if own == 0:
            return foretold_iterations(change, rtol)
        return float(own * np.sqrt(change) * np.log(2.0 / rtol) / np.log(2.0 / reached))

    def _change(self, operator: Operator) -> float:
        if self._root is None:
            return np.inf
        return change_between(self._root.operator, operator)


def change_between(old: Operator, new: Operator) -> float:
    """Return max over min of the diagonals' ratio: a lower bound of cond(A_old⁻¹ A_new).

    It is infinite where an entry changes sign, or a matrix gives products alone.
    """
    if old.entries is None or new.entries is None or old.n != new.n:
        return np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = new.diagonal / old.diagonal
    ratio = ratio[~np.isnan(ratio)]
    if not ratio.size or not (ratio > 0).all():
        return np.inf
    return float(ratio.max() / ratio.min())


def foretold_iterations(change: float, rtol: float) -> float:
    """Return CG's iterations where the preconditioned condition number is ``change``.

    ½ √(κ − 1) ln(2/rtol), and no fewer than two; κ from the diagonals alone is a bound from below,
    of a spectrum whose few outliers CG deals with one by one: the two errors nearly cancel.
    """
    return float(max(0.5 * np.sqrt(change - 1.0) * np.log(2.0 / rtol), 2.0))
