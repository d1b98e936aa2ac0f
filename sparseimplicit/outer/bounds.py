"""Bounds of the parameter, and what is left of a gradient beside them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import scipy.optimize

from ..errors import NonFinite, ShapeError
from ..linear.operator import Array

Limits: TypeAlias = scipy.optimize.Bounds | None


def limits_of(bounds: Any, x: Array) -> Limits:
    """Return lower and upper bounds of every parameter; None for none.

    bounds: a pair of numbers for all; n_x pairs; a pair of arrays (low, high), each (n_x,) or a
    number; or scipy's ``Bounds``. None in place of a number is no bound.

    Raises
    ------
    ShapeError
        If it is none of these; if it could be two of them, as 2 × 2 arrays are; or if a lower bound
        is above its upper.
    NonFinite
        If a bound is NaN.
    """
    if bounds is None:
        return None
    whole = isinstance(bounds, scipy.optimize.Bounds)
    sides = (bounds.lb, bounds.ub) if whole else _sides(bounds, x.size)
    try:
        low, high = (
            np.broadcast_to(np.array(_filled(side, fill), dtype=np.float64), x.shape)
            for side, fill in zip(sides, (-np.inf, np.inf), strict=True)
        )
    except (TypeError, ValueError) as error:
        raise _misshapen(x.size) from error
    for i in np.flatnonzero(~(low <= high)):
        pair = f"the bounds of parameter {i} are ({low[i]}, {high[i]})"
        if np.isnan([low[i], high[i]]).any():
            raise NonFinite(f"{pair}.", where="minimize", fix="give None for no bound.")
        raise ShapeError(
            f"{pair}: the lower is above the upper.", where="minimize", fix="give (low, high)."
        )
    return scipy.optimize.Bounds(low, high)


def _sides(bounds: Any, n: int) -> tuple[Any, Any]:
    try:
        items = list(bounds)
        sizes = [None if np.ndim(item) == 0 else len(item) for item in items]
    except (TypeError, ValueError) as error:
        raise _misshapen(n) from error
    pairs = len(items) in (1, n) and all(size == 2 for size in sizes)
    fields = len(items) == 2 and all(size in (None, n) for size in sizes)
    if pairs and fields and not all(isinstance(item, tuple) for item in items):
        raise ShapeError(
            "bounds of shape (2, 2) are two pairs (low, high), or the arrays low and high.",
            where="minimize",
            fix="give two tuples, [(low, high), (low, high)], or scipy.optimize.Bounds(low, high).",
        )
    if pairs:
        return [item[0] for item in items], [item[1] for item in items]
    if fields:
        return items[0], items[1]
    raise _misshapen(n, f"{len(items)} bounds for")


def _filled(side: Any, fill: float) -> Any:
    if side is None:
        return fill
    return side if np.ndim(side) == 0 else [fill if entry is None else entry for entry in side]


def _misshapen(n: int, what: str = "bounds do not fit") -> ShapeError:
    return ShapeError(
        f"{what} {n} parameters.",
        where="minimize",
        fix="give a pair (low, high) for all, one for each parameter, or two arrays low and high.",
    )


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
