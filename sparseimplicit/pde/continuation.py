"""The state of a hard nonlinear problem, found along a path of parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..conditions import parameter_vector
from ..errors import (
    ConfigError,
    NonFinite,
    NotConverged,
    NotPositiveDefinite,
    ShapeError,
    SingularSystem,
    SparseImplicitError,
)
from ..implicit import ImplicitFunction, SolvedState
from ..linear.checks import check_count, check_rtol
from ..report import Report


@dataclass(frozen=True, kw_only=True)
class Step(Report):
    """One attempt: where on the path it led, Newton's iterations, ‖c‖ after each, and whether."""

    t: float
    converged: bool
    iterations: int
    history: tuple[float, ...]


@dataclass(frozen=True)
class Continued:
    """The state at the end of the path, and the attempts that led there."""

    solved: SolvedState
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        """Return a line for each attempt."""
        return _told(self.steps)


def continuation(
    implicit: ImplicitFunction,
    path: Callable[[float], Any] | tuple[Any, Any],
    y0: Any,
    *,
    steps: int = 4,
    smallest: float = 1e-3,
    rtol: float = 1e-8,
    loose: float = 1e-4,
) -> Continued:
    """Solve c(x(t), y) = 0 for t from 0 to 1, each state from the one before: load stepping.

    Parameters
    ----------
    implicit : ImplicitFunction
    path : callable t -> x, or pair (x₀, x₁)
        The parameter on the way; of a pair the line between them. x(1) is what is wanted.
    y0 : array, shape (n_y,)
        First guess at x(0).
    steps : int
        How many equal steps to begin with. A step that fails is halved, one that succeeds with few
        iterations is followed by one twice as long.
    smallest : float
        The step in t below which it is given up.
    rtol, loose : float
        Of the last state, and of those on the way.

    Returns
    -------
    Continued

    Raises
    ------
    ConfigError, ShapeError, NonFinite, StructureError
        From arguments that do not fit.
    NotConverged
        With all attempts and their residuals in ``error.report``, and in ``error.best`` the last
        `SolvedState` on the path, or None.

    Notes
    -----
    Guesses are secants of the last two states, as Allgower and Georg 1990, section 2.
    """
    x_at = path if callable(path) else _line(path)
    check_count(steps, "steps", "pde.continuation")
    if not 0.0 < smallest <= 1.0:
        raise ConfigError(f"smallest = {smallest}.", where="pde.continuation",
                          fix="give a step in t, above 0 and no more than 1.")  # fmt: skip
    check_rtol(rtol, "pde.continuation")
    check_rtol(loose, "pde.continuation")
    if not np.isfinite(y0).all():
        raise NonFinite("y0 holds NaN or infinity.", where="pde.continuation")
    attempts: list[Step] = []
    known: list[tuple[float, SolvedState]] = []
    t, step, guess = 0.0, 1.0 / steps, np.asarray(y0, dtype=np.float64)
    while True:
        target = t if not known else min(1.0, t + step)
        accuracy = rtol if target >= 1.0 else max(loose, rtol)
        x = parameter_vector(x_at(target), f"the path at t = {target:.4g}")
        try:
            solved = implicit.solve(x, guess, start=known[-1][1] if known else None, rtol=accuracy)
        except (NotConverged, NotPositiveDefinite, SingularSystem, NonFinite) as error:
            attempts.append(_failed(target, error))
            step *= 0.5
            if not known or step < smallest:
                raise _given_up(attempts, known, error) from error
        else:
            report = solved.report
            attempts.append(Step(t=target, converged=True, iterations=report.iterations,
                                 history=report.history))  # fmt: skip
            known = [*known[-1:], (target, solved)]
            t = target
            if t >= 1.0:
                return Continued(solved, tuple(attempts))
            if len(attempts) > 1 and report.iterations <= 4:
                step *= 2.0
        guess = _secant(known, min(1.0, t + step))


def _line(path: Any) -> Callable[[float], Any]:
    if not isinstance(path, list | tuple) or len(path) != 2:
        raise ShapeError("a path is a callable or a pair.", where="pde.continuation",
                         fix="give t ↦ x(t) for t in [0, 1], or (x at 0, x at 1).")  # fmt: skip
    a, b = (np.asarray(v, dtype=np.float64) for v in path)
    if a.shape != b.shape:
        raise ShapeError(f"the path leads from {a.shape} to {b.shape}.", where="pde.continuation")
    return lambda t: (1.0 - t) * a + t * b


def _secant(known: list[tuple[float, SolvedState]], t: float) -> Any:
    (t1, last), (t0, before) = known[-1], known[0]
    if t1 == t0:
        return last.y
    return last.y + (t - t1) / (t1 - t0) * (last.y - before.y)


def _failed(t: float, error: SparseImplicitError) -> Step:
    report = getattr(error, "report", None)
    return Step(t=t, converged=False, iterations=getattr(report, "iterations", 0),
                history=tuple(getattr(report, "history", ())))  # fmt: skip


def _given_up(
    attempts: list[Step], known: list[tuple[float, SolvedState]], error: SparseImplicitError
) -> NotConverged:
    reached = f"t = {known[-1][0]:.4g} of the path was reached" if known else "it has no beginning"
    return NotConverged(
        f"the continuation was given up: {reached}, then {error.what}\n{_told(attempts)}",
        best=known[-1][1] if known else None,
        report=tuple(attempts),
        where="pde.continuation",
        fix="look for a fold of the path there; start from a better y0, lower `smallest`, or take "
        "another path.",
    )


def _told(attempts: Any) -> str:
    return "\n".join(
        f"  t = {s.t:.4g}: {'converged' if s.converged else 'failed'} after {s.iterations}, ‖c‖ "
        + " → ".join(f"{size:.1e}" for size in s.history)
        for s in attempts
    )
