"""What a preparation and a solve say of themselves."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from ..errors import NotConverged, NotPositiveDefinite, SparseImplicitError
from ..report import Report
from .operator import Array


class Reason(enum.Enum):
    """Why a solve stopped."""

    CONVERGED = "the true residual met its tolerance"
    MAX_ITERATIONS = "the iterations allowed were used up"
    STAGNATED = "the true residual no longer fell"
    DAMPED = "the matrix was damped: the residual is the bias"
    NEGATIVE_CURVATURE = "a direction of curvature ≤ 0 was met"


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
    null_dimension: null vectors that the answer was made orthogonal to. damping: what was added to
    the diagonal, relative to each row's size; the residual is then the bias.
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
    null_dimension: int = 0
    damping: float = 0.0
    seconds: float


@dataclass(frozen=True)
class LinearSolution:
    """The answer of a solve, `value` of the shape of b, and its `report`."""

    value: Array
    report: SolveReport


def failure(report: SolveReport, best: Array, where: str) -> SparseImplicitError:
    """Return the error for a solve that missed its tolerance."""
    if report.reason is Reason.NEGATIVE_CURVATURE:
        error: SparseImplicitError = NotPositiveDefinite(
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
