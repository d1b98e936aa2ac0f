"""Second order through time: a tangent run forward, and an adjoint of both back.

With s_k = λ_kᵀ c_k and (ẋ, ẏ) a direction,

    A_kᵀ λ̇_k = d(∂L/∂y_k) − d(s_k)_y,    ȳ̇_{k−j} += −C_kjᵀ λ̇_k − (d s_k)_{y_{k−j}},
    x̄̇ = d(L_x) − Σ_k (B_kᵀ λ̇_k + (d s_k)_x)

where d are derivatives along (ẋ, ẏ) with λ held. The matrices are those of the gradient.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.sparse.linalg import LinearOperator

from ..conditions import finite_vector
from ..errors import SparseImplicitError
from ..linear.checks import check_rtol, checked_columns
from ..linear.operator import Array
from .checkpoints import Node, Sweep, check_room
from .dependent import add_contraction
from .evolution import no_curvature
from .time_losses import TimeLoss, check_loss, loss_at, loss_curvature
from .time_report import TimeReport

if TYPE_CHECKING:
    from .trajectory import Trajectory


class TimeHessian:
    """Products with the Hessian of ``x ↦ Σ_k L(x, k, t_k, y_k(x))``.

    Made by `Trajectory.hessian`. The Gauss–Newton one leaves out the curvature of the states, and
    with it the adjoint λ.

    Attributes
    ----------
    products : int
        Directions applied so far.
    """

    def __init__(
        self, trajectory: Trajectory, loss: TimeLoss, *, gauss_newton: bool, rtol: float
    ) -> None:
        check_rtol(rtol, "Trajectory.hessian")
        steps, held = trajectory.times.size - 1, trajectory.stepping.max_states
        check_loss(loss, steps + 1, trajectory.x.size, trajectory.y.size, "Trajectory.hessian")
        if held is not None:
            check_room(held, steps, trajectory.chain.scheme.memory, 2)
        self._trajectory: Final = trajectory
        self._loss: Final = loss
        self._rtol: Final = rtol
        second = trajectory.stepping.evolution.second_order
        curved = second is not no_curvature or trajectory.initial.second_order is not None
        self.gauss_newton: Final = gauss_newton
        self._curved: Final = curved and not gauss_newton
        self.products = 0
        self._report: TimeReport = trajectory.report

    @property
    def report(self) -> TimeReport:
        """What the trajectory has cost, up to the last product."""
        return self._report

    def apply(self, v: Any) -> Array:
        """Return H v for v of shape (n_x,) or (n_x, p).

        Raises
        ------
        StructureError
            If the evolution or the loss has no ``second_order``.

        Notes
        -----
        Cost: a tangent solve and an adjoint solve a step and direction, and one more adjoint solve
        a step where the states are curved; one run forward and back for all p.
        """
        started = time.perf_counter()
        trajectory = self._trajectory
        x_dot = checked_columns(v, trajectory.x.size, "v", "TimeHessian.apply")
        run = _Run(self, x_dot)
        sweep = run.sweep()
        sweep.forward()
        sweep.backward(run.visit)
        out = run.finish()
        self.products += x_dot.shape[1]
        self._report = trajectory.told(sweep, time.perf_counter() - started)
        return out.reshape(np.shape(v))

    def as_operator(self) -> LinearOperator:
        """Return the Hessian as scipy's LinearOperator."""
        n = self._trajectory.x.size
        return LinearOperator(
            (n, n), matvec=lambda v: self.apply(v.reshape(-1)), matmat=self.apply,
            rmatvec=lambda v: self.apply(v.reshape(-1)), rmatmat=self.apply, dtype=np.float64,
        )  # fmt: skip


class _Run:
    """One product: p directions, forward and back."""

    def __init__(self, hessian: TimeHessian, x_dot: Array) -> None:
        self.trajectory = hessian._trajectory
        self.loss, self.rtol, self.curved = hessian._loss, hessian._rtol, hessian._curved
        self.x_dot = x_dot
        self.chain = self.trajectory.chain
        # x̄ and ȳ: column 0 of the gradient, where it is needed, then those of the product.
        self.lead = 1 if self.curved else 0
        self.x_bar = np.zeros((x_dot.shape[0], self.lead + x_dot.shape[1]))
        self.waiting: dict[int, Array] = {}
        self.first: Node = ()

    def sweep(self) -> Sweep:
        """Return a sweep whose nodes are (y_k, ẏ_k)."""
        chain, trajectory = self.chain, self.trajectory
        known = trajectory.nodes

        def advance(k: int, window: tuple[Node, ...]) -> Node:
            states = tuple(node[0] for node in window)
            y = chain.advance(k, states) if known is None else known[k][0]
            dots = tuple(node[1] for node in window)
            return (y, chain.push(k, (*states, y), dots, self.x_dot, self.rtol))

        self.first = (trajectory.y_first, trajectory.push_initial(self.x_dot))
        return Sweep(
            trajectory.times.size - 1, self.first, advance, memory=chain.scheme.memory,
            max_states=trajectory.stepping.max_states,
            on_disk=trajectory.stepping.states_on_disk,
        )  # fmt: skip

    def cotangents(self, k: int, node: Node) -> Array:
        """Return [∂L/∂y_k, d(∂L/∂y_k)], with what later steps have left for y_k; add to x̄."""
        trajectory, (y, y_dot) = self.trajectory, node
        t = float(trajectory.times[k])
        bars = np.empty((y.size, self.x_bar.shape[1]))
        if self.curved:
            _, l_x, bars[:, 0] = loss_at(self.loss, trajectory.x, k, t, y)
            if l_x is not None:
                self.x_bar[:, 0] += l_x
        for column in range(self.x_dot.shape[1]):
            x_part, bars[:, self.lead + column] = loss_curvature(
                self.loss, trajectory.x, k, t, y, self.x_dot[:, column], y_dot[:, column]
            )
            if x_part is not None:
                self.x_bar[:, self.lead + column] += x_part
        if k in self.waiting:
            bars += self.waiting.pop(k)
        return bars

    def visit(self, k: int, nodes: tuple[Node, ...]) -> None:
        """Take one step back."""
        chain = self.chain
        states, dots = tuple(n[0] for n in nodes), tuple(n[1] for n in nodes)
        bars = self.cotangents(k, nodes[-1])
        adjoints = np.empty_like(bars)
        parts: list[list[Array]] = []
        if self.curved:
            adjoints[:, 0] = chain.adjoint(k, states, bars[:, 0].copy(), self.rtol)
            for column in range(self.x_dot.shape[1]):
                x_part, y_parts = chain.curvature(
                    k, states, tuple(dot[:, column] for dot in dots), self.x_dot[:, column],
                    adjoints[:, 0].copy(),
                )  # fmt: skip
                self.x_bar[:, 1 + column] -= x_part
                bars[:, 1 + column] -= y_parts[0]
                parts.append(y_parts)
        adjoints[:, self.lead :] = chain.adjoint(
            k, states, np.ascontiguousarray(bars[:, self.lead :]), self.rtol
        )
        for j, back in enumerate(chain.pull(k, states, adjoints, self.x_bar), start=1):
            for column, y_parts in enumerate(parts):
                if j < len(y_parts):
                    back[:, 1 + column] -= y_parts[j]
            self.waiting[k - j] = self.waiting[k - j] + back if k - j in self.waiting else back

    def finish(self) -> Array:
        """Take the initial state's part, and return H v, (n_x, p)."""
        bars = self.cotangents(0, self.first)
        add_contraction(self.x_bar, self.trajectory.initial_jacobian(), bars, -1.0)
        out = self.x_bar[:, self.lead :]
        initial = self.trajectory.initial
        if self.curved and initial.second_order is not None:
            for column in range(self.x_dot.shape[1]):
                part = initial.second_order(
                    self.trajectory.x, bars[:, 0], self.x_dot[:, column]
                )  # fmt: skip
                try:
                    out[:, column] += finite_vector(part, out.shape[0], "its second_order")
                except SparseImplicitError as error:
                    raise error.at("the initial state") from error.__cause__
        return out
