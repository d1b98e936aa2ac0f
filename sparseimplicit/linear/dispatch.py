"""The chooser: from the facts of a matrix to a solver, with its reasons in print."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from ..errors import MemoryBudgetExceeded
from .checks import check_count, check_rtol
from .contract import Solver
from .factorizations import Candidate
from .forecast import Forecast
from .memory import available_bytes, parsed_bytes, told_bytes
from .operator import Operator
from .rates import Rates
from .registry import solver_named


@dataclass(frozen=True)
class Choice:
    """What `choose` recommends, and all it weighed; ``str(choice)`` is a table.

    Attributes
    ----------
    solver : Solver
    because : str
    candidates : tuple of Candidate
        The best first; `Candidate` has the seconds and bytes predicted.
    budget : int
        Bytes that were held available.
    seconds : float
        What choosing took.
    analysis : optional
        Work of the solver's that the plan has done already: ``solver.prepare(A, analysis=)``.
    """

    solver: Solver
    because: str
    candidates: tuple[Candidate, ...]
    budget: int
    seconds: float
    analysis: Any = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return the table of candidates, the chosen one marked."""
        return table(self.candidates, self.budget, self.solver.label)

    def to_dict(self) -> dict[str, Any]:
        """Return the choice as plain values."""
        return {
            "solver": self.solver.label,
            "because": self.because,
            "budget_bytes": self.budget,
            "planning_seconds": self.seconds,
            "candidates": [
                {
                    "solver": c.solver,
                    "seconds": c.seconds if c.possible else None,
                    "bytes": c.bytes if c.possible else None,
                    "at_least": c.at_least,
                    "possible": c.possible,
                    "because": c.because,
                }
                for c in self.candidates
            ],
        }


def table(candidates: tuple[Candidate, ...], budget: int, chosen: str = "") -> str:
    """Return candidates as lines; ``≥`` marks bounds, ``!`` what is over budget."""
    lines = [f"  {'solver':<14} {'seconds':>9} {'memory':>9}  because"]
    for c in candidates:
        mark = "*" if c.solver == chosen else "!" if c.possible and c.bytes > budget else " "
        least = "≥" if c.at_least else ""
        seconds, size = f"{least}{c.seconds:.2g}", f"{least}{told_bytes(c.bytes)}"
        if not c.possible:
            seconds = size = "–"
        lines.append(f"{mark} {c.solver:<14} {seconds:>9} {size:>9}  {c.because}")
    return "\n".join(lines)


def choose(
    matrix: Any,
    *,
    solves: int = 1,
    rtol: float = 1e-8,
    memory: int | str | None = None,
    rates: Rates | None = None,
) -> Choice:
    """Choose a solver for a matrix from predicted seconds and bytes.

    Parameters
    ----------
    matrix : sparse or dense array, LinearOperator or Operator
    solves : int
        Right-hand sides that one preparation will serve.
    rtol : float
        Relative residual asked for.
    memory : int or str, optional
        Budget in bytes, or as ``"16G"``; by default what is available to this process, control
        groups and Slurm's grant included.
    rates : Rates, optional
        Speeds to reckon with; by default those measured of this machine.

    Returns
    -------
    Choice

    Raises
    ------
    MemoryBudgetExceeded
        If no method fits; the message has the table.
    ShapeError, ConfigError
        If solves or rtol, or memory, are no such numbers.

    Notes
    -----
    Cost: the experiments, each a few per cent of the time that it decides about: some steps of CG,
    AMG on 8000 of the unknowns, CHOLMOD's symbolic analysis (which is handed on). The first call on
    a machine measures its rates, in some five seconds.
    """
    started = time.perf_counter()
    operator = matrix if isinstance(matrix, Operator) else Operator(matrix)
    check_count(solves, "solves", "linear.choose")
    check_rtol(rtol, "linear.choose")
    budget = available_bytes() if memory is None else parsed_bytes(memory)
    forecast = Forecast(operator, solves, rtol, rates)
    found = forecast.candidates()
    candidates = tuple(sorted(found, key=lambda c: (not c.possible, c.at_least, c.ahead)))
    for candidate in candidates:
        if candidate.possible and candidate.bytes <= budget:
            because = candidate.because + _passed_over(candidate, candidates, budget)
            return Choice(
                solver_named(candidate.solver), because, candidates, budget,
                time.perf_counter() - started, candidate.analysis,
            )  # fmt: skip
    raise MemoryBudgetExceeded(
        f"no solver fits {operator!r} into {told_bytes(budget)}:\n{table(candidates, budget)}",
        where="linear.choose",
        fix="give the job more memory, or the matrix as a LinearOperator.",
    )


def _passed_over(chosen: Candidate, candidates: tuple[Candidate, ...], budget: int) -> str:
    """Say which methods would have been faster, and what they lack: memory, or their backend."""
    faster = [c for c in candidates if c.seconds < chosen.seconds and not c.at_least]
    missing = [f"; '{c.solver}' would be faster, but {c.because}" for c in faster if c.missing]
    large = [
        f"; '{c.solver}' would be faster, but needs {told_bytes(c.bytes)} of {told_bytes(budget)}"
        for c in faster
        if c.possible and c.bytes > budget
    ]
    return "".join(missing + large)


@dataclass(frozen=True)
class Selection:
    """A solver to use, why, and what choosing it has already done of its work."""

    solver: Solver
    because: str
    analysis: Any = None


def select(
    linear_solver: str | Solver, operator: Operator, *, solves: int = 1, rtol: float = 1e-8
) -> Selection:
    """Return the solver meant by a name, ``"auto"`` or a solver itself, with the reason."""
    if isinstance(linear_solver, Solver):
        return Selection(linear_solver, "given")
    if linear_solver == "auto":
        choice = choose(operator, solves=solves, rtol=rtol)
        return Selection(choice.solver, f"auto: {choice.because}", choice.analysis)
    return Selection(solver_named(linear_solver), "named")
