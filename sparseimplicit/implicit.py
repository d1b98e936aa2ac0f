"""The state as a function of the parameter: solve once, differentiate many times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Literal, overload

import numpy as np
from scipy.sparse.linalg import LinearOperator

from .adjoint import contract, tangent_rhs
from .conditions import Conditions, Linearization, conditions_of, finite_vector, parameter_vector
from .errors import (
    MemoryBudgetExceeded,
    NotConverged,
    NotPositiveDefinite,
    ShapeError,
    SingularSystem,
    SparseImplicitError,
)
from .linear import (
    Ladder,
    LinearSolution,
    Passed,
    PreparationReport,
    PreparedSystem,
    Solver,
    select,
)
from .linear.causes import causes_told
from .linear.checks import check_rtol
from .linear.memory import available_bytes, told_bytes
from .linear.nullspace import null_space
from .linear.operator import Array, norm
from .linear.singular import check_policy, solve_singular
from .newton import NewtonResult, solve_newton
from .problem import Problem
from .state_report import StateReport
from .state_system import StateSystem

BLOCK: Final = 64  # columns of the Jacobian solved for at once


@dataclass(frozen=True)
class Start:
    """What one solve hands to the next: a first guess, the solver chosen, a symbolic analysis.

    solver: what ``auto`` takes instead of choosing again; None lets it choose. passed: a prepared
    system, taken where the next matrix is the same to the bit, and dropped where it is not.
    """

    y: Array
    solver: Solver | None = None
    analysis: Any = None
    passed: Passed | None = None


class ImplicitFunction:
    """x ↦ y(x), the state that a problem defines.

    Parameters
    ----------
    problem : MinimizationProblem or RootProblem
    linear_solver : str or Solver
        ``"auto"`` chooses at the first Jacobian; a name of `available_solvers`; or a solver.
    forward : callable, optional
        ``forward(x, y0) -> y``, a solver of your own. Its answer is held against the conditions;
        None means the Newton method built in.
    max_iterations : int
        Of Newton's method.
    on_singular : {"raise", "min_norm", "damp"}
        What a step of Newton's, a tangent, an adjoint is where A is singular, see `linear.solve`;
        the reports say where it was. With ``"min_norm"`` a Krylov method's answers are believed
        once a factorization has shown that A has no null vectors.
    reuse : bool
        Whether *measured times* decide if Newton steps go on with an older preparation, and if a
        state is factorized itself or solved with the last step's; False gives the same bits in
        every run. See `linear.Sequence`, `SolvedState.system`.

    Examples
    --------
    >>> import numpy as np, sparseimplicit as si
    >>> cube_root = si.ImplicitFunction(si.RootProblem(
    ...     residual=lambda x, y: y**3 - x,
    ...     state_jacobian=lambda x, y: 3 * y**2,
    ...     parameter_jacobian=lambda x, y: -1.0,
    ... ))
    >>> solved = cube_root.solve(8.0, y0=1.0)
    >>> print(f"{solved.y[0]:.6f} {solved.jvp(1.0)[0]:.6f}")  # y = 2, dy/dx = 1/(3 y²)
    2.000000 0.083333
    """

    def __init__(
        self,
        problem: Problem,
        linear_solver: str | Solver = "auto",
        forward: Callable[[Array, Array], Any] | None = None,
        *,
        max_iterations: int = 100,
        on_singular: str = "raise",
        reuse: bool = True,
    ) -> None:
        check_policy(on_singular, where="ImplicitFunction")
        self.problem: Final = problem
        self.linear_solver: Final = linear_solver
        self.forward: Final = forward
        self.max_iterations: Final = max_iterations
        self.on_singular: Final = on_singular
        self.reuse: Final = reuse
        self._conditions: Final = conditions_of(problem)

    def solve(
        self,
        x: Any,
        y0: Any = None,
        *,
        start: SolvedState | Start | None = None,
        rtol: float = 1e-8,
    ) -> SolvedState:
        """Find the state for a parameter.

        Parameters
        ----------
        x : number or array, shape (n_x,)
        y0 : number or array, shape (n_y,), optional
            First guess; needed unless ``start`` is given.
        start : SolvedState or Start, optional
            A neighbouring solution: its state is the first guess (unless y0 is given), its
            symbolic analysis and its choice of solver are taken over; and its factorization, where
            the first A has just the same entries.
        rtol : float
            ‖c(x, y)‖ ≤ rtol ‖A y‖ at the state returned.

        Returns
        -------
        SolvedState

        Raises
        ------
        NotConverged, NotPositiveDefinite, SingularSystem, ShapeError, NonFinite
        """
        check_rtol(rtol, "ImplicitFunction.solve")
        given = start.handover(system=True) if isinstance(start, SolvedState) else start
        if y0 is None and given is None:
            raise ShapeError(
                "there is no first guess, so the number of unknowns is not known.",
                where="ImplicitFunction.solve",
                fix="give y0, or start= a neighbouring SolvedState.",
            )
        parameter = parameter_vector(x, "x")
        guess = parameter_vector(y0, "y0") if y0 is not None or given is None else given.y
        linear_solver = given.solver if given and self.linear_solver == "auto" else None
        try:
            if self.forward is not None:
                passed = None if given is None else given.passed
                result = self._run_forward(parameter, guess, rtol, passed)
            else:
                result = solve_newton(
                    self._conditions,
                    parameter,
                    guess,
                    linear_solver=linear_solver or self.linear_solver,
                    analysis=None if given is None else given.analysis,
                    rtol=rtol,
                    max_iterations=self.max_iterations,
                    on_singular=self.on_singular,
                    reuse=self.reuse,
                    passed=None if given is None else given.passed,
                )
        except SparseImplicitError as error:
            raise error.at("ImplicitFunction.solve") from error.__cause__
        system = StateSystem(
            result.state_jacobian, result.solver, last=result.last_system,
            analysis=result.analysis, because=result.report.because, by_clock=self.reuse,
        )  # fmt: skip
        return SolvedState(parameter, result.y, result.report, self._conditions, system, self)

    def _run_forward(self, x: Array, y0: Array, rtol: float, passed: Passed | None) -> NewtonResult:
        assert self.forward is not None  # noqa: S101 - the caller has looked
        y = finite_vector(self.forward(x.copy(), y0.copy()), y0.size, "forward(x, y0)").copy()
        jacobian = self._conditions.state_jacobian(x, y)
        size, scale = norm(self._conditions.residual(x, y)), norm(jacobian.apply(y))
        selection = select(self.linear_solver, jacobian)
        last = None if passed is None else passed.take(jacobian, selection.solver)
        report = StateReport(
            method="given forward solver",
            converged=size <= rtol * scale or size == 0.0,
            rtol=rtol,
            residual=size,
            residual_relative=size / scale if scale else size,
            residual_before=norm(self._conditions.residual(x, y0)),
            objective=self._conditions.objective(x, y),
            linear_solver=selection.solver.label,
            because=selection.because,
            reused=() if last is None else ("factorization of a neighbouring state",),
        )
        if not report.converged:
            raise NotConverged(
                "the state that `forward` returned does not satisfy the conditions: ‖c‖/‖A y‖ = "
                f"{report.residual_relative:.1e}, rtol is {rtol:.1e}.",
                best=y,
                report=report,
                where="forward",
                fix="let it solve further, or raise the rtol of `solve` to what it can reach; the "
                "gradient is about as inexact as the state.",
            )
        return NewtonResult(y, jacobian, last, selection.solver, selection.analysis, report)


@dataclass(frozen=True, eq=False)
class SolvedState:
    """A state with all that differentiating it needs; it owns its factorization.

    Attributes
    ----------
    x, y : arrays, shapes (n_x,), (n_y,)
    report : StateReport
    """

    x: Array
    y: Array
    report: StateReport
    _conditions: Conditions
    _system: StateSystem
    _implicit: ImplicitFunction

    @cached_property
    def linearization(self) -> Linearization:
        """A and B at (x, y); B is made at first need."""
        b = self._conditions.parameter_jacobian(self.x, self.y)
        return Linearization(self._system.matrix, b, self.x.size)

    @property
    def system(self) -> PreparedSystem:
        """The prepared system of A at y.

        Where the last Newton step left a factorization of A at the iterate before, it is the
        preconditioner of a Krylov method for A at y, full accuracy without a second factorization:
        until so many solves have cost more for it than a factorization of A at y takes.
        """
        return self._system.system

    @cached_property
    def _singular(self) -> bool:
        """Whether A has turned out singular where a policy says what then.

        A Krylov method finds one of the solutions and does not notice that it is one.
        """
        policy = self._implicit.on_singular
        if policy == "raise" or self.report.singular_steps:
            return policy != "raise"
        try:
            direct = self.system.method.direct
        except SingularSystem:
            return True
        if policy == "damp" or direct:
            return False
        space = null_space(self._system.matrix)
        return space.dimension > 0 or not space.complete

    def handover(self, *, system: bool = False) -> Start:
        """Return what the next solve can start from; the factorization of A at y if asked for.

        Whoever keeps a `Start` with it keeps its memory, until a solve has started from it.
        """
        factor = self._system.factor if system else None
        passed = None if factor is None else Passed(factor)
        return Start(self.y, self._system.solver, self._system.analysis, passed)

    @property
    def preparation(self) -> PreparationReport | None:
        """What preparing A at y took beyond the state's own steps; None if not needed (yet)."""
        return self._system.preparation

    def refactored(self) -> SolvedState:
        """Return this state with A at y factorized itself, for many solves to come.

        Where Newton's last factorization is of the iterate before, it serves as a preconditioner,
        which costs a few products in every solve; one factorization takes them away. Else this is
        the state itself. Unless ``reuse=False`` a state does it by itself once it pays.
        """
        return replace(self, _system=self._system.anew()) if self._system.lags else self

    def adjoint(
        self, y_bar: Any, *, rtol: float = 1e-8, start: Array | None = None
    ) -> LinearSolution:
        """Solve Aᵀ λ = ȳ; ``.value`` is λ, (n_y,) or (n_y, k), ``.report`` its true residual."""
        return self._solve(_columns(y_bar, self.y.size), rtol, start, transpose=True)

    def vjp(self, y_bar: Any, *, rtol: float = 1e-8) -> Array:
        """Pull cotangents back, ``x̄ = −Bᵀ A⁻ᵀ ȳ``: (n_y,) or (n_y, k) to (n_x,) or (n_x, k).

        Cost: one solve with k columns, one product with Bᵀ.
        """
        adjoint = self.adjoint(y_bar, rtol=rtol).value
        return contract(self.linearization.parameter_jacobian, adjoint)

    def jvp(self, x_dot: Any, *, rtol: float = 1e-8) -> Array:
        """Push tangents forward, ``ẏ = −A⁻¹ B ẋ``: (n_x,) or (n_x, k) to (n_y,) or (n_y, k).

        Cost: one product with B, one solve with k columns.
        """
        rhs = tangent_rhs(self.linearization.parameter_jacobian, _columns(x_dot, self.x.size))
        return self._solve(rhs, rtol, None, transpose=False).value

    @overload
    def jacobian(self, *, rtol: float = ..., as_operator: Literal[False] = ...) -> Array: ...
    @overload
    def jacobian(self, *, rtol: float = ..., as_operator: Literal[True]) -> LinearOperator: ...
    def jacobian(self, *, rtol: float = 1e-8, as_operator: bool = False) -> Array | LinearOperator:
        """Return dy/dxᵀ = −A⁻¹ B, (n_y, n_x), from the side that needs fewer solves.

        Parameters
        ----------
        rtol : float
        as_operator : bool
            Return a LinearOperator instead, whose products are `jvp` and `vjp`.

        Raises
        ------
        MemoryBudgetExceeded
            If the array does not fit into the memory available.

        Notes
        -----
        Cost: min(n_x, n_y) solves, in blocks of 64 columns.
        """
        shape = (self.y.size, self.x.size)
        if as_operator:
            return LinearOperator(
                shape, matvec=lambda v: self.jvp(v.reshape(-1), rtol=rtol),
                rmatvec=lambda v: self.vjp(v.reshape(-1), rtol=rtol),
                matmat=lambda v: self.jvp(v, rtol=rtol), rmatmat=lambda v: self.vjp(v, rtol=rtol),
                dtype=np.float64,
            )  # fmt: skip
        needed, budget = 8 * shape[0] * shape[1], available_bytes()
        if needed > budget:
            raise MemoryBudgetExceeded(
                f"the Jacobian of shape {shape} needs {told_bytes(needed)}; "
                f"{told_bytes(budget)} are available.",
                where="SolvedState.jacobian",
                fix="ask for as_operator=True, or for products with `jvp` and `vjp`.",
            )
        jacobian = np.empty(shape)
        forward = shape[1] <= shape[0]
        count = min(shape)
        for first in range(0, count, BLOCK):
            last = min(first + BLOCK, count)
            unit = np.zeros((count, last - first))
            unit[np.arange(first, last), np.arange(last - first)] = 1.0
            if forward:
                jacobian[:, first:last] = self.jvp(unit, rtol=rtol)
            else:
                jacobian[first:last] = self.vjp(unit, rtol=rtol).T
        return jacobian

    def _solve(
        self, b: Array, rtol: float, start: Array | None, *, transpose: bool
    ) -> LinearSolution:
        where = f"SolvedState.{'adjoint' if transpose else 'jvp'}"
        a, linear_solver = self._system.matrix, self._implicit.linear_solver
        policy = self._implicit.on_singular
        try:
            if self._singular:
                return solve_singular(a, b, policy, rtol=rtol, transpose=transpose)
            try:
                return self._system.solve(b, rtol=rtol, start=start, transpose=transpose)
            except (NotConverged, NotPositiveDefinite, SingularSystem) as error:
                final = linear_solver != "auto"
                if policy == "raise" and (final or isinstance(error, SingularSystem)):
                    with causes_told(a):
                        raise
                after = f"'{self._system.solver.label}' failed: {type(error).__name__}"
            ladder = Ladder(a, linear_solver, rtol=rtol, after=after, on_singular=policy)
            return ladder.solve(b, transpose=transpose)[0]
        except SparseImplicitError as error:
            raise error.at(where) from error.__cause__

    def __repr__(self) -> str:
        """Name the sizes and how well the conditions hold."""
        return (
            f"SolvedState(n_x={self.x.size}, n_y={self.y.size}, "
            f"residual {self.report.residual_relative:.1e})"
        )


def _columns(v: Any, n: int) -> Any:
    return np.reshape(v, (1,)) if n == 1 and np.ndim(v) == 0 else v
