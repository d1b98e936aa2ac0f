"""One step of a trajectory as an equation for y_k, and the two ways to solve it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from ..conditions import conditions_of
from ..linear import Operator
from ..linear.operator import Array, norm
from ..newton import solve_newton
from ..problem import RootProblem
from .factors import Factors

ROUNDING: Final = 64 * float(np.finfo(float).eps)


@dataclass
class Counts:
    """What a trajectory's steps have cost so far; columns of solves are counted singly."""

    steps: int = 0
    solves: int = 0
    adjoint_solves: int = 0
    newton_iterations: int = 0


@dataclass(frozen=True)
class StepEquation:
    """c(y) = 0, whose Jacobian is mass M + scale J(y)."""

    mass: float
    scale: float
    residual: Callable[[Array], Array]
    jacobian: Callable[[Array], Operator]

    def one_solve(
        self, guess: Array, factors: Factors, counts: Counts, rtol: float
    ) -> tuple[Array | None, float]:
        """Return what one solve with the factor at hand gives, if that is y_k; and what it misses.

        It is, where r is linear in y; then an even grid needs one factorization in all.
        """
        jacobian = self.jacobian(guess)
        if jacobian.products_only and not factors.constant:
            return None, np.inf
        system = factors.at(self.mass, self.scale, jacobian)
        first = self.residual(guess)
        if not first.any():
            return guess, 0.0
        # What is asked of the solve is what the step has to reach: ‖A y‖ as it is at the guess,
        # or ‖c‖ if that is more.
        scale = max(norm(system.operator.apply(guess)), norm(first))
        step_rtol = min(max(0.1 * rtol * scale / norm(first), 1e-14), 0.1)
        solution = system.solve(-first, rtol=step_rtol, strict=False)
        counts.solves += 1
        y = guess + solution.value
        miss, size = norm(self.residual(y)), norm(system.operator.apply(y))
        if miss <= max(rtol * size, ROUNDING * norm(first)):
            y.flags.writeable = False
            return y, 0.0
        return None, miss / size if size else np.inf

    def newton(
        self, guess: Array, factors: Factors, counts: Counts, rtol: float, *, max_iterations: int
    ) -> Array:
        """Return y_k by Newton's method; the symbolic analysis is that of the step before."""

        def matrix_at(y: Array) -> Operator:
            return factors.combined(self.mass, self.scale, self.jacobian(y))

        problem = RootProblem(
            residual=lambda x, y: self.residual(y),
            state_jacobian=lambda x, y: matrix_at(y),
            parameter_jacobian=lambda x, y: None,  # not asked for
            structure=factors.structure,
        )
        if factors.selection is None:
            factors.solver_for(matrix_at(guess))
        assert factors.selection is not None  # noqa: S101 - just made
        result = solve_newton(
            conditions_of(problem), np.empty(0), guess, linear_solver=factors.selection.solver,
            analysis=factors.analysis, rtol=rtol, max_iterations=max_iterations,
            reuse=False,
        )  # fmt: skip
        factors.analysis = result.analysis
        factors.count(result.report.factorizations, result.report.analyses)
        counts.newton_iterations += result.report.iterations
        counts.solves += result.report.iterations
        result.y.flags.writeable = False
        return result.y
