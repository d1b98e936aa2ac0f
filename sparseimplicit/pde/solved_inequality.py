"""A state within its bounds, with its derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ..conditions import conditions_of, parameter_vector
from ..errors import NotDifferentiable
from ..hypergradient import Hypergradient, Loss, hypergradient
from ..implicit import ImplicitFunction, SolvedState
from ..linear.operator import Array
from ..problem import RootProblem
from .active_set_method import ActiveSetMethod
from .active_sets import ActiveSets, InequalityReport
from .bounds import Bounds, Equations
from .condensed import Condensed, Mask
from .dependent import tangent_of

if TYPE_CHECKING:
    from .obstacle import VariationalInequality

ROUNDING: Final = 1e3 * float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class SolvedInequality:
    """A state within its bounds, with all that differentiating it needs.

    Attributes
    ----------
    x, y : arrays, shapes (n_x,), (n_y,)
    found : ActiveSets
    """

    inequality: VariationalInequality
    x: Array
    bounds: Bounds
    found: ActiveSets

    @property
    def y(self) -> Array:
        """The state, (n_y,)."""
        return self.found.y

    @property
    def multiplier(self) -> Array:
        """c(x, y), (n_y,): ≥ 0 where y is at its lower bound, ≤ 0 at its upper one, else 0."""
        return self.found.residual

    @property
    def lower_active(self) -> Mask:
        """Which unknowns the lower bound holds back, (n_y,)."""
        return self.found.lower

    @property
    def upper_active(self) -> Mask:
        """Which unknowns the upper bound holds back, (n_y,)."""
        return self.found.upper

    @cached_property
    def weak_sides(self) -> tuple[Mask, Mask]:
        """Which unknowns touch their lower, their upper bound and are not pressed on it."""
        found, low, high = self.found, self.bounds.low, self.bounds.high
        y, force = found.y, np.abs(found.residual)
        active = (found.lower | found.upper) & (low != high)
        entries = found.jacobian.entries
        rounding = ROUNDING * float((abs(entries) @ np.abs(y)).max(initial=0.0))
        rtol = self.inequality.weak_rtol
        unpressed = force <= max(rtol * float(force[active].max(initial=0.0)), rounding)
        near = []
        for distance in (y - low, high - y):
            free = distance[~(found.lower | found.upper) & np.isfinite(distance)]
            least = ROUNDING * float(np.abs(y).max(initial=0.0))
            near.append(distance <= max(rtol * float(free.max(initial=0.0)), least))
        both = unpressed & (low != high)
        return both & near[0], both & near[1] & ~near[0]

    @property
    def weakly_active(self) -> NDArray[np.intp]:
        """Indices of the unknowns at which the derivative is one-sided."""
        return np.flatnonzero(self.weak_sides[0] | self.weak_sides[1])

    @cached_property
    def report(self) -> InequalityReport:
        """How the sets were found, and how many unknowns are weakly active."""
        return InequalityReport(weakly_active=self.weakly_active.size, **self.found.figures)

    @cached_property
    def equations(self) -> Equations:
        """The conditions that hold around here: c_I = 0 and y_P = ψ_P.

        Raises
        ------
        NotDifferentiable
            Where unknowns are weakly active, unless a side was chosen for them.
        """
        policy, weak = self.inequality.weakly_active, self.weakly_active
        lower, upper = self.found.lower.copy(), self.found.upper.copy()
        if weak.size and policy == "raise":
            told = ", ".join(map(str, weak[:6])) + (", …" if weak.size > 6 else "")
            raise NotDifferentiable(
                f"{weak.size} of {self.y.size} unknowns touch a bound and are not pressed on it "
                f"({told}): there the derivative is one-sided.",
                unknowns=weak,
                where="SolvedInequality",
                fix="ask for `directional(x_dot)`; or choose a side for all of them: "
                "VariationalInequality(…, weakly_active='inactive') or 'active'.",
            )
        for side, mask in ((lower, self.weak_sides[0]), (upper, self.weak_sides[1])):
            side[mask] = policy == "active"
        return Equations(self.inequality.conditions, self.bounds, lower, upper, self.found.diagonal)

    @cached_property
    def state(self) -> SolvedState:
        """The same state as one of these equations: what `hypergradient` and others take.

        Raises
        ------
        NotDifferentiable
            As for ``equations``.
        """
        selection, equations = self.found.selection, self.equations
        solver = Condensed(
            equations.inactive > 0.0,
            self.inequality.linear_solver if selection is None else selection.solver,
            self.inequality.conditions.structure,
            self.found.system,
        )
        rtol = max(self.found.figures["rtol"], 1e-12)
        return ImplicitFunction(equations.problem(), solver).solve(self.x, self.y, rtol=rtol)

    def jvp(self, x_dot: Any, *, rtol: float = 1e-8) -> Array:
        """Push tangents forward: (n_x,) or (n_x, k) to (n_y,) or (n_y, k)."""
        return self.state.jvp(x_dot, rtol=rtol)

    def vjp(self, y_bar: Any, *, rtol: float = 1e-8) -> Array:
        """Pull cotangents back: (n_y,) or (n_y, k) to (n_x,) or (n_x, k)."""
        return self.state.vjp(y_bar, rtol=rtol)

    def gradient(self, loss: Loss, *, rtol: float = 1e-8) -> Hypergradient:
        """Return the loss and dL/dx, see `hypergradient`."""
        return hypergradient(loss, self.state, rtol=rtol)

    def directional(self, x_dot: Any, *, rtol: float = 1e-10) -> Array:
        """Return the derivative of y along +ẋ, (n_y,), which exists also where it is one-sided.

        It solves an inequality of its own: ẏ = ψ' ẋ where y is pressed on a bound, ẏ ≥ l' ẋ or
        ẏ ≤ u' ẋ where it is weakly active. It is positively homogeneous in ẋ, and linear only
        where no unknown is weakly active. Source: Mignot 1976, J. Funct. Anal. 22.
        """
        direction = parameter_vector(x_dot, "x_dot")
        a, conditions = self.found.jacobian, self.inequality.conditions
        b = conditions.parameter_jacobian(self.x, self.y)
        load = tangent_of(b, direction)
        low, high = np.full(self.y.size, -np.inf), np.full(self.y.size, np.inf)
        sets, weak = (self.found.lower, self.found.upper), self.weak_sides
        for side in (0, 1):
            touching = sets[side] | weak[side]
            if not touching.any():
                continue
            moved = -tangent_of(self.bounds.jacobian(side), direction)
            pressed = sets[side] & ~weak[side]
            low[pressed] = high[pressed] = moved[pressed]
            (low if side == 0 else high)[weak[side]] = moved[weak[side]]
        linear = RootProblem(
            residual=lambda x, y: a.apply(y) - load,
            state_jacobian=lambda x, y: a,
            parameter_jacobian=lambda x, y: b,
            structure=conditions.structure,
        )
        method = ActiveSetMethod(
            conditions_of(linear), self.x, low, high, linear_solver=self.inequality.linear_solver,
            start=self.found, rtol=rtol,
            max_iterations=self.inequality.max_iterations,
        )  # fmt: skip
        return method.run(np.zeros(self.y.size)).y

    def __repr__(self) -> str:
        """Name the sizes of the sets."""
        r = self.report
        return (
            f"SolvedInequality(n_x={self.x.size}, n_y={self.y.size}, {r.lower_active} at lower, "
            f"{r.upper_active} at upper bounds, {r.weakly_active} weakly)"
        )
