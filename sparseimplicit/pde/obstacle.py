"""Obstacles: a lower level with bounds on the state, and its derivative on the inactive set.

With I the inactive and P the active unknowns, y_P = ψ_P(x) the bound that each has met,

    A_II ẏ_I = −B_I ẋ − A_IP ẏ_P,   ẏ_P = ψ'_P ẋ;      A_IIᵀ λ_I = ȳ_I,  λ_P = ȳ_P − A_IPᵀ λ_I

which is the theorem for c_I = 0, y_P − ψ_P = 0. It holds where every active unknown is pressed on
its bound. Where one is not, the derivative is one-sided, and that is said.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..conditions import conditions_of, parameter_vector
from ..errors import ConfigError
from ..implicit import ImplicitFunction
from ..linear import Solver
from ..linear.checks import check_rtol
from ..linear.operator import Array
from ..problem import Problem, RootProblem
from .active_set_method import ActiveSetMethod
from .bounds import Bounds
from .condensed import Condensed
from .solved_inequality import SolvedInequality


class VariationalInequality:
    """x ↦ y(x) with ``l ≤ y ≤ u`` and c(x, y) = 0 but where a bound holds y back.

    For a `MinimizationProblem` this is y = argmin g(x, y) subject to the bounds; for a
    `RootProblem`, whose c should rise with y, a mixed complementarity problem.

    Parameters
    ----------
    problem : MinimizationProblem or RootProblem
        The matrix A with its entries.
    lower, upper : number, array of shape (n_y,), or Dependent, optional
        l and u; ±inf for no bound; a `Dependent` bound moves with x.
    linear_solver : str or Solver
        For A_II; ``"auto"`` chooses at the first one.
    max_iterations : int
    weakly_active : {"raise", "active", "inactive"}
        What derivatives take the unknowns for that touch a bound and are not pressed on it.
        ``"raise"`` refuses where there are any; the others choose a side, and what is then
        computed is one of the one-sided derivatives.
    weak_rtol : float
        An active unknown is weakly active where its |c| is below this part of the largest one, an
        inactive one where its distance is below this part of the largest.

    Examples
    --------
    >>> import numpy as np, sparseimplicit as si
    >>> from sparseimplicit import pde
    >>> pressed = pde.VariationalInequality(  # y = max(x − 1, 0) and max(x + 1, 0)
    ...     si.MinimizationProblem(
    ...         gradient=lambda x, y: y - x - np.array([-1.0, 1.0]),
    ...         hessian=lambda x, y: np.eye(2), cross_hessian=lambda x, y: -np.ones(2),
    ...     ),
    ...     lower=np.zeros(2),
    ... )
    >>> solved = pressed.solve(0.5)
    >>> print(solved.y, solved.lower_active, solved.jvp(1.0))
    [0.  1.5] [ True False] [0. 1.]
    """

    def __init__(
        self,
        problem: Problem,
        *,
        lower: Any = None,
        upper: Any = None,
        linear_solver: str | Solver = "auto",
        max_iterations: int = 100,
        weakly_active: str = "raise",
        weak_rtol: float = 1e-8,
    ) -> None:
        if weakly_active not in ("raise", "active", "inactive"):
            raise ConfigError(
                f"weakly_active is {weakly_active!r}.",
                where="VariationalInequality",
                fix="use 'raise', 'active' or 'inactive'.",
            )
        self.problem: Final = problem
        self.lower: Final = lower
        self.upper: Final = upper
        self.linear_solver: Final = linear_solver
        self.max_iterations: Final = max_iterations
        self.weakly_active: Final = weakly_active
        self.weak_rtol: Final = weak_rtol
        self.conditions: Final = conditions_of(problem)

    def solve(
        self,
        x: Any,
        y0: Any = None,
        *,
        start: SolvedInequality | None = None,
        rtol: float = 1e-10,
    ) -> SolvedInequality:
        """Find the state for a parameter.

        Parameters
        ----------
        x : number or array, shape (n_x,)
        y0 : array, shape (n_y,), optional
            First guess; needed if neither bound is an array and there is no ``start``.
        start : SolvedInequality, optional
            A neighbouring solution: first guess and choice of solver.
        rtol : float
            ``‖d (y − clip(y − c/d, l, u))‖ ≤ rtol ‖A y‖``, d the diagonal of A.

        Raises
        ------
        NotConverged, NotPositiveDefinite, SingularSystem, StructureError, ShapeError, NonFinite
        """
        check_rtol(rtol, "VariationalInequality.solve")
        parameter = parameter_vector(x, "x")
        guess = None if y0 is None else parameter_vector(y0, "y0")
        if guess is None and start is not None:
            guess = start.y
        bounds = Bounds(self.lower, self.upper, parameter, None if guess is None else guess.size)
        if guess is None:
            guess = np.zeros(bounds.n)
        method = self._method(parameter, bounds, rtol, start)
        return SolvedInequality(self, parameter, bounds, method.run(guess))

    def implicit(self, *, rtol: float = 1e-10) -> ImplicitFunction:
        """Return the same map as an `ImplicitFunction`, for `minimize`, `verify.taylor` and others.

        Its conditions are ``d (y − clip(y − c/d, l, u)) = 0``, whose derivatives are those of the
        active sets; each state is found by `solve`, to ``rtol``.

        Raises
        ------
        NotDifferentiable
            From every solve of it, where unknowns are weakly active and no side was chosen.

        Notes
        -----
        Cost: `solve`, and one preparation of A_II where a derivative is asked for.
        """

        def around(x: Array, y: Array) -> SolvedInequality:
            bounds = Bounds(self.lower, self.upper, x, y.size)
            return SolvedInequality(self, x, bounds, self._method(x, bounds, rtol, None).at(y))

        def natural(x: Array, y: Array) -> Array:
            point = around(x, y)
            d, low, high = point.found.diagonal, point.bounds.low, point.bounds.high
            return np.asarray(d * (y - np.clip(y - point.found.residual / d, low, high)))

        def second(x: Array, y: Array, *along: Array) -> tuple[Array, Array]:
            return around(x, y).equations.second_order(x, y, *along)

        problem = RootProblem(
            residual=natural,
            state_jacobian=lambda x, y: around(x, y).equations.state_jacobian(x, y),
            parameter_jacobian=lambda x, y: around(x, y).equations.parameter_jacobian(x, y),
            second_order=None if self.conditions.second_order_of is None else second,
        )
        solver = Condensed(inner=self.linear_solver, structure=self.conditions.structure)
        return ImplicitFunction(problem, solver, lambda x, y0: self.solve(x, y0, rtol=rtol).y)

    def _method(
        self, x: Array, bounds: Bounds, rtol: float, start: SolvedInequality | None
    ) -> ActiveSetMethod:
        return ActiveSetMethod(
            self.conditions, x, bounds.low, bounds.high, linear_solver=self.linear_solver,
            start=None if start is None else start.found, rtol=rtol,
            max_iterations=self.max_iterations,
        )  # fmt: skip
