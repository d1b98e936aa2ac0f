"""L-BFGS-B on any function of x that returns its value and gradient.

scipy's tests are absolute, and look at accepted points only. Here loss and gradient are scaled by
their first, and every point that is evaluated may end the run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import scipy.optimize

from ..errors import ShapeError
from ..linear.operator import Array

MEMORY: Final = 10  # pairs kept by L-BFGS-B


@dataclass(frozen=True)
class Measure:
    """What is small: ``scale`` of the loss, and the first projected gradient, scaled by it."""

    scale: float
    first: float


@dataclass(frozen=True)
class Descent:
    """How a descent ended. converged: the gradient is small, or the loss no longer falls."""

    message: str
    converged: bool
    iterations: int
    measure: Measure | None


class Stopped(Exception):
    """Raised by the function that is minimised, to end the descent: message, converged."""


def descend(
    evaluate: Callable[[Array], tuple[float, Array]],
    x: Array,
    limits: scipy.optimize.Bounds | None,
    *,
    settles: Callable[[float, Array], bool],
    stop_rtol: float,
    max_iterations: int,
    memory: int = MEMORY,
    measure: Measure | None = None,
) -> Descent:
    """Minimise by L-BFGS-B; the caller keeps the best x.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(x) -> (value, gradient)``. It may raise `Stopped`.
    x : array, shape (n_x,)
    limits : Bounds or None
    settles : callable
        ``settles(value, x)``: whether a point of small gradient is as good as the best, to the
        accuracy of the loss; the caller then takes it for the best.
    stop_rtol : float
        Stop when the projected gradient has fallen to this fraction of its first size.
    max_iterations, memory : int
    measure : Measure, optional
        Of an earlier descent: small is then what was small there.

    Notes
    -----
    The loss scale keeps the first step, of length 1 in x, what it is.
    Source: Byrd, Lu, Nocedal, Zhu 1995.
    """
    iterations = 0
    try:
        value, gradient = evaluate(x)
        if measure is None:
            scale = abs(value) or 1.0
            measure = Measure(scale, projected(x, gradient / scale, limits))
        scale, goal = measure.scale, stop_rtol * measure.first
        if projected(x, gradient / scale, limits) == 0.0:
            return Descent("the projected gradient is zero at the start", True, 0, measure)
        known = {x.tobytes(): (value, gradient)}

        def scaled(z: Array) -> tuple[float, Array]:
            if z.tobytes() in known:
                value, gradient = known.pop(z.tobytes())
                return value / scale, gradient / scale
            value, gradient = evaluate(z.copy())
            # L-BFGS-B looks at accepted points only, and near the solution accepts by differences
            # of losses that are as small as the solver's tolerance.
            if projected(z, gradient / scale, limits) <= goal and settles(value, z.copy()):
                raise Stopped("the projected gradient fell to stop_rtol of its first", True)
            return value / scale, gradient / scale

        def count(*_: Any) -> None:
            nonlocal iterations
            iterations += 1

        result = scipy.optimize.minimize(
            scaled, x, jac=True, method="L-BFGS-B", bounds=limits, callback=count,
            options={"gtol": goal, "ftol": 1e-12, "maxcor": memory,
                     "maxiter": max_iterations, "maxfun": 10 * max_iterations},
        )  # fmt: skip
    except Stopped as stop:
        message, converged = stop.args
        return Descent(message, converged, iterations, measure)
    return Descent(str(result.message).lower(), bool(result.success), iterations, measure)


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


def projected(x: Array, gradient: Array, limits: scipy.optimize.Bounds | None) -> float:
    """Return the largest entry of the step −gradient, cut at the bounds."""
    step = -gradient
    if limits is not None:
        with np.errstate(over="ignore"):
            step = np.clip(x + step, limits.lb, limits.ub) - x
    return float(np.max(np.abs(step), initial=0.0))
