"""What a trajectory and its sweeps tell of themselves."""

from __future__ import annotations

from dataclasses import dataclass

from ..linear.operator import Array
from ..report import Report


@dataclass(frozen=True, kw_only=True)
class TimeReport(Report):
    """What a trajectory has cost, from its start to the end of this sweep.

    factorizations, analyses: of this trajectory; what an earlier one handed over is among
    ``found``, the systems that were there already. recomputed_steps: made again on the way back.
    peak_states: most states (and tangents) held at once, those at work included; adjoints, of
    which there are never more than the scheme looks back on, are not counted. solves: forward
    and tangent, by columns.
    """

    scheme: str
    steps: int
    unknowns: int
    linear_solver: str
    because: str
    rtol: float
    factorizations: int
    analyses: int
    found: int
    solves: int
    adjoint_solves: int
    newton_iterations: int
    recomputed_steps: int
    peak_states: int
    seconds: float


@dataclass(frozen=True)
class TimeGradient:
    """A loss summed over time, and its gradient.

    Attributes
    ----------
    value : float
        Σ_k L(x, k, t_k, y_k).
    gradient : array, shape (n_x,)
    report : TimeReport
    """

    value: float
    gradient: Array
    report: TimeReport
