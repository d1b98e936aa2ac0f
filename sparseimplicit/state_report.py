"""What a solve for the state tells of itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from .report import Report


@dataclass(frozen=True, kw_only=True)
class StateReport(Report):
    """How a state was found, and how well it satisfies its conditions.

    residual: ‖c‖ at y, recomputed. residual_relative: ‖c‖ / ‖A y‖, held against rtol.
    """

    method: str
    converged: bool
    rtol: float
    residual: float
    residual_relative: float
    residual_before: float
    objective: float | None = None
    iterations: int = 0
    linear_solver: str = ""
    because: str = ""
    linear_iterations: int = 0
    analyses: int = 0
    factorizations: int = 0
    reused: tuple[str, ...] = ()
    reused_steps: int = 0
    negative_curvature_steps: int = 0
    shifted_steps: int = 0
    majorized_steps: int = 0
    primal_dual_steps: int = 0
    singular_steps: int = 0
    largest_shift: float = 0.0
    shortened_steps: int = 0
    history: tuple[float, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
