"""Bounds of the parameter, and what is left of a gradient beside them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import scipy.optimize

from ..errors import ShapeError
from ..linear.operator import Array

Limits: TypeAlias = scipy.optimize.Bounds | None


def limits_of(bounds: Any, x: Array) -> scipy.optimize.Bounds | None:
    """Return one bound for each parameter, from a pair for all or from n_x pairs; None for none."""
    if bounds is None or isinstance(bounds, scipy.optimize.Bounds):
        return bounds
    pairs = np.array(
        [[-np.inf if low is None else low, np.inf if high is None else high]
         for low, high in (bounds if np.ndim(bounds[0]) else [bounds])],
        dtype=np.float64,
    )  # fmt: skip
    if len(pairs) not in (1, x.size) or not (pairs[:, 0] <= pairs[:, 1]).all():
        raise ShapeError(
            f"{len(pairs)} bounds for {x.size} parameters, or a lower bound above its upper.",
            where="minimize",
            fix="give one pair (low, high) for all, or one for each parameter.",
        )
    return scipy.optimize.Bounds(*np.broadcast_to(pairs, (x.size, 2)).T)


def clipped(x: Array, limits: Limits) -> Array:
    """Return the point within the bounds that is nearest to x, in any diagonal metric."""
    return x if limits is None else np.clip(x, limits.lb, limits.ub)


def projected_step(x: Array, gradient: Array, limits: Limits) -> Array:
    """Return P(x − gradient) − x, the step −gradient cut at the bounds."""
    if limits is None:
        return -gradient
    with np.errstate(over="ignore"):
        return clipped(x - gradient, limits) - x


def largest(step: Array) -> float:
    """Return max |stepᵢ|."""
    return float(np.max(np.abs(step), initial=0.0))


def length(step: Array) -> float:
    """Return √Σ stepᵢ²."""
    return float(np.linalg.norm(step))
