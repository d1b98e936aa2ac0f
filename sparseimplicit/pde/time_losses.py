"""Losses along a trajectory, with what they return checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..conditions import finite_vector
from ..errors import ShapeError, StructureError
from ..hypergradient import checked_loss
from ..linear.operator import Array
from .weighting import symmetric_matrix

# loss(x, k, t, y) -> (value, L_x or None, L_y or None), for k = 0, …, N.
TimeLoss = Callable[[Any, int, float, Any], tuple[Any, Any, Any]]


def loss_at(
    loss: TimeLoss, x: Array, k: int, t: float, y: Array
) -> tuple[float, Array | None, Array]:
    """Return value, L_x and L_y of the loss at one time; None for L_y means zero."""

    def at_once(x: Array, y: Array) -> Any:
        returned = loss(x, k, t, y)
        if isinstance(returned, tuple) and len(returned) == 3 and returned[2] is None:
            return (returned[0], returned[1], np.zeros_like(y))
        return returned

    return checked_loss(at_once, x, y)


def loss_curvature(
    loss: TimeLoss, x: Array, k: int, t: float, y: Array, x_dot: Array, y_dot: Array
) -> tuple[Array | None, Array]:
    """Return L_xx ẋ + L_xy ẏ (or None for zero) and L_yx ẋ + L_yy ẏ at one time, one direction."""
    second = getattr(loss, "second_order", None)
    if second is None:
        raise StructureError(
            "the Hessian needs second derivatives of the loss.",
            where="Trajectory.hessian",
            fix="give an object with __call__(x, k, t, y) and "
            "second_order(x, k, t, y, x_dot, y_dot) -> (L_xx ẋ + L_xy ẏ or None, L_yx ẋ + L_yy ẏ).",
        )
    in_x, in_y = second(x, k, t, y, x_dot, y_dot)
    return (
        None if in_x is None else finite_vector(in_x, x.size, "second_order(…), x_part"),
        np.zeros_like(y)
        if in_y is None
        else finite_vector(in_y, y.size, "second_order(…), y_part"),
    )


def check_loss(loss: TimeLoss, times: int, n_x: int, n_y: int, where: str) -> None:
    """Refuse what is no loss, or one whose sizes are known and are others."""
    if not callable(loss):
        raise StructureError(
            f"a loss along a trajectory is a callable, got {type(loss).__name__}.", where=where,
            fix="give loss(x, k, t, y) -> (value, L_x or None, L_y or None).",
        )  # fmt: skip
    if isinstance(loss, TimeTracking):
        loss.check(times, n_x, n_y, where)


class TimeTracking:
    """``L = Σ_k w_k ½ (y_k − d_k)ᵀ Q (y_k − d_k) + ½ xᵀ R x``, with second order.

    Parameters
    ----------
    weights : array, shape (N + 1,)
        w_k, such as those of the trapezoidal rule times its step; 0 where a time does not count.
    matrix : sparse array, shape (n_y, n_y), symmetric
        Q, such as a mass matrix.
    target : array, or callable, optional
        d_k: one of shape (n_y,) for all times, all of shape (N + 1, n_y), or ``target(t)``.
        Default: zero.
    control : sparse array, shape (n_x, n_x), symmetric, optional
        R. Its term is counted once, with the last time.

    Raises
    ------
    ShapeError
        If the target fits neither one time nor all.
    StructureError
        If Q or R is not symmetric: the gradient would be that of ½ (Q + Qᵀ).
    """

    def __init__(self, weights: Any, matrix: Any, target: Any = None, control: Any = None) -> None:
        self.weights: Final = finite_vector(weights, np.size(weights), "weights")
        self.matrix: Final = symmetric_matrix(matrix, "the matrix", "pde.TimeTracking")
        self.control: Final = (
            None if control is None else symmetric_matrix(control, "control=", "pde.TimeTracking")
        )
        n = int(self.matrix.shape[0])
        if self.weights.size < 2:
            raise ShapeError(
                f"weights has {self.weights.size} numbers.", where="pde.TimeTracking",
                fix="give one for each of the times t_0, …, t_N.",
            )  # fmt: skip
        if target is None or callable(target):
            self._target = target
            return
        given = np.asarray(target, dtype=np.float64)
        if given.shape not in ((n,), (self.weights.size, n)):
            raise ShapeError(
                f"target has shape {given.shape}.",
                where="pde.TimeTracking",
                fix=f"give ({n},) for all times, or ({self.weights.size}, {n}).",
            )
        self._target = finite_vector(given.reshape(-1), given.size, "target").reshape(given.shape)

    def check(self, times: int, n_x: int, n_y: int, where: str) -> None:
        """Refuse a trajectory of other sizes."""
        own = self.weights.size, self.matrix.shape[0]
        for what, found, needed in (
            ("weights has {} numbers; there are {} times", own[0], times),
            ("the matrix is for {} unknowns; the state has {}", own[1], n_y),
            ("control= is for {} parameters; there are {}",
             n_x if self.control is None else self.control.shape[0], n_x),
        ):  # fmt: skip
            if found != needed:
                raise ShapeError(
                    f"{what.format(found, needed)}.",
                    where=f"{where}, pde.TimeTracking",
                    fix="give weights for t_0, …, t_N, the matrix of the free unknowns, such as "
                    "pde.mass(V, dofs=equation.free), and control= of the whole of x.",
                )

    def target(self, k: int, t: float) -> Any:
        """Return d_k."""
        if self._target is None:
            return 0.0
        if callable(self._target):
            return self._target(t)
        return self._target if self._target.ndim == 1 else self._target[k]

    def __call__(self, x: Array, k: int, t: float, y: Array) -> tuple[float, Any, Any]:
        """Return the value at one time, L_x and L_y."""
        value, l_x, l_y = 0.0, None, None
        if self.weights[k] != 0.0:
            miss = y - self.target(k, t)
            l_y = self.weights[k] * (self.matrix @ miss)
            value = 0.5 * float(miss @ l_y)
        if self.control is not None and k == self.weights.size - 1:
            l_x = self.control @ x
            value += 0.5 * float(x @ l_x)
        return value, l_x, l_y

    def second_order(
        self, x: Array, k: int, t: float, y: Array, x_dot: Array, y_dot: Array
    ) -> tuple[Any, Any]:
        """Return R ẋ (with the last time) and w_k Q ẏ."""
        control = self.control if k == self.weights.size - 1 else None
        return (
            None if control is None else control @ x_dot,
            self.weights[k] * (self.matrix @ y_dot) if self.weights[k] != 0.0 else None,
        )
