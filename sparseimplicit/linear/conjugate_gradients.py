"""The iteration of conjugate gradients, and what it learns of the spectrum on its way."""

from __future__ import annotations

import time
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh_tridiagonal

from ..kernels.vectors import NOTHING, direction, dots, step
from .method import Attempt, PreparedMethod
from .operator import Array, Operator
from .preconditioning import PreparedPreconditioner
from .reports import Reason

RITZ_STEPS: Final = 300  # later steps add little to the ends of the spectrum
PACE: Final = 2.0  # iterations for a factor of e, foretold: fields of experts need 1.5 to 2.5


class ConjugateGradients(PreparedMethod):
    """CG for one matrix and preconditioner; see `solvers.CG`."""

    def __init__(
        self,
        operator: Operator,
        preconditioner: PreparedPreconditioner | None,
        limit: int,
        foresight: int,
    ) -> None:
        self._foresight = foresight
        self._operator = operator
        self._preconditioner = preconditioner
        self._precondition = _identity if preconditioner is None else preconditioner.apply_into
        self._diagonal = NOTHING if preconditioner is None else preconditioner.diagonal
        self._limit = limit
        self._precision = np.float64 if preconditioner is None else preconditioner.precision
        if preconditioner is not None:
            self.factorizations = preconditioner.factorizations
            self.bytes_estimate = preconditioner.bytes_estimate
            self.analysis = preconditioner.analysis
            self.reused = preconditioner.reused

    def as_preconditioner(self) -> PreparedPreconditioner | None:
        """Return the preconditioner that was made for this matrix."""
        return self._preconditioner

    def _solve(self, b: Array, rtol: Array) -> Attempt:
        self._operator.expect(int(PACE * np.log(2.0 / float(rtol.min()))))
        x, r = np.zeros_like(b), b.copy()
        q = np.empty_like(b)
        # A p has done its work when z is made: its memory serves, if it has z's precision.
        single = self._precision != b.dtype and b.shape[1] == 1
        room = np.empty(b.shape, self._precision) if single else q
        z = self._precondition(r, room)
        p = z.astype(np.float64)
        rho = dots(r, z)
        # A diagonal M costs no pass of its own: it is applied on the way.
        diagonal = self._diagonal
        size = dots(b, b)
        goal = rtol**2 * size
        # A finished column stops by steps of length 0, so that all columns share one product.
        active, all_active = np.ones(b.shape[1], dtype=bool), True
        course = _Course()

        def attempt(value: Array, reason: Reason = Reason.CONVERGED) -> Attempt:
            told = course.spectrum(), tuple(course.residuals), course.pace
            return Attempt(value, iteration, reason, *told)

        for iteration in range(1, self._limit + 1):
            q, curvature = self._operator.apply_and_dots(p, q)
            if not (curvature > 0).all():
                if not np.isfinite(curvature).all():  # a preconditioner that overflowed
                    return attempt(x, Reason.STAGNATED)
                if (curvature[active] <= 0).any():
                    return attempt(x if iteration > 1 else p, Reason.NEGATIVE_CURVATURE)
            length = rho / curvature if all_active else _ratio(rho, curvature, active)
            left, weighted = step(length, p, q, x, r, diagonal)
            course.stepped(length, float(np.max(left / size)))
            if (left <= goal).any():
                active &= left > goal
                all_active = False
                if not active.any():
                    return attempt(x)
            if self._hopeless(course.residuals, float(rtol.min())):
                return attempt(x, Reason.STAGNATED)
            z = r if diagonal.size else self._precondition(r, room)
            rho, previous = weighted if diagonal.size else dots(r, z), rho
            if not (rho > 0).all():
                if not np.isfinite(rho).all():
                    break
                if (rho[active] <= 0).any():  # an indefinite preconditioner
                    return attempt(x, Reason.NEGATIVE_CURVATURE)
            turn = rho / previous if all_active else _ratio(rho, previous, active)
            direction(turn, z, p, diagonal)
            z = NOTHING  # free before the next one is made
            course.turned(turn)
        return attempt(x, Reason.MAX_ITERATIONS)

    _solve_adjoint = _solve

    def _hopeless(self, residuals: list[float], rtol: float) -> bool:
        """Whether the rate of the last iterations will not do."""
        k, span = len(residuals), self._foresight
        if span == 0 or k % span or residuals[-1] <= 0.0:
            return False
        before = residuals[k - span - 1] if k > span else 1.0
        rate = np.log(before / residuals[-1]) / span
        return bool(rate <= 0.0 or k + np.log(residuals[-1] / rtol) / rate > self._limit)


class _Course:
    """What CG learns on its way: relative residuals, and the Lanczos matrix of its last column.

    The eigenvalues of that matrix lie between those of M⁻¹A and near the ends of the spectrum.
    Diagonal 1/αₖ + βₖ₋₁/αₖ₋₁, beside it √βₖ/αₖ. Source: Saad 2003, section 6.7.3.
    """

    def __init__(self) -> None:
        self.residuals: list[float] = []
        self._times = [time.perf_counter()]
        self._lengths: list[Array] = []
        self._turns: list[Array] = []

    def stepped(self, length: Array, squared_residual: float) -> None:
        self.residuals.append(squared_residual**0.5)
        self._times.append(time.perf_counter())
        if len(self._lengths) < RITZ_STEPS:
            self._lengths.append(length)

    def turned(self, turn: Array) -> None:
        if len(self._turns) < RITZ_STEPS:
            self._turns.append(turn)

    @property
    def pace(self) -> float:
        """The median of the seconds of an iteration: the first ones wait for memory."""
        return float(np.median(np.diff(self._times))) if self.residuals else 0.0

    def spectrum(self) -> tuple[float, float] | None:
        """Return the smallest and the largest Ritz value; None before the first step."""
        if not self._lengths:
            return None
        lengths = np.array(self._lengths)
        column = int(np.argmax((lengths > 0).sum(axis=0)))
        alpha = lengths[:, column]
        alpha = alpha[: int((alpha > 0).sum())]
        if not alpha.size:
            return None
        beta = np.array(self._turns)[: alpha.size - 1, column] if alpha.size > 1 else np.zeros(0)
        if not (beta >= 0).all():  # an indefinite preconditioner
            return None
        return ritz_values(alpha, beta)


def ritz_values(lengths: Array, turns: Array) -> tuple[float, float]:
    """Return the smallest and the largest Ritz value from αₖ and the βₖ between them."""
    diagonal = 1.0 / lengths
    diagonal[1:] += turns / lengths[:-1]
    ritz = eigvalsh_tridiagonal(diagonal, np.sqrt(turns) / lengths[:-1])
    return float(ritz[0]), float(ritz[-1])


def _identity(r: Array, out: Array) -> Array:
    del out
    return r


def _ratio(a: Array, b: Array, active: NDArray[np.bool_]) -> Array:
    return np.where(active, a / np.where(active, b, 1.0), 0.0)
