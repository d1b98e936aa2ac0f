"""A trajectory: the states at one parameter, with all that differentiating them needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..conditions import finite_vector
from ..errors import ShapeError
from ..linear.checks import check_rtol, checked_columns
from ..linear.operator import Array
from .chain import Chain
from .checkpoints import Node, Sweep
from .dependent import Dependent, add_contraction, checked_jacobian, dependent, tangent_of
from .evolution import Rates
from .factors import Factors
from .time_hessian import TimeHessian
from .time_losses import TimeLoss, check_loss, loss_at
from .time_report import TimeGradient, TimeReport

if TYPE_CHECKING:
    from .time import TimeStepping

Visit = Callable[[int, float, Array], Any]


class Trajectory:
    """States at given times with all that differentiating them needs.

    Attributes
    ----------
    x : array, shape (n_x,)
    times : array, shape (N + 1,)
    y : array, shape (n_y,)
        The last state, y_N.
    y_first : array, shape (n_y,)
        y_0.
    report : TimeReport
        Of the forward run.

    Notes
    -----
    Under a bound on the states held, the first sweep back goes on from what the forward run left;
    every further one, and every tangent, begins with a forward run of its own.
    """

    def __init__(
        self,
        stepping: TimeStepping,
        x: Array,
        start: Trajectory | None,
        rtol: float,
        visit: Visit | None,
    ) -> None:
        started = time.perf_counter()
        self.stepping: Final = stepping
        self.x: Final = x
        self.times: Final = stepping.times
        self.rtol: Final = rtol
        self.initial: Final[Dependent] = dependent(stepping.initial, x.size)
        evolution = stepping.evolution
        rates = Rates(evolution, x)
        y_0 = np.array(self.initial.value(x), dtype=np.float64).reshape(-1)
        self.y_first: Final[Array] = finite_vector(y_0, rates.mass.n, "the initial state")
        self.y_first.flags.writeable = False
        if start is not None:
            if start.stepping is not stepping:
                raise ShapeError(
                    "start belongs to another TimeStepping.",
                    where="TimeStepping.solve",
                    fix="start from a trajectory of this one.",
                )
            factors = start.chain.factors
        else:
            solves = 2 * (self.times.size - 1) if evolution.linear else 4
            factors = Factors(
                rates.mass, evolution.structure, stepping.linear_solver,
                keep=stepping.max_factors, constant=evolution.linear, solves=solves,
            )  # fmt: skip
        self._before = (factors.factorizations, factors.analyses, factors.found)
        self.chain: Final[Chain] = Chain(
            evolution, stepping.scheme, self.times, x, factors, rtol, stepping.max_iterations
        )
        self._peak = 0
        self._sweep: Sweep | None = self._new_sweep()
        told = None if visit is None else lambda k, node: visit(k, float(self.times[k]), node[0])
        self.y: Final = self._sweep.forward(told)[0]
        self._seconds = 0.0
        self.report: Final[TimeReport] = self.told(self._sweep, time.perf_counter() - started)

    def _new_sweep(self) -> Sweep:
        chain, stepping = self.chain, self.stepping

        def advance(k: int, window: tuple[Node, ...]) -> Node:
            return (chain.advance(k, tuple(node[0] for node in window)),)

        return Sweep(
            self.times.size - 1, (self.y_first,), advance, memory=chain.scheme.memory,
            max_states=stepping.max_states, on_disk=stepping.states_on_disk,
        )  # fmt: skip

    def _ready(self) -> Sweep:
        """Return a sweep that has run forward, and may go back."""
        sweep, self._sweep = self._sweep, None
        if sweep is None:
            sweep = self._new_sweep()
            sweep.forward()
        if sweep.complete:
            self._sweep = sweep
        return sweep

    @property
    def nodes(self) -> list[Node] | None:
        """All (y_k,), where they are held."""
        return None if self._sweep is None else self._sweep.nodes

    def told(self, sweep: Sweep, seconds: float) -> TimeReport:
        """Return a report of all work so far, with the seconds of the last sweep added."""
        self._seconds += seconds
        chain = self.chain
        factors, counts = chain.factors, chain.counts
        steps = self.times.size - 1
        self._peak = max(self._peak, sweep.peak)
        assert factors.selection is not None  # noqa: S101 - at least one step was made
        return TimeReport(
            scheme=chain.scheme.name,
            steps=steps,
            unknowns=self.y.size,
            linear_solver=factors.selection.solver.label,
            because=factors.selection.because,
            rtol=self.rtol,
            factorizations=factors.factorizations - self._before[0],
            analyses=factors.analyses - self._before[1],
            found=factors.found - self._before[2],
            solves=counts.solves,
            adjoint_solves=counts.adjoint_solves,
            newton_iterations=counts.newton_iterations,
            recomputed_steps=counts.steps - steps,
            peak_states=self._peak,
            seconds=self._seconds,
        )

    def states(self) -> Iterator[tuple[int, float, Array]]:
        """Yield (k, t_k, y_k) for k = 0, …, N; made again where they are not held."""
        if self.nodes is not None:
            for k, node in enumerate(self.nodes):
                yield k, float(self.times[k]), node[0]
            return
        window: tuple[Array, ...] = (self.y_first,)
        yield 0, float(self.times[0]), self.y_first
        for k in range(1, self.times.size):
            window = (*window, self.chain.advance(k, window))[-self.chain.scheme.memory :]
            yield k, float(self.times[k]), window[-1]

    def value(self, loss: TimeLoss) -> float:
        """Return ``Σ_k loss(x, k, t_k, y_k)``."""
        return sum(loss_at(loss, self.x, k, t, y)[0] for k, t, y in self.states())

    def gradient(self, loss: TimeLoss, *, rtol: float = 1e-10) -> TimeGradient:
        """Differentiate a loss of all states: ``d/dx Σ_k L(x, k, t_k, y_k(x))``.

        Parameters
        ----------
        loss : callable
            ``loss(x, k, t, y) -> (value, L_x, L_y)`` for k = 0, …, N; L_x and L_y may be None for
            zero. It is called from the last time to the first.
        rtol : float
            Of every adjoint solve.

        Raises
        ------
        ShapeError, NonFinite
            If the loss returns something else than it should.
        NotConverged, NotPositiveDefinite, SingularSystem
            From an adjoint solve; ``where`` has the step.

        Notes
        -----
        Cost: N adjoint solves; factorizations only where those of the forward run are gone.
        """
        check_rtol(rtol, "Trajectory.gradient")
        check_loss(loss, self.times.size, self.x.size, self.y.size, "Trajectory.gradient")
        started = time.perf_counter()
        x_bar = np.zeros_like(self.x)
        total: list[float] = []

        def cotangent(k: int, y: Array) -> Array:
            value, l_x, l_y = loss_at(loss, self.x, k, float(self.times[k]), y)
            total.append(value)
            if l_x is not None:
                np.add(x_bar, l_x, out=x_bar)
            return l_y

        sweep = self._back(cotangent, x_bar, rtol)
        report = self.told(sweep, time.perf_counter() - started)
        return TimeGradient(float(np.sum(total)), x_bar, report)

    def vjp(self, y_bars: Any, *, rtol: float = 1e-10) -> Array:
        """Pull cotangents of all states back to the parameter.

        Parameters
        ----------
        y_bars : array, shape (N + 1, n_y) or (N + 1, n_y, p)

        Returns
        -------
        array, shape (n_x,) or (n_x, p)
        """
        check_rtol(rtol, "Trajectory.vjp")
        bars = np.asarray(y_bars, dtype=np.float64)
        if bars.ndim not in (2, 3) or bars.shape[:2] != (self.times.size, self.y.size):
            raise ShapeError(
                f"y_bars has shape {bars.shape}.",
                where="Trajectory.vjp",
                fix=f"give one cotangent a time: ({self.times.size}, {self.y.size}).",
            )
        x_bar = np.zeros((self.x.size, *bars.shape[2:]))
        self._back(lambda k, y: bars[k], x_bar, rtol)
        return x_bar

    def jvp(self, x_dot: Any, *, rtol: float = 1e-10) -> Array:
        """Push a tangent of the parameter forward to all states.

        Parameters
        ----------
        x_dot : array, shape (n_x,) or (n_x, p)

        Returns
        -------
        array, shape (N + 1, n_y) or (N + 1, n_y, p)

        Notes
        -----
        Cost: N solves of p columns; the forward run too where the states are not held.
        """
        check_rtol(rtol, "Trajectory.jvp")
        direction = np.asarray(x_dot, dtype=np.float64)
        checked_columns(np.atleast_1d(direction), self.x.size, "x_dot", "Trajectory.jvp")
        direction = direction.reshape((self.x.size, *direction.shape[1:]))
        memory = self.chain.scheme.memory
        dots = np.empty((self.times.size, self.y.size, *direction.shape[1:]))
        window: tuple[Array, ...] = ()
        for k, _, y in self.states():
            window = (*window, y)[-memory - 1 :]
            before = tuple(dots[max(k - memory, 0) : k])
            dots[k] = (
                self.push_initial(direction)
                if k == 0
                else self.chain.push(k, window, before, direction, rtol)
            )
        return dots

    def hessian(
        self, loss: TimeLoss, *, gauss_newton: bool = False, rtol: float = 1e-10
    ) -> TimeHessian:
        """Return the Hessian of ``x ↦ Σ_k L(x, k, t_k, y_k(x))`` as products, see `TimeHessian`.

        Raises
        ------
        ConfigError
            If ``max_states`` leaves no room for states and their tangents.
        ShapeError
        """
        return TimeHessian(self, loss, gauss_newton=gauss_newton, rtol=rtol)

    def initial_jacobian(self) -> Any:
        """Return ∂y_0/∂xᵀ, checked."""
        matrix = self.initial.jacobian(self.x)
        return checked_jacobian(matrix, self.y.size, self.x.size, "the initial state's jacobian")

    def push_initial(self, x_dot: Array) -> Array:
        """Return ẏ_0."""
        return -tangent_of(self.initial_jacobian(), x_dot)

    def _back(self, cotangent: Callable[[int, Array], Array], x_bar: Array, rtol: float) -> Sweep:
        """Run the adjoint from N to 0, adding to x̄."""
        chain, sweep = self.chain, self._ready()
        waiting: dict[int, Array] = {}

        def visit(k: int, nodes: tuple[Node, ...]) -> None:
            states = tuple(node[0] for node in nodes)
            y_bar = cotangent(k, states[-1])
            if k in waiting:
                y_bar = y_bar + waiting.pop(k)
            adjoint = chain.adjoint(k, states, y_bar, rtol)
            for j, part in enumerate(chain.pull(k, states, adjoint, x_bar), start=1):
                waiting[k - j] = waiting[k - j] + part if k - j in waiting else part

        sweep.backward(visit)
        y_bar = cotangent(0, self.y_first) + waiting.pop(0)
        add_contraction(x_bar, self.initial_jacobian(), y_bar, -1.0)
        return sweep

    def __repr__(self) -> str:
        """Name the sizes."""
        return (
            f"Trajectory({self.chain.scheme.name}, {self.times.size - 1} steps, "
            f"n_x={self.x.size}, n_y={self.y.size})"
        )
