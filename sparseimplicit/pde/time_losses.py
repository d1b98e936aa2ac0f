"""Losses along a trajectory, with what they return checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..conditions import finite_vector
from ..errors import StructureError
from ..hypergradient import checked_loss
from ..linear.operator import Array

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
