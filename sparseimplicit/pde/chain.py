"""The steps of a trajectory: each an implicit function of the states before it.

c_k = Σⱼ aⱼ M y_{k−j} + h Σⱼ bⱼ r(t_{k−j}, x, y_{k−j}) = 0,    A_k = a₀ M + h b₀ J(t_k, x, y_k)

forward     y_k from y_{k−1}, y_{k−2}
tangent     A_k ẏ_k = −Σ_{j≥1} C_kj ẏ_{k−j} − B_k ẋ        C_kj = aⱼ M + h bⱼ J(t_{k−j}, …)
adjoint     A_kᵀ λ_k = ȳ_k;   ȳ_{k−j} += −C_kjᵀ λ_k;   x̄ += −B_kᵀ λ_k
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..adjoint import contract, tangent_rhs
from ..conditions import conditions_of
from ..errors import SparseImplicitError, StructureError
from ..linear import Operator, PreparedSystem
from ..linear.operator import Array, norm
from ..newton import solve_newton
from ..problem import RootProblem
from .evolution import Evolution, Rates, add_contraction, tangent_of
from .factors import Factors
from .schemes import Formula, Scheme, step_lengths

ROUNDING: Final = 64 * float(np.finfo(float).eps)


@dataclass
class Counts:
    """What a trajectory's steps have cost so far; columns of solves are counted singly."""

    steps: int = 0
    solves: int = 0
    adjoint_solves: int = 0
    newton_iterations: int = 0


class Chain:
    """All steps at one x. ``states`` are always those up to some y_k, the newest last."""

    def __init__(
        self,
        evolution: Evolution,
        scheme: Scheme,
        times: Array,
        x: Array,
        factors: Factors,
        rtol: float,
        max_iterations: int,
    ) -> None:
        self.evolution: Final = evolution
        self.scheme: Final = scheme
        self.times: Final = times
        self.x: Final = x
        self.factors: Final = factors
        self.rtol: Final = rtol
        self.max_iterations: Final = max_iterations
        self.rates: Final = Rates(evolution, x)
        self.counts: Final = Counts()
        self.lengths: Final = step_lengths(times)
        # From this step on Newton's method is needed. A step that is made again goes the same
        # way as the first time, so that it gives the same bits.
        self.newton_from = times.size
        self._memo: dict[int, tuple[Array, Operator]] = {}

    def _step(self, k: int) -> tuple[Formula, float]:
        return self.scheme.formula(k, self.lengths), float(self.lengths[k - 1])

    def _where(self, k: int) -> str:
        return f"step {k} of {self.times.size - 1}, t = {self.times[k]:.6g}"

    def jacobian(self, k: int, y: Array) -> Operator:
        """Return J(t_k, x, y_k); kept for the neighbouring steps that ask for it again."""
        known = self._memo.get(k)
        if known is not None and known[0] is y:
            return known[1]
        jacobian = self.rates.state_jacobian(self.times[k], y)
        if not self.evolution.linear:
            self._memo[k] = (y, jacobian)
            for old in sorted(self._memo, key=lambda i: abs(i - k))[self.scheme.memory + 1 :]:
                del self._memo[old]
        return jacobian

    def system(self, k: int, y: Array) -> PreparedSystem:
        """Return the prepared A_k."""
        formula, h = self._step(k)
        return self.factors.at(formula.masses[0], h * formula.rates[0], self.jacobian(k, y))

    # Forward

    def advance(self, k: int, states: tuple[Array, ...]) -> Array:
        """Return y_k, with ``‖c_k‖ ≤ rtol ‖A_k y_k‖``."""
        self.counts.steps += 1
        try:
            return self._advance(k, states)
        except SparseImplicitError as error:
            raise error.at(self._where(k)) from error.__cause__

    def _advance(self, k: int, states: tuple[Array, ...]) -> Array:
        formula, h = self._step(k)
        settled = sum(
            (
                a * self.rates.mass.apply(states[-j])
                for j, a in enumerate(formula.masses[1:], start=1)
            ),
            np.zeros_like(states[-1]),
        )
        for j, b in enumerate(formula.rates[1:], start=1):
            if b != 0.0:
                settled += h * b * self.rates.residual(self.times[k - j], states[-j])

        def residual(y: Array) -> Array:
            rate = self.rates.residual(self.times[k], y)
            return (
                settled
                + formula.masses[0] * self.rates.mass.apply(y)
                + (h * formula.rates[0] * rate)
            )

        if k < self.newton_from:
            y, miss = self._one_solve(k, states[-1], residual)
            if y is not None:
                return y
            if self.evolution.linear:
                raise StructureError(
                    f"the residual was declared linear, and after one solve ‖c‖/‖A y‖ is {miss:.1e}"
                    f" (rtol {self.rtol:.1e}).",
                    fix="leave linear=True away, unless state_jacobian is wrong: compare it with "
                    "differences of the residual; or raise rtol, if this is rounding.",
                )
            self.newton_from = k
        return self._newton(k, states[-1], residual)

    def _one_solve(self, k: int, guess: Array, residual: Any) -> tuple[Array | None, float]:
        """Return what one solve with the factor at hand gives, if that is y_k; and what it misses.

        It is, where r is linear in y; then an even grid needs one factorization in all.
        """
        formula, h = self._step(k)
        jacobian = self.rates.state_jacobian(self.times[k], guess)
        if jacobian.products_only and not self.evolution.linear:
            return None, np.inf
        system = self.factors.at(formula.masses[0], h * formula.rates[0], jacobian)
        first = residual(guess)
        if not first.any():
            return guess, 0.0
        # What is asked of the solve is what the step has to reach: ‖A y‖ as it is at the guess,
        # or ‖c‖ if that is more.
        scale = max(norm(system.operator.apply(guess)), norm(first))
        rtol = min(max(0.1 * self.rtol * scale / norm(first), 1e-14), 0.1)
        solution = system.solve(-first, rtol=rtol, strict=False)
        self.counts.solves += 1
        y = guess + solution.value
        miss, size = norm(residual(y)), norm(system.operator.apply(y))
        if miss <= max(self.rtol * size, ROUNDING * norm(first)):
            y.flags.writeable = False
            return y, 0.0
        return None, miss / size if size else np.inf

    def _newton(self, k: int, guess: Array, residual: Any) -> Array:
        formula, h = self._step(k)

        def matrix_at(y: Array) -> Operator:
            jacobian = self.rates.state_jacobian(self.times[k], y)
            matrix = self.factors.combined(formula.masses[0], h * formula.rates[0], jacobian)
            self.factors.solver_for(matrix)
            return matrix

        step = RootProblem(
            residual=lambda x, y: residual(y),
            state_jacobian=lambda x, y: matrix_at(y),
            parameter_jacobian=lambda x, y: None,  # not asked for
            structure=self.evolution.structure,
        )
        factors = self.factors
        if factors.selection is None:
            matrix_at(guess)
        assert factors.selection is not None  # noqa: S101 - just made
        result = solve_newton(
            conditions_of(step), self.x, guess, linear_solver=factors.selection.solver,
            analysis=factors.analysis, rtol=self.rtol, max_iterations=self.max_iterations,
            reuse=False,
        )  # fmt: skip
        factors.analysis = result.analysis
        factors.count(result.report.factorizations, result.report.analyses)
        self.counts.newton_iterations += result.report.iterations
        self.counts.solves += result.report.iterations
        result.y.flags.writeable = False
        return result.y

    # Derivatives

    def parameter_jacobians(self, k: int, states: tuple[Array, ...]) -> list[tuple[float, Any]]:
        """Return the parts of B_k: (h bⱼ, ∂r/∂xᵀ at t_{k−j}) for all j with bⱼ ≠ 0."""
        formula, h = self._step(k)
        return [
            (h * b, self.rates.parameter_jacobian(self.times[k - j], states[-1 - j]))
            for j, b in enumerate(formula.rates)
            if b != 0.0
        ]

    def push(
        self, k: int, states: tuple[Array, ...], dots: tuple[Array, ...], x_dot: Array, rtol: float
    ) -> Array:
        """Return ẏ_k, (n_y,) or (n_y, p); ``dots`` are the tangents before it, the newest last."""
        formula, h = self._step(k)
        rhs = np.zeros((states[-1].size, *x_dot.shape[1:]))
        for scale, b in self.parameter_jacobians(k, states):
            rhs += scale * tangent_of(b, x_dot)
        for j, a in enumerate(formula.masses[1:], start=1):
            rhs += a * tangent_rhs(self.rates.mass.source, dots[-j])
        for j, b in enumerate(formula.rates[1:], start=1):
            if b != 0.0:
                earlier = self.jacobian(k - j, states[-1 - j]).source
                rhs += h * b * tangent_rhs(earlier, dots[-j])
        self.counts.solves += _columns(rhs)
        try:
            return self.system(k, states[-1]).solve(rhs, rtol=rtol).value
        except SparseImplicitError as error:
            raise error.at(f"tangent of {self._where(k)}") from error.__cause__

    def adjoint(self, k: int, states: tuple[Array, ...], y_bar: Array, rtol: float) -> Array:
        """Return λ_k for the whole cotangent of y_k, (n_y,) or (n_y, p)."""
        self.counts.adjoint_solves += _columns(y_bar)
        try:
            return self.system(k, states[-1]).solve_adjoint(y_bar, rtol=rtol).value
        except SparseImplicitError as error:
            raise error.at(f"adjoint of {self._where(k)}") from error.__cause__

    def pull(self, k: int, states: tuple[Array, ...], adjoint: Array, x_bar: Array) -> list[Array]:
        """Add −B_kᵀ λ_k to x̄, and return −C_kjᵀ λ_k for j = 1, 2, …"""
        formula, h = self._step(k)
        for scale, b in self.parameter_jacobians(k, states):
            add_contraction(x_bar, b, adjoint, scale)
        back = [a * contract(self.rates.mass.source, adjoint) for a in formula.masses[1:]]
        for j, b in enumerate(formula.rates[1:], start=1):
            if b != 0.0:
                earlier = self.jacobian(k - j, states[-1 - j]).source
                back[j - 1] += h * b * contract(earlier, adjoint)
        return back

    def curvature(
        self,
        k: int,
        states: tuple[Array, ...],
        dots: tuple[Array, ...],
        x_dot: Array,
        adjoint: Array,
    ) -> tuple[Array, list[Array]]:
        """Return the second derivatives of λ_kᵀ c_k along (ẋ, ẏ), in x and in y_k, y_{k−1}, …

        For one direction. The mass terms are linear and have none.
        """
        formula, h = self._step(k)
        x_part = np.zeros_like(self.x)
        y_parts: list[Array] = []
        for j, b in enumerate(formula.rates):
            if b == 0.0:
                y_parts.append(np.zeros_like(states[-1]))
                continue
            in_x, in_y = self.rates.second_order(
                self.times[k - j], states[-1 - j], adjoint, x_dot, dots[-1 - j]
            )
            x_part += h * b * in_x
            y_parts.append(h * b * in_y)
        return x_part, y_parts


def _columns(b: Array) -> int:
    return 1 if b.ndim == 1 else int(b.shape[1])
