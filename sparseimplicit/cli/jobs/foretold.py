"""What a job would cost: the plan of the linear layer for its largest problem, nothing solved."""

from __future__ import annotations

from typing import Any

from ...conditions import conditions_of
from ...imaging.models import Model
from ...imaging.observation import Observation
from ...linear import Operator, choose
from ...linear.memory import told_bytes
from ...linear.operator import Array
from ..plan import told_plan


def foretold(
    operator: Operator, *, solves: int, rtol: float, memory: int | None, solver: str | None,
    problems: float = 1.0, title: str = "",
) -> str:  # fmt: skip
    """Return the plan for one system, in words.

    Parameters
    ----------
    solver : str or None
        The one that the job names, or its model; None for ``auto``.
    problems : float
        How many problems of this size all of the job amounts to, at least.

    Raises
    ------
    MemoryBudgetExceeded
        If no method fits; the message has the table.
    """
    choice = choose(operator, solves=solves, rtol=rtol, memory=memory)
    lines = [title, told_plan(operator, choice, solves, rtol)]
    known = {one.solver: one for one in choice.candidates}
    label = choice.solver.label if solver in (None, "auto") else str(solver)
    taken = known.get(label) or known.get(label.partition("+late")[0])
    if label != choice.solver.label:
        lines.append(f"the job takes '{label}'")
    if taken is not None and taken.possible:
        bound = "≥ " if taken.at_least else ""
        lines.append(f"memory       {bound}{told_bytes(taken.bytes)} for the largest problem")
        lines.append(f"time         ≥ {_time(problems * taken.seconds)} for all of the job: each "
                     "problem solved once; Newton's method takes several steps")  # fmt: skip
    return "\n".join(line for line in lines if line)


def state_matrix(model: Model, observed: Observation, theta: Array) -> Operator:
    """Return the Hessian of one image's problem, at its first guess."""
    conditions: Any = conditions_of(model.problem(observed))
    operator: Operator = conditions.state_jacobian(theta, model.first_guess(observed))
    return operator


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
