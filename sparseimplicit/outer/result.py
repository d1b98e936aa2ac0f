"""What a minimisation has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..linear.operator import Array
from .display import HEAD, line
from .history import Evaluation, Work


@dataclass(frozen=True)
class MinimizeResult:
    """The best parameter found.

    Attributes
    ----------
    x : array, shape (n_x,)
    value : float
        The loss there, corrected by λᵀ c for what the states miss: to second order that of the
        exact states. ``loss(x, solved.y)`` differs from it to first order, by about gradient_rtol.
    solved : SolvedState, or a tuple of them where several problems were given
    history : tuple of Evaluation
    work : tuple of Work
        What each lower-level problem took in this process, all evaluations together.
    converged : bool
        The projected gradient fell to ``stop_rtol`` of its first. False where the loss no longer
        fell before: at its accuracy, or along a gradient that is not its own. ``message`` says so.
    message : str
        Why it stopped.
    kkt_residual : float
        What is left of the gradient at x: ``‖dL/dx‖_{M⁻¹}``. With bounds, and D the row sums of M,
        ``‖x − P(x − D⁻¹ dL/dx)‖_D``, 0 where the conditions of Karush, Kuhn and Tucker hold.
    """

    x: Array
    value: float
    solved: Any
    history: tuple[Evaluation, ...]
    work: tuple[Work, ...]
    converged: bool
    message: str
    kkt_residual: float

    def __str__(self) -> str:
        """Return a line an evaluation, and why it ended."""
        end = "converged" if self.converged else "not converged"
        return "\n".join([HEAD, *map(line, self.history), f"{end}: {self.message}"])
