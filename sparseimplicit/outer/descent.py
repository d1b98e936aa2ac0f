"""L-BFGS-B on any function of x that returns its value and gradient.

scipy's tests are absolute, and look at accepted points only. Here loss and gradient are scaled by
their first, and every point that is evaluated may end the run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import scipy.optimize

from ..linear.operator import Array
from .bounds import Limits, largest, projected_step

MEMORY: Final = 10  # pairs kept by L-BFGS-B
SMALL: Final = "the projected gradient fell to stop_rtol of its first"
EVALUATIONS: Final = 10  # at most, for each of max_iterations
FALLS: Final = 1e-12  # of the loss: a step that lowers it by less is the last, unless
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


def stalled(left: float) -> str:
    """Return what is told where no step lowers the loss; left: of the first gradient."""
    return (
        f"the loss no longer falls along its gradient, of which {left:.1e} is left: either it is "
        "at its accuracy, or the gradient is not its own; si.verify.taylor tells"
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
    size : callable
        Of the projected gradient; with any but the largest entry, which is scipy's own, this
        function's test alone ends the run.

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
            measure = Measure(scale, size(projected_step(x, gradient / scale, limits)))
        scale, goal = measure.scale, stop_rtol * measure.first
        left = size(projected_step(x, gradient / scale, limits))
        if left == 0.0:
            return Descent("the projected gradient is zero at the start", True, 0, measure)
        if left <= goal:
            return Descent(SMALL, True, 0, measure)
        known = {x.tobytes(): (value, gradient)}

        def scaled(z: Array) -> tuple[float, Array]:
            if z.tobytes() in known:
                value, gradient = known.pop(z.tobytes())
                return value / scale, gradient / scale
            value, gradient = evaluate(z.copy())
            # L-BFGS-B looks at accepted points only, and near the solution accepts by differences
            # of losses that are as small as the solver's tolerance.
            if size(projected_step(z, gradient / scale, limits)) <= goal and settles(
                value, z.copy()
            ):
                raise Stopped(SMALL, True)
            return value / scale, gradient / scale

        def count(*_: Any) -> None:
            nonlocal iterations
            iterations += 1

        own = size is largest
        result = scipy.optimize.minimize(
            scaled, x, jac=True, method="L-BFGS-B", bounds=limits, callback=count,
            options={"gtol": goal if own else 0.0, "maxcor": memory,
                     "ftol": min(FALLS, FINE * stop_rtol**2) if own else 0.0,
                     "maxiter": max_iterations, "maxfun": EVALUATIONS * max_iterations},
        )  # fmt: skip
    except Stopped as stop:
        return stop.descent(iterations, measure)
    # scipy calls it a success where a step changes nothing, as with a gradient of the wrong sign.
    left = size(projected_step(result.x, result.jac, limits))
    if left <= goal:
        told = f"{SMALL}, but its loss is not the lowest: they are no better than gradient_rtol"
    elif result.nit >= max_iterations:
        told = "max_iterations were made"
    elif result.nfev >= EVALUATIONS * max_iterations:
        told = f"{EVALUATIONS} evaluations for each of max_iterations were made"
    else:
        told = stalled(left / measure.first)
    return Descent(told, False, iterations, measure)
