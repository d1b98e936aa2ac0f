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

from ..linear.operator import Array
from .bounds import Limits, largest, length, projected_step

MEMORY: Final = 10  # pairs kept by L-BFGS-B
ENOUGH: Final = "max_iterations were made"
SMALL: Final = "the projected gradient fell to stop_rtol of its first"
EVALUATIONS: Final = 10  # at most, for each of max_iterations
FALLS: Final = 1e-12  # of the loss: a step that lowers it by less is the last, unless
SHORTER: Final = 0.25  # of the way to a point without a value: the first step of a new start
FINE: Final = 1e-2  # of stop_rtol² is less: near a minimum losses go with squares of gradients


@dataclass(frozen=True)
class Measure:
    """What is small: ``scale`` of the loss, and the first projected gradient, scaled by it."""

    scale: float
    first: float


@dataclass(frozen=True)
class Descent:
    """How a descent ended. converged: the gradient is small, and no other reason will do."""

    message: str
    converged: bool
    iterations: int
    measure: Measure | None


class Stopped(Exception):
    """Raised by the function that is minimised, to end the descent: message, converged."""

    def descent(self, iterations: int, measure: Measure | None = None) -> Descent:
        """Return the descent that this has ended."""
        message, converged = self.args
        return Descent(message, converged, iterations, measure)


class TrialFailed(Exception):
    """Raised by the function that is minimised where it has no value, but at the first point."""


@dataclass(frozen=True)
class _Tried:
    x: Array
    value: float
    gradient: Array


def stalled(left: float) -> str:
    """Return what is told where no step lowers the loss; left: of the first gradient."""
    return (
        f"the loss no longer falls along its gradient, of which {left:.1e} is left: either they "
        "are no better than gradient_rtol, and a smaller one takes them on, or the gradient is not "
        "its own; si.verify.taylor tells"
    )


def descend(
    evaluate: Callable[[Array], tuple[float, Array]],
    x: Array,
    limits: Limits,
    *,
    settles: Callable[[float, Array], bool],
    stop_rtol: float,
    max_iterations: int,
    memory: int = MEMORY,
    measure: Measure | None = None,
    size: Callable[[Array], float] = largest,
) -> Descent:
    """Minimise by L-BFGS-B; the caller keeps the best x.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(x) -> (value, gradient)``. It may raise `Stopped`, and `TrialFailed`: the descent
        then starts anew from the best x, with a first step of a quarter of the way to where it
        failed. How often it may fail is for the callable to say.
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
    size : callable
        Of the projected gradient; with any but the largest entry, which is scipy's own, this
        function's test alone ends the run.

    Notes
    -----
    The loss scale keeps the first step, of length 1 in x, what it is; to shorten it, scipy is given
    x times a power of 2, exactly.
    Source: Byrd, Lu, Nocedal, Zhu 1995.
    """
    iterations, stretch = 0, 1.0
    own = size is largest
    try:
        value, gradient = evaluate(x)
        if measure is None:
            scale = abs(value) or 1.0
            measure = Measure(scale, size(projected_step(x, gradient / scale, limits)))
        scale, goal = measure.scale, stop_rtol * measure.first
        left = size(projected_step(x, gradient / scale, limits))
        if left == 0.0:
            return Descent("the projected gradient is zero at the start", True, 0, measure)
        if left <= goal:
            return Descent(SMALL, True, 0, measure)
        best, tried = _Tried(x.copy(), value, gradient), x

        def scaled(w: Array) -> tuple[float, Array]:
            nonlocal best, tried
            if w.tobytes() in known:
                start = known.pop(w.tobytes())
                return start.value / scale, start.gradient / (scale * stretch)
            tried = w / stretch
            value, gradient = evaluate(tried.copy())
            if value < best.value:
                best = _Tried(tried, value, gradient)
            # L-BFGS-B looks at accepted points only, and near the solution accepts by differences
            # of losses that are as small as the solver's tolerance.
            if size(projected_step(tried, gradient / scale, limits)) <= goal and settles(
                value, tried.copy()
            ):
                raise Stopped(SMALL, True)
            return value / scale, gradient / (scale * stretch)

        def count(*_: Any) -> None:
            nonlocal iterations
            iterations += 1

        while True:
            start = best.x * stretch
            known = {start.tobytes(): best}
            try:
                result = scipy.optimize.minimize(
                    scaled, start, jac=True, method="L-BFGS-B", callback=count,
                    bounds=_stretched(limits, stretch),
                    options={"gtol": goal if own and stretch == 1.0 else 0.0, "maxcor": memory,
                             "ftol": min(FALLS, FINE * stop_rtol**2) if own else 0.0,
                             "maxiter": max_iterations - iterations,
                             "maxfun": EVALUATIONS * max_iterations},
                )  # fmt: skip
                break
            except TrialFailed:
                iterations += 1
                if iterations >= max_iterations:
                    return Descent(ENOUGH, False, iterations, measure)
                first = SHORTER * length(tried - best.x)
                stretch = _stretch(first, length(best.gradient) / scale, limits)
    except Stopped as stop:
        return stop.descent(iterations, measure)
    # scipy calls it a success where a step changes nothing, as with a gradient of the wrong sign.
    left = size(projected_step(result.x / stretch, result.jac * stretch, limits))
    if left <= goal:
        told = f"{SMALL}, but its loss is not the lowest: they are no better than gradient_rtol"
    elif iterations >= max_iterations:
        told = ENOUGH
    elif result.nfev >= EVALUATIONS * max_iterations:
        told = f"{EVALUATIONS} evaluations for each of max_iterations were made"
    else:
        told = stalled(left / measure.first)
    return Descent(told, False, iterations, measure)


def _stretch(first: float, slope: float, limits: Limits) -> float:
    """Return the power of 2, 1 or more, by which x is multiplied for a first step that short.

    The first step of L-BFGS-B has length 1; or is the gradient, where all have two bounds.
    """
    boxed = limits is not None and bool(np.isfinite([limits.lb, limits.ub]).all())
    least = (slope / first) ** 0.5 if boxed else 1.0 / first
    return float(2.0 ** max(0.0, np.ceil(np.log2(least))))


def _stretched(limits: Limits, stretch: float) -> Limits:
    if limits is None:
        return None
    return scipy.optimize.Bounds(limits.lb * stretch, limits.ub * stretch)
