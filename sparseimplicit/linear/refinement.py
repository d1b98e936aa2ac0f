"""Nothing that a method says of itself is believed: its residual and condition are measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import SingularSystem
from ..kernels.vectors import finite
from .checks import backend_errors
from .method import Attempt, PreparedMethod
from .operator import Array, Operator, column_norms, norm
from .reports import Reason

# Of the equilibrated matrix, ‖A‖ ‖x‖ √n / ‖A x‖ for the answer x to a random right-hand side, above
# this, proves it singular to working precision: a condition number above 1e14 leaves no digit that
# one would call a gradient.
SINGULAR_GROWTH: Final = 1e14
ROUNDING: Final = float(np.finfo(float).eps)
MAX_REFINEMENTS: Final = 10


class Probed:
    """A method for a matrix, whose condition its first solve measures.

    condition : a lower bound, once known. seconds, columns : of the method itself,
    in all solves so far.
    """

    def __init__(self, operator: Operator, method: PreparedMethod, label: str) -> None:
        self.operator: Final = operator
        self.method: Final = method
        self.label: Final = label
        self.condition: float | None = None
        self.seconds = 0.0
        self.columns = 0

    def attempt(self, b: Array, rtol: Array, *, transposed: bool) -> Attempt:
        """Run a direct method, and its first time one random column to measure ‖A⁻¹‖.

        With x what the method answers to it, ‖Ã‖ ‖x‖ / ‖Ã x‖ is a lower bound of the condition
        number of the equilibrated Ã, however good the answer, and units do not change it. It costs
        one column with the first solve, and unmasks a singular matrix that a factorization with a
        pivot of rounding size let pass: its residual can be small while the answer is arbitrary
        along the null vector.
        """
        if self.condition is not None or not self.method.direct:
            return self._timed(b, rtol, transposed)
        rows, columns, size = self.operator.equilibration()
        if transposed:
            rows, columns = columns, rows
        probe = rows * np.random.default_rng(0).standard_normal(self.operator.n)
        probe /= norm(probe)
        # Two solves: PARDISO takes three times as long for two columns in one as for one.
        attempt = self._timed(b, rtol, transposed)
        probed = self._timed(probe[:, None], np.ones(1), transposed).value[:, 0]
        length = size * norm(columns * probed)
        if not np.isfinite(length):
            raise self._singular("a right-hand side of size 1 has no finite answer")
        # Rounding hides what is smaller: no condition number above 1/ε is told.
        image = self._product(probed, transposed) / rows
        self.condition = length / max(norm(image), ROUNDING * length)
        if not self.condition * np.sqrt(self.operator.n) <= SINGULAR_GROWTH:
            raise self._singular(
                "its condition number, rows and columns brought to like size, is at least "
                f"{self.condition:.1e}"
            )
        if self.method.perturbed and not self._refinable(probe, transposed):
            raise self._singular(
                f"{self.method.perturbed} of its pivots vanished, and for a random right-hand side "
                "no answer was found"
            )
        return attempt

    def _singular(self, because: str) -> SingularSystem:
        return SingularSystem(
            f"the matrix is singular to working precision: {because}.",
            where=f"solver '{self.label}'",
            fix="fix the gauge (a pinned unknown, a mean value), or add the missing term; "
            "si.linear.diagnose(A) names the null vectors; on_singular='min_norm' takes the "
            "solution without them.",
        )

    def _refinable(self, b: Array, transposed: bool) -> bool:
        """Whether a random right-hand side can be solved for, with the pivots as they were made.

        A singular matrix admits none: its residual keeps the part along the left null vector.
        """
        x = np.zeros_like(b)
        for _ in range(MAX_REFINEMENTS):
            left = b - self._product(x, transposed)
            if norm(left) < 1e-6 / np.sqrt(self.operator.n):
                return True
            x += self._timed(left[:, None], np.ones(1), transposed).value[:, 0]
        return False

    def _product(self, x: Array, transposed: bool) -> Array:
        return self.operator.apply_transpose(x) if transposed else self.operator.apply(x)

    def _timed(self, b: Array, rtol: Array, transposed: bool) -> Attempt:
        started = time.perf_counter()
        run = self.method._solve_adjoint if transposed else self.method._solve
        result = run(b, rtol)
        self.seconds += time.perf_counter() - started
        self.columns += b.shape[1]
        return result


class Refinement:
    """Solve, recompute the residual, and solve for what is left while that helps."""

    def __init__(self, probed: Probed, transposed: bool) -> None:
        operator = probed.operator
        self.probed = probed
        self.transposed = transposed
        self.apply: Callable[[Array], Array] = (
            operator.apply_transpose if transposed else operator.apply
        )
        self.value: Array = np.zeros(0)
        self.before = self.residual = 0.0
        self.iterations = self.refinements = 0
        self.reason = Reason.CONVERGED

    def run(self, rhs: Array, rtol: float, first: Array | None) -> Refinement:
        """Work on columns of norm 1; a zero column is its own answer. rhs is scaled in place."""
        norms = column_norms(rhs)
        unit = np.where(norms > 0, norms, 1.0)
        b = np.divide(rhs, unit, out=rhs)
        x = np.zeros_like(b) if first is None else first / unit
        left = b if first is None else b - self.apply(x)
        size = column_norms(left)
        self.before = float(size.max(initial=0.0))
        while (active := np.flatnonzero(~(size <= rtol))).size:
            part = left if active.size == size.size else left[:, active]
            reason = self._improve(x, part, size[active], rtol, active)
            # The products are recomputed from x: nothing a method says of itself is believed.
            left_new = b - self.apply(x)
            size_new = column_norms(left_new)
            worse = ~(size_new <= 0.5 * size) & ~(size_new <= rtol)
            left, size = left_new, size_new
            if reason is not Reason.CONVERGED:
                self.reason = reason
            elif worse[active].any() or self.refinements >= MAX_REFINEMENTS:
                self.reason = Reason.STAGNATED
            if self.reason is not Reason.CONVERGED:
                break
            self.refinements += 1
        self.residual = float(size.max(initial=0.0))
        if self.residual <= rtol:
            self.reason = Reason.CONVERGED
        self.refinements = max(self.refinements - 1, 0)
        x *= unit
        self.value = x
        return self

    def _improve(
        self, x: Array, left: Array, size: Array, rtol: float, active: NDArray[np.intp]
    ) -> Reason:
        # 0.9: the recursive residual of a Krylov method drifts from the true one.
        goal = np.minimum(0.9 * rtol / size, 0.5)
        with backend_errors(f"solver '{self.probed.label}', solve"):
            # At first it is of norm 1 already, and need not be held twice.
            unit = (np.abs(size - 1.0) <= 1e-12).all()
            b = np.ascontiguousarray(left if unit else left / size)
            result = self.probed.attempt(b, goal, transposed=self.transposed)
        self.iterations += result.iterations
        if finite(np.ravel(result.value)):
            if active.size == x.shape[1]:
                x += result.value if unit else result.value * size
            else:
                x[:, active] += result.value * size
        elif result.reason is Reason.CONVERGED:
            return Reason.STAGNATED
        return result.reason
