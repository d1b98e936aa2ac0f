"""A line search for the strong Wolfe conditions that goes on where losses no longer differ.

scipy's, `scipy.optimize.line_search`, asks for value and gradient apart, and gives up where the
decrease of the loss drowns in its error. There the slopes still tell: Hager, Zhang 2005.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from ..linear.operator import Array
from .point import Point

DECREASE: Final = 1e-4  # of what the first slope promises
CURVATURE: Final = 0.9  # of the first slope that may be left
SHORTER: Final = 0.25  # what is left of the way to a point that has no loss
MOST: Final = 25  # evaluations


@dataclass(frozen=True)
class _Trial:
    step: float
    value: float
    slope: float
    point: Point


def wolfe(
    evaluate: Callable[[Array], Point],
    start: Point,
    direction: Array,
    step: float,
    *,
    noise: float = 0.0,
) -> Point | None:
    """Find a step t with φ(t) ≤ φ(0) + 1e-4 t φ'(0) and ``|φ'(t)| ≤ 0.9 |φ'(0)|``.

    φ(t) is the loss at x + t direction. Losses within ``noise |φ(0)|`` of φ(0) count as equal, and
    φ'(t) ≤ (1 − 2e-4) ``|φ'(0)|`` then takes the place of the first condition.

    Parameters
    ----------
    evaluate : callable
        A point without a loss has the value inf: it is too far.
    start : Point
    direction : array, shape (n_x,)
        With direction · gradient < 0.
    step : float
        To try first.
    noise : float

    Returns
    -------
    Point or None
        None if no step was found that lowers the loss. After 25 evaluations, or where the interval
        has shrunk to nothing, the lowest is taken that satisfies the first condition alone.

    Source: Nocedal, Wright, Numerical Optimization, 2006, alg. 3.5, 3.6; Hager, Zhang 2005, eq. 4.
    """
    low = _Trial(0.0, start.value, float(direction @ start.gradient), start)
    first, blur = low.slope, noise * abs(start.value)
    high: _Trial | None = None
    for _ in range(MOST):
        point = evaluate(start.x + step * direction)
        trial = _Trial(step, point.value, float(direction @ point.gradient), point)
        falls = trial.value < start.value and (trial.value <= start.value + DECREASE * step * first)
        same = (
            blur > 0
            and trial.value <= start.value + blur
            and trial.slope <= (2 * DECREASE - 1) * first
        )
        if not (falls or same) or trial.value > low.value + blur:
            high = trial
        else:
            if abs(trial.slope) <= -CURVATURE * first:
                return point
            ahead = trial.slope * ((step + 1.0 if high is None else high.step) - trial.step) < 0
            if not ahead:
                high = low
            low = trial
        step = _further(low) if high is None else _between(low, high)
        if high is not None and step in (low.step, high.step):  # no number is left between them
            break
    return low.point if low.value < start.value else None


def _further(low: _Trial) -> float:
    return 4.0 * low.step


def _between(low: _Trial, high: _Trial) -> float:
    """Return the minimiser of the cubic through both, kept off the ends."""
    width = high.step - low.step
    if not np.isfinite(high.value):
        return low.step + SHORTER * width
    a = low.slope + high.slope - 3 * (high.value - low.value) / width
    square = a * a - low.slope * high.slope
    share = 0.5
    if square >= 0:
        root = np.copysign(np.sqrt(square), width)
        below = high.slope - low.slope + 2 * root
        if below != 0:
            share = 1.0 - (high.slope + root - a) / below
    return float(low.step + width * (min(max(share, 0.1), 0.9) if np.isfinite(share) else 0.5))
