"""L-BFGS on a run: scipy's, in z = √m x where the inner product is a diagonal m; or our own."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import scipy.optimize

from ..linear.operator import Array
from .bounds import Limits, clipped, length
from .descent import MEMORY, Descent, Stopped, TrialFailed, descend
from .inner import DiagonalProduct
from .lbfgs import lbfgs
from .run import Run
from .trials import Metric

MEMORY_INNER: Final = 30  # on the mother problem 33 to 36 steps on any mesh, with 10 pairs 71 to 75


def quasi_newton(
    run: Run, x: Array, metric: Metric, *, euclidean: bool, memory: int | None, **options: Any
) -> Descent:
    """Minimise by L-BFGS; ``euclidean`` where no inner product was given: scipy's test ends it."""
    inner = metric.inner
    if memory is None:
        memory = MEMORY if euclidean else MEMORY_INNER
    options["memory"] = memory
    if not isinstance(inner, DiagonalProduct):
        try:
            return lbfgs(run.evaluate, x, inner, settles=run.settle, noise=run.rtol, **options)
        except Stopped as stop:
            return stop.descent(len(run.history) - 1)
    if not euclidean:
        options["size"] = length
    return _scaled(run, x, np.sqrt(inner.weights), metric.limits, **options)


def _scaled(run: Run, x: Array, root: Array, limits: Limits, **options: Any) -> Descent:
    """Minimise over z = √m x, in which the inner product is the Euclidean one."""
    scaled = None if limits is None else scipy.optimize.Bounds(limits.lb * root, limits.ub * root)

    def back(z: Array) -> Array:
        x = z / root
        if limits is None or scaled is None:
            return x
        x = np.where(z <= scaled.lb, limits.lb, np.where(z >= scaled.ub, limits.ub, x))
        return clipped(x, limits)

    def evaluate(z: Array) -> tuple[float, Array]:
        point = run.evaluate(back(z))
        if not np.isfinite(point.value):
            raise TrialFailed
        return point.value, point.gradient / root

    return descend(evaluate, x * root, scaled, settles=lambda *_: run.settle(run.latest), **options)
