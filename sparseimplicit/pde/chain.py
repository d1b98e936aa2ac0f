"""The steps of a trajectory: each an implicit function of the states before it.

c_k = Σⱼ aⱼ M y_{k−j} + h Σᵢ bᵢ r(τᵢ, x, zᵢ) = 0,    zᵢ = Σⱼ wᵢⱼ y_{k−j}

C_kj = aⱼ M + h Σᵢ bᵢ wᵢⱼ J(τᵢ, x, zᵢ),    A_k = C_k0,    B_k = h Σᵢ bᵢ ∂r/∂xᵀ(τᵢ, x, zᵢ)

forward     y_k from y_{k−1}, y_{k−2}
tangent     A_k ẏ_k = −Σ_{j≥1} C_kj ẏ_{k−j} − B_k ẋ
adjoint     A_kᵀ λ_k = ȳ_k;   ȳ_{k−j} += −C_kjᵀ λ_k;   x̄ += −B_kᵀ λ_k
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ..adjoint import contract, tangent_rhs
from ..errors import SparseImplicitError, StructureError
from ..linear import Operator, PreparedSystem
from ..linear.operator import Array
from .dependent import add_contraction, tangent_of
from .evolution import Evolution, Rates
from .factors import Factors
from .schemes import Formula, Scheme, step_lengths
from .step_equation import Counts, StepEquation


@dataclass(frozen=True)
class Point:
    """A rate of a step: h b, τ, w, and the state z it is taken at."""

    scale: float
    time: float
    weights: tuple[float, ...]
    state: Array


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
        self._jacobians: dict[float, tuple[Array, Operator]] = {}
        self._last: tuple[int, tuple[Array, ...], list[Point]] = (0, (), [])

    def _step(self, k: int) -> tuple[Formula, float]:
        return self.scheme.formula(k, self.times, self.lengths), float(self.lengths[k - 1])

    def _where(self, k: int) -> str:
        return f"step {k} of {self.times.size - 1}, t = {self.times[k]:.6g}"

    def points(self, k: int, states: tuple[Array, ...]) -> list[Point]:
        """Return the rates of step k; the same ones as long as it is the same step."""
        of, known, points = self._last
        if of == k and len(known) == len(states) and all(map(_is, known, states)):
            return points
        formula, h = self._step(k)
        points = [
            Point(h * rate.weight, rate.time, rate.states, combined(rate.states, states))
            for rate in formula.rates
        ]
        self._last = (k, states, points)
        return points

    def jacobian(self, point: Point) -> Operator:
        """Return J there; kept for the neighbouring step that may ask for it again."""
        known = self._jacobians.get(point.time)
        if known is not None and known[0] is point.state:
            return known[1]
        jacobian = self.rates.state_jacobian(point.time, point.state)
        if not self.evolution.linear:
            self._jacobians[point.time] = (point.state, jacobian)
            for old in list(self._jacobians)[:-2]:
                del self._jacobians[old]
        return jacobian

    def system(self, k: int, states: tuple[Array, ...]) -> PreparedSystem:
        """Return the prepared A_k."""
        point = self.points(k, states)[0]
        mass = self._step(k)[0].masses[0]
        return self.factors.at(mass, point.scale * point.weights[0], self.jacobian(point))

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
        mass = self.rates.mass
        settled = np.zeros_like(states[-1])
        for j, a in enumerate(formula.masses[1:], start=1):
            settled += a * mass.apply(states[-j])
        for rate in formula.rates[1:]:
            state = combined(rate.states, (*states, settled))  # whose own weight is 0
            settled += h * rate.weight * self.rates.residual(rate.time, state)
        newest = formula.rates[0]
        rest = combined((0.0, *newest.states[1:]), (*states, settled))

        def at(y: Array) -> Array:
            return y if len(newest.states) == 1 else newest.states[0] * y + rest

        def residual(y: Array) -> Array:
            rate = self.rates.residual(newest.time, at(y))
            return settled + formula.masses[0] * mass.apply(y) + h * newest.weight * rate

        step = StepEquation(
            formula.masses[0], h * newest.weight * newest.states[0], residual,
            lambda y: self.rates.state_jacobian(newest.time, at(y)),
        )  # fmt: skip
        if k < self.newton_from:
            y, miss = step.one_solve(states[-1], self.factors, self.counts, self.rtol)
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
        return step.newton(
            states[-1], self.factors, self.counts, self.rtol, max_iterations=self.max_iterations
        )

    # Derivatives

    def push(
        self, k: int, states: tuple[Array, ...], dots: tuple[Array, ...], x_dot: Array, rtol: float
    ) -> Array:
        """Return ẏ_k, (n_y,) or (n_y, p); ``dots`` are the tangents before it, the newest last."""
        formula, _ = self._step(k)
        rhs = np.zeros((states[-1].size, *x_dot.shape[1:]))
        for j, a in enumerate(formula.masses[1:], start=1):
            rhs += a * tangent_rhs(self.rates.mass.source, dots[-j])
        for point in self.points(k, states):
            b = self.rates.parameter_jacobian(point.time, point.state)
            rhs += point.scale * tangent_of(b, x_dot)
            if any(point.weights[1:]):
                dot = combined((0.0, *point.weights[1:]), (*dots, rhs))
                rhs += point.scale * tangent_rhs(self.jacobian(point).source, dot)
        self.counts.solves += _columns(rhs)
        try:
            return self.system(k, states).solve(rhs, rtol=rtol).value
        except SparseImplicitError as error:
            raise error.at(f"tangent of {self._where(k)}") from error.__cause__

    def adjoint(self, k: int, states: tuple[Array, ...], y_bar: Array, rtol: float) -> Array:
        """Return λ_k for the whole cotangent of y_k, (n_y,) or (n_y, p)."""
        self.counts.adjoint_solves += _columns(y_bar)
        try:
            return self.system(k, states).solve_adjoint(y_bar, rtol=rtol).value
        except SparseImplicitError as error:
            raise error.at(f"adjoint of {self._where(k)}") from error.__cause__

    def pull(self, k: int, states: tuple[Array, ...], adjoint: Array, x_bar: Array) -> list[Array]:
        """Add −B_kᵀ λ_k to x̄, and return −C_kjᵀ λ_k for j = 1, 2, …"""
        formula, _ = self._step(k)
        back = [a * contract(self.rates.mass.source, adjoint) for a in formula.masses[1:]]
        for point in self.points(k, states):
            b = self.rates.parameter_jacobian(point.time, point.state)
            add_contraction(x_bar, b, adjoint, point.scale)
            if any(point.weights[1:]):
                part = point.scale * contract(self.jacobian(point).source, adjoint)
                for j, w in enumerate(point.weights[1:]):
                    if w != 0.0:
                        back[j] += w * part
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
        x_part = np.zeros_like(self.x)
        y_parts = [np.zeros_like(states[-1]) for _ in states]
        for point in self.points(k, states):
            in_x, in_y = self.rates.second_order(
                point.time, point.state, adjoint, x_dot, combined(point.weights, dots)
            )
            x_part += point.scale * in_x
            for j, w in enumerate(point.weights):
                y_parts[j] += point.scale * w * in_y
        return x_part, y_parts


def combined(weights: tuple[float, ...], states: tuple[Array, ...]) -> Array:
    """Return Σⱼ wⱼ y_{k−j}, the newest last in ``states``; the one itself where it is only one."""
    used = [(w, states[-1 - j]) for j, w in enumerate(weights) if w != 0.0]
    if len(used) == 1 and used[0][0] == 1.0:
        return used[0][1]
    total = np.zeros_like(states[-1])
    for w, state in used:
        total += w * state
    return total


def _is(one: Array, other: Array) -> bool:
    return one is other


def _columns(b: Array) -> int:
    return 1 if b.ndim == 1 else int(b.shape[1])
