"""What an upper-level run has done: work by lower-level problem, and a record an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import SparseImplicitError
from ..hypergradient import Hypergradient
from ..report import Report
from ..state_report import StateReport


@dataclass(frozen=True, kw_only=True)
class Work(Report):
    """Solves of lower-level problems, added up; residuals are the worst, and true.

    States that were not found count as solves, without their residuals.
    """

    state_solves: int = 0
    adjoint_solves: int = 0
    newton_iterations: int = 0
    linear_iterations: int = 0
    analyses: int = 0
    factorizations: int = 0
    hessian_products: int = 0
    state_residual: float = 0.0
    adjoint_residual: float = 0.0
    seconds: float = 0.0

    @classmethod
    def of(cls, h: Hypergradient, seconds: float) -> Work:
        """Return the work of one hypergradient, its state included."""
        state, adjoint, preparation = h.report.state, h.report.adjoint, h.report.preparation
        return cls(
            state_solves=1,
            adjoint_solves=1,
            newton_iterations=state.iterations,
            linear_iterations=state.linear_iterations + adjoint.iterations,
            analyses=state.analyses + (preparation.analyses if preparation else 0),
            factorizations=state.factorizations
            + (preparation.factorizations if preparation else 0),
            state_residual=state.residual_relative,
            adjoint_residual=adjoint.residual,
            seconds=seconds,
        )

    @classmethod
    def failed(cls, error: SparseImplicitError, seconds: float) -> Work:
        """Return the work of a state that was not found, as far as its error tells of it."""
        state = getattr(error, "report", None)
        if not isinstance(state, StateReport):
            return cls(seconds=seconds)
        return cls(
            state_solves=1,
            newton_iterations=state.iterations,
            linear_iterations=state.linear_iterations,
            analyses=state.analyses,
            factorizations=state.factorizations,
            seconds=seconds,
        )

    @staticmethod
    def total(parts: Sequence[Work]) -> Work:
        """Return the sum of several, with the worst of their residuals."""
        return Work(
            state_solves=sum(w.state_solves for w in parts),
            adjoint_solves=sum(w.adjoint_solves for w in parts),
            newton_iterations=sum(w.newton_iterations for w in parts),
            linear_iterations=sum(w.linear_iterations for w in parts),
            analyses=sum(w.analyses for w in parts),
            factorizations=sum(w.factorizations for w in parts),
            hessian_products=sum(w.hessian_products for w in parts),
            state_residual=max((w.state_residual for w in parts), default=0.0),
            adjoint_residual=max((w.adjoint_residual for w in parts), default=0.0),
            seconds=sum(w.seconds for w in parts),
        )


@dataclass(frozen=True, kw_only=True)
class TrustStep(Report):
    """The step of a trust-region method that led to an evaluation.

    radius: of the region, in the norm of the inner product. length: of the step, in the same.
    ratio: actual over predicted decrease; accepted: whether the run went on from there. end: why
    CG ended, "converged", "boundary", "negative curvature" or "limit". products: with the Hessian
    of each lower-level problem, those of CG included.
    """

    cg_iterations: int
    products: int
    end: str
    radius: float
    length: float
    predicted: float
    ratio: float
    accepted: bool


@dataclass(frozen=True, kw_only=True)
class Evaluation(Report):
    """One evaluation of loss and gradient at the upper level.

    x_mean: mean of the parameter. gradient_norm: √(gᵀ M⁻¹ g) in the inner product. work: over all
    lower-level problems; None where the evaluation was taken from a checkpoint. step: what led
    here, by a trust-region method. failure: why there is neither loss (inf) nor gradient (NaN) at
    a trial point. notes: what did not go as usual, such as a process lost.
    """

    evaluation: int
    x_mean: float
    value: float
    gradient_norm: float
    work: Work | None
    step: TrustStep | None = None
    failure: str | None = None
    notes: tuple[str, ...] = ()
