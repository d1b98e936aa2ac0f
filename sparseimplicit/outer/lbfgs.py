"""L-BFGS in an inner product: every dot is a derivative with a step, H₀ is a multiple of M⁻¹."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..linear.operator import Array
from .descent import MEMORY, Descent, Measure, stalled
from .inner import InnerProduct
from .point import Point
from .wolfe import wolfe

CURVED: Final = 1e-14  # of ‖s‖ ‖y‖: what sᵀy must exceed for the pair to be kept


@dataclass(frozen=True)
class _Pair:
    s: Array  # step
    y: Array  # what it changed of the derivative
    z: Array  # M⁻¹ y
    sy: float


def lbfgs(
    evaluate: Callable[[Array], Point],
    x: Array,
    inner: InnerProduct,
    *,
    settles: Callable[[Point], bool],
    stop_rtol: float,
    max_iterations: int,
    memory: int = MEMORY,
    noise: float = 0.0,
) -> Descent:
    """Minimise without bounds, in an inner product.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(x) -> Point``.
    x : array, shape (n_x,)
    inner : InnerProduct
    settles : callable
        ``settles(point)``: whether the loss there is as good as the best, to its accuracy.
    stop_rtol : float
        Stop when the dual norm of the derivative has fallen to this fraction of its first.
    max_iterations, memory : int
    noise : float
        Relative accuracy of the loss.

    Notes
    -----
    Cost an iteration: mostly one evaluation; no solve with M beyond the one that a `Point` has
    made, for the M⁻¹ yᵢ are differences of gradients. The first step has length 1 in M, or is the
    gradient of the loss scaled to 1 if that is shorter.
    Source: Nocedal, Wright, Numerical Optimization, 2006, alg. 7.4 and 7.5.
    """
    point = evaluate(x)
    scale = abs(point.value) or 1.0
    measure = Measure(scale, point.size / scale)
    goal = stop_rtol * point.size
    if point.size == 0.0:
        return Descent("the gradient is zero at the start", True, 0, measure)
    pairs: deque[_Pair] = deque(maxlen=memory)
    for iteration in range(max_iterations):
        direction = -_applied(pairs, point) if pairs else -point.primal / scale
        step = 1.0 if pairs else min(1.0, 1.0 / inner.norm(direction))
        found = wolfe(evaluate, point, direction, step, noise=noise)
        if found is None and pairs:  # once more, without what was learned of the curvature
            pairs.clear()
            direction = -point.primal / scale
            step = min(1.0, 1.0 / inner.norm(direction))
            found = wolfe(evaluate, point, direction, step, noise=noise)
        if found is None:
            left = point.size / scale / measure.first
            return Descent(stalled(left), False, iteration, measure)
        s, y, z = found.x - point.x, found.gradient - point.gradient, found.primal - point.primal
        sy = float(s @ y)
        if sy > CURVED * inner.norm(s) * max(float(y @ z), 0.0) ** 0.5:
            pairs.append(_Pair(s, y, z, sy))
        point = found
        if point.size <= goal and settles(point):
            return Descent("the gradient fell to stop_rtol of its first", True, iteration + 1,
                           measure)  # fmt: skip
    return Descent("max_iterations were made", False, max_iterations, measure)


def _applied(pairs: deque[_Pair], point: Point) -> Array:
    """Return H g by the two loops, with H₀ = (sᵀy / yᵀM⁻¹y) M⁻¹ of the newest pair."""
    q, gradient, shares = point.primal.copy(), point.gradient.copy(), []
    for pair in reversed(pairs):
        share = float(pair.s @ gradient) / pair.sy
        gradient -= share * pair.y
        q -= share * pair.z
        shares.append(share)
    newest = pairs[-1]
    r = q * (newest.sy / float(newest.y @ newest.z))
    for pair, share in zip(pairs, reversed(shares), strict=True):
        r += (share - float(pair.y @ r) / pair.sy) * pair.s
    return r
