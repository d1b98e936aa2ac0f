"""Active sets that were found, and the report of how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..linear import Operator, PreparedSystem, Selection, Solver
from ..linear.operator import Array
from ..report import Report
from .condensed import Mask


@dataclass(frozen=True, kw_only=True)
class InequalityReport(Report):
    """How the active sets were found.

    residual_relative: ‖d (y − clip(y − c/d, l, u))‖ / ‖A y‖, held against rtol. complementarity:
    the largest |y − clip(y − c/d, l, u)|, relative to the largest |y|. changes: unknowns that
    changed sides between solves. single_exchanges: of one unknown at a time, after exchanges of
    all wrong ones had not made them fewer.
    """

    converged: bool
    rtol: float
    residual_relative: float
    complementarity: float
    iterations: int
    inactive: int
    lower_active: int
    upper_active: int
    weakly_active: int
    factorizations: int
    penalty_steps: int
    single_exchanges: int
    shortened_steps: int
    linear_solver: str
    because: str
    history: tuple[float, ...]
    changes: tuple[int, ...]
    seconds: float


@dataclass(frozen=True)
class ActiveSets:
    """A solution: y, c there, the sets, A, and what the last step has prepared of A_II."""

    y: Array
    residual: Array
    lower: Mask
    upper: Mask
    jacobian: Operator
    diagonal: Array
    system: PreparedSystem | None
    selection: Selection | None
    linear_solver: str | Solver
    figures: dict[str, Any]
