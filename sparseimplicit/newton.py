"""Newton's method for the state, with inexact steps and a line search.

    A(x, yₖ) s = −c(x, yₖ) up to ηₖ,    yₖ₊₁ = yₖ + t s

A minimisation descends on g (or, without an objective, on its slope), a root problem on ‖c‖. The
last prepared system is handed on: it serves the adjoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from scipy import sparse

from .conditions import Conditions
from .errors import NonFinite, NotConverged, NotPositiveDefinite, SingularSystem, StructureError
from .kernels.vectors import dot
from .linear import (
    LinearSolution,
    Operator,
    Passed,
    PreparedSystem,
    Reason,
    Sequence,
    Solver,
    Structure,
    select,
)
from .linear.causes import causes_told
from .linear.evidence import keep_evidence
from .linear.operator import Array, norm
from .linear.singular import solve_singular
from .state_report import StateReport
from .step_matrix import StepMatrix

T = TypeVar("T")

FORCING_START: Final = 0.1  # η₀ and the largest η
ARMIJO: Final = 1e-4
FAR: Final = 10.0  # times the goal: what ‖A y‖ was an iterate before is known well enough
ROUNDING: Final = 64 * float(np.finfo(float).eps)
# Solves of one preparation, and the accuracy of one step, as the chooser should reckon them.
STEP_RTOL: Final = 1e-3


@dataclass(frozen=True)
class NewtonResult:
    """A state, A there, what the last step left (nothing if none was needed), and the report."""

    y: Array
    state_jacobian: Operator
    last_system: PreparedSystem | None
    solver: Solver
    analysis: Any
    report: StateReport


def solve_newton(
    conditions: Conditions,
    x: Array,
    y0: Array,
    *,
    linear_solver: str | Solver,
    analysis: Any = None,
    rtol: float,
    max_iterations: int = 100,
    on_singular: str = "raise",
    reuse: bool = True,
    passed: Passed | None = None,
) -> NewtonResult:
    """Find y with ``‖c(x, y)‖ ≤ rtol ‖A y‖``.

    Parameters
    ----------
    conditions : Conditions
    x, y0 : arrays, shapes (n_x,), (n_y,)
    linear_solver : str or Solver
        Chosen once, at the first Jacobian.
    analysis : optional
        A symbolic analysis of a neighbouring problem.
    rtol : float
        For a linear problem this is the relative residual. Where A y vanishes with y, rounding
        of the first residual bounds what is asked.
    max_iterations : int
    on_singular : str
        What a step is where A is singular, see `linear.solve`; once it is, it is taken to stay so.
    reuse : bool
        Whether steps may go on with an older preparation where measured times say that it pays.
    passed : Passed, optional
        The prepared system of a neighbouring state, taken if the first matrix is the same.

    Raises
    ------
    NotConverged
        With the best state in ``error.best`` and the report in ``error.report``.
    StructureError
        If a problem was declared linear and is not.

    Notes
    -----
    Forcing terms: Eisenstat and Walker 1996, choice 2 (γ = 0.9, α = 2). Negative curvature: the
    truncated step of CG (Dembo and Steihaug 1983) is a direction of descent; a failed Cholesky is
    repeated on A + τ I. Line search: Armijo on g, or Hager and Zhang's approximate Wolfe test,
    which needs no difference of two nearly equal objectives. Where the problem has a majorant M,
    a step of negative curvature is taken with A + ½ (M − A) instead. From then on the share of M is
    a third after each full step on which ‖c‖ falls, so that the last steps are Newton's, and three
    times as large after any other.

    An energy with smoothed norms, √(|d|² + ε²), shortens most steps of Newton's: its Hessian knows
    the direction q = d/√(|d|² + ε²) here alone, and this turns along the step. After the first step
    that was shortened, or on which ‖c‖ grew, the matrix of steps has dual vectors p in place of one
    of the two q in each product: primal-dual Newton, of Chan, Golub and Mulet 1999. They begin at 0
    and follow the steps, so that the last ones converge quadratically; objective, c and line search
    stay as they are, and A at the state is the Hessian. Steps saved:
    ``scripts/bench/steps.py``.
    """
    return _Newton(
        conditions, x, y0, linear_solver, analysis, rtol, max_iterations, on_singular, reuse, passed
    ).run()


class _Newton:
    """One run; its counters become the report."""

    def __init__(
        self,
        conditions: Conditions,
        x: Array,
        y0: Array,
        linear_solver: str | Solver,
        analysis: Any,
        rtol: float,
        max_iterations: int,
        on_singular: str,
        reuse: bool,
        passed: Passed | None,
    ) -> None:
        self.conditions = conditions
        self.x, self.y = x, y0
        self.linear_solver = linear_solver
        self.analysis = analysis
        self.rtol = rtol
        self.max_iterations = max_iterations
        self.on_singular = on_singular
        self.reuse = reuse
        self.passed = passed
        self.sequence: Sequence | None = None
        self.descends = (
            conditions.minimization and conditions.structure is Structure.POSITIVE_DEFINITE
        )
        self.counts = {
            "linear_iterations": 0, "analyses": 0, "factorizations": 0,
            "reused_steps": 0, "negative_curvature_steps": 0, "shifted_steps": 0,
            "majorized_steps": 0, "primal_dual_steps": 0, "singular_steps": 0, "shortened_steps": 0,
        }  # fmt: skip
        self.matrix = StepMatrix(conditions, descends=self.descends)
        self.largest_shift = 0.0
        self.reused: set[str] = set()
        self.seconds: dict[str, float] = {}
        self.history: list[float] = []
        self.promised = 0.0  # ‖A s + c‖ as the last solve left it

    def run(self) -> NewtonResult:
        self.residual = self.timed("conditions", self.conditions.residual, self.x, self.y)
        self.value = self.timed("conditions", self.conditions.objective, self.x, self.y)
        if self.value is not None and not np.isfinite(self.value):
            raise NonFinite(
                f"the objective is {self.value} at the first guess.",
                fix="start inside the domain of the objective.",
            )
        first = previous = self.size = norm(self.residual)
        forcing, goal = FORCING_START, 0.0
        while True:
            self.history.append(self.size)
            if self.conditions.linear:
                if len(self.history) == 1:
                    jacobian, goal = self.begin_linear()
            elif self.matrix.exact or self.size <= FAR * goal:  # else the step does without A
                jacobian = self.timed("jacobian", self.conditions.state_jacobian, self.x, self.y)
                self.scale = norm(self.timed("jacobian", jacobian.apply, self.y))
                goal = max(self.rtol * self.scale, ROUNDING * first)
            if self.size <= goal:
                return self.result(jacobian, converged=True)
            if self.conditions.linear and len(self.history) > 1:
                raise self.not_linear(jacobian, goal)
            if len(self.history) > self.max_iterations:
                raise self.failure(jacobian, f"{self.max_iterations} iterations were not enough")
            if len(self.history) > 1:
                forcing = _forcing(self.size, previous, forcing)
            # Not tighter than what this step alone has to reach.
            enough = 0.5 * goal / self.size
            step_rtol = enough if self.conditions.linear else min(max(forcing, enough), 0.5)
            direction = self.direction(jacobian, step_rtol)
            previous = self.size
            if not self.advance(direction):
                with nullcontext() if self.descends else self.told(jacobian):
                    raise self.failure(
                        jacobian, "no step along Newton's direction brought progress"
                    )

    def begin_linear(self) -> tuple[Operator, float]:
        """Return A and the goal: c = A y − b, so that ‖A y‖ at the solution is ‖A y₀ − c₀‖."""
        jacobian = self.timed("jacobian", self.conditions.state_jacobian, self.x, self.y)
        load = self.timed("jacobian", jacobian.apply, self.y) - self.residual
        self.scale = norm(load)
        return jacobian, max(self.rtol * self.scale, ROUNDING * self.size)

    def not_linear(self, jacobian: Operator, goal: float) -> StructureError | NotConverged:
        if self.size <= 2.0 * self.promised + goal:
            return self.failure(jacobian, "its one solve with A left it there")
        return StructureError(
            f"the problem was declared linear, and after one solve ‖c‖/‖A y‖ is "
            f"{self.size / self.scale if self.scale else self.size:.1e} (rtol {self.rtol:.1e}).",
            where="Newton",
            fix="leave linear=True away, unless state_jacobian is wrong: compare it by "
            "si.verify.derivatives; or raise rtol, if this is rounding.",
        )

    def told(self, jacobian: Operator) -> AbstractContextManager[None]:
        """Within it a failure is told by its cause, where no policy takes care of it."""
        return causes_told(jacobian) if self.on_singular == "raise" else nullcontext()

    def direction(self, jacobian: Operator, rtol: float) -> Array:
        of = jacobian
        if not self.matrix.exact:
            of = self.timed("jacobian", self.matrix.at, self.x, self.y)
        with self.told(of):
            solution = self.solve(of, rtol)
            reason = solution.report.reason
            negative = reason is Reason.NEGATIVE_CURVATURE
            if not (negative or solution.report.converged or solution.report.residual < 1.0):
                raise self.failure(jacobian, f"the linear solve failed: {reason.value}")
        self.counts["linear_iterations"] += solution.report.iterations
        if negative and self.matrix.majorize():
            return self.direction(jacobian, rtol)
        self.counts["majorized_steps"] += self.matrix.share > 0.0
        self.counts["primal_dual_steps"] += self.matrix.dual is not None
        self.counts["negative_curvature_steps"] += negative
        self.promised = solution.report.residual * self.size
        step = solution.value
        if self.descends and dot(step, self.residual) >= 0:
            step = -self.residual  # rounding or a poor preconditioner; the gradient descends
            self.counts["negative_curvature_steps"] += 1
        return step

    def begun(self, jacobian: Operator) -> Sequence:
        """Return the sequence of this run's matrices; the first one chooses the solver."""
        if self.sequence is None:
            selection = select(self.linear_solver, jacobian, rtol=STEP_RTOL)
            prepared = None
            if self.passed is not None:
                prepared = self.passed.take(jacobian, selection.solver)
            if prepared is not None:
                self.reused.add("factorization of a neighbouring state")
            self.sequence = Sequence(
                selection.solver,
                because=selection.because,
                analysis=selection.analysis if self.analysis is None else self.analysis,
                reuse=self.reuse,
                prepared=prepared,
            )
        return self.sequence

    def solve(self, jacobian: Operator, rtol: float) -> LinearSolution:
        """Solve for the step; by the policy, where A turns out singular."""
        if not self.counts["singular_steps"]:
            try:
                return self.solve_regular(jacobian, rtol)
            except SingularSystem:
                if self.on_singular == "raise":
                    raise
        self.counts["singular_steps"] += 1
        self.counts["factorizations"] += 2 if self.on_singular == "min_norm" else 1
        return self.timed(
            "solve", solve_singular, jacobian, -self.residual, self.on_singular, rtol=rtol
        )

    def solve_regular(self, jacobian: Operator, rtol: float) -> LinearSolution:
        sequence, shift = self.begun(jacobian), 0.0
        while True:
            shifted = jacobian if shift == 0.0 else _shifted(jacobian, shift)
            try:
                solution = sequence.solve(shifted, -self.residual, rtol=rtol, strict=False)
            except NotPositiveDefinite:
                entries = jacobian.entries
                if not self.descends or entries is None or not np.isfinite(shift):
                    raise
                first = 1e-3 * float(np.abs(entries.diagonal()).max(initial=0.0)) or 1.0
                shift = max(10.0 * shift, first)
                continue
            self.count(sequence, shift)
            return solution

    def count(self, sequence: Sequence, shift: float) -> None:
        step, system = sequence.steps[-1], sequence.system
        assert system is not None  # noqa: S101 - it has just answered
        for phase, seconds in (("prepare", step.prepare_seconds), ("solve", step.solve_seconds)):
            self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds
        if step.action == "prepared":
            self.counts["analyses"] += system.report.analyses
            self.counts["factorizations"] += system.report.factorizations
        else:
            self.counts["reused_steps"] += 1
            if any(earlier.action == "prepared" for earlier in sequence.steps):
                self.reused.add("factorization of an earlier step")
        if step.action == "prepared" and system.report.reused is not None:
            self.reused.add(system.report.reused)
        if shift:
            self.counts["shifted_steps"] += 1
            self.largest_shift = max(self.largest_shift, shift)

    def advance(self, step: Array) -> bool:
        """Go along the step as far as it helps; False if nowhere."""
        slope = dot(step, self.residual)
        t = 1.0
        for _ in range(40):
            trial = self.y + t * step
            try:
                value = self.timed("conditions", self.conditions.objective, self.x, trial)
                residual = self.timed("conditions", self.conditions.residual, self.x, trial)
            except NonFinite:
                t *= 0.2
                continue
            size = norm(residual)
            new_slope = dot(step, residual)
            if self.accepts(t, slope, value, new_slope, size):
                too_long = t < 1.0 or size >= self.size
                self.timed("jacobian", self.matrix.move, self.x, self.y, step, too_long=too_long)
                self.y, self.residual, self.value, self.size = trial, residual, value, size
                self.counts["shortened_steps"] += t < 1.0
                return True
            # Secant on the slope where it has changed sign, else a cut in the middle.
            secant = t * slope / (slope - new_slope) if self.descends and new_slope > 0 else t / 2
            t = float(np.clip(secant, 0.1 * t, 0.5 * t))
        return False

    def accepts(
        self, t: float, slope: float, value: float | None, new_slope: float, size: float
    ) -> bool:
        if self.conditions.linear:
            return True  # the whole step or none: whether it was enough is looked at next
        if not self.descends:
            return size <= (1.0 - ARMIJO * t) * self.size
        wolfe = new_slope <= (2.0 * ARMIJO - 1.0) * slope
        if value is None or self.value is None:
            return wolfe
        if not np.isfinite(value):
            return False
        if value <= self.value + ARMIJO * t * slope:
            return True
        return wolfe and value <= self.value + ROUNDING * abs(self.value)

    def result(self, jacobian: Operator, *, converged: bool) -> NewtonResult:
        sequence = self.begun(jacobian)  # not begun yet, if the first guess was the solution
        relative = self.size / self.scale if self.scale else self.size
        report = StateReport(
            method="newton",
            converged=converged,
            rtol=self.rtol,
            residual=self.size,
            residual_relative=relative,
            residual_before=self.history[0],
            objective=self.value,
            iterations=len(self.history) - 1,
            linear_solver=sequence.solver.label,
            because=sequence.because,
            reused=tuple(sorted(self.reused)),
            largest_shift=self.largest_shift,
            history=tuple(self.history),
            seconds=self.seconds,
            **self.counts,
        )
        last = None if self.counts["singular_steps"] else sequence.prepared
        return NewtonResult(self.y, jacobian, last, sequence.solver, sequence.analysis, report)

    def failure(self, jacobian: Operator, why: str) -> NotConverged:
        result = self.result(jacobian, converged=False)
        report = result.report
        error = NotConverged(
            f"Newton's method stopped at ‖c‖/‖A y‖ = {report.residual_relative:.1e}, rtol is "
            f"{self.rtol:.1e}: {why} (‖c‖: "
            f"{' → '.join(f'{size:.1e}' for size in _ends(self.history))}).",
            best=self.y,
            report=report,
            where=f"Newton, solver '{report.linear_solver}', iteration {report.iterations}",
            fix="check the derivatives with si.verify.derivatives; start "
            "nearer with `y0` or `start`; or raise rtol if the residual is at rounding level.",
        )
        keep_evidence(
            error, jacobian, report.linear_solver, -self.residual, rtol=STEP_RTOL,
            report=report.to_dict(),
        )  # fmt: skip
        return error

    def timed(self, phase: str, function: Callable[..., T], *args: object, **kwargs: object) -> T:
        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            elapsed = time.perf_counter() - started
            self.seconds[phase] = self.seconds.get(phase, 0.0) + elapsed


def _forcing(size: float, previous: float, last: float) -> float:
    forcing = 0.9 * (size / previous) ** 2 if previous else 0.0
    memory = 0.9 * last**2
    return min(max(forcing, memory if memory > 0.1 else 0.0), FORCING_START)


def _shifted(operator: Operator, shift: float) -> Operator:
    assert operator.entries is not None  # noqa: S101 - the caller has looked
    identity = sparse.eye_array(operator.n, format="csr")
    return Operator(operator.entries + shift * identity, operator.structure, operator.grid)


def _ends(history: list[float]) -> list[float]:
    return history if len(history) <= 4 else history[:2] + history[-2:]
