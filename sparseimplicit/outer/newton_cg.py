"""Newton's method by conjugate gradients in a trust region: Hessian-vector products alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from ..linear.operator import Array
from .bounds import clipped
from .checkpoint import StepRecord
from .descent import Descent, Measure
from .faces import BoxModel
from .point import Point
from .steihaug import Product, steihaug
from .trials import Judged, Metric, Problem, Proposal

ACCEPTED: Final = 1e-4  # of the decrease foretold: less, and the step is not taken
POOR, GOOD = 0.25, 0.75  # of it: less shrinks the region, more lets it grow
COARSE: Final = 0.5  # CG is never stopped earlier than at this fraction of the gradient
FINER: Final = 0.5  # of the goal: CG is never asked for more
CG_ITERATIONS: Final = 200
FALLS: Final = 0.9  # of the least gradient so far: what a step below the noise has to come to
IDLE: Final = 4  # steps that do not, one after the other, and the run ends
MINOR: Final = 1e-2  # of the decrease so far: a step of less is short enough to be foretold well
APART: Final = 0.5  # how far decreases by losses and by gradients may differ there, of the larger
MARGIN: Final = 10.0  # times the noise, beyond that
SMALLEST: Final = 1e-14  # radius, of the length of x or of the first step


def newton_cg(
    problem: Problem,
    x: Array,
    metric: Metric,
    *,
    stop_rtol: float,
    max_iterations: int,
    radius: float | None = None,
    gauss_newton: int = 0,
    noise: float = 0.0,
) -> tuple[Descent, Point]:
    """Minimise by Newton's method, CG and a trust region.

    Parameters
    ----------
    problem : Problem
    x : array, shape (n_x,)
        Within the bounds.
    metric : Metric
    stop_rtol : float
        Stop when `Metric.size` has fallen to this fraction of its first.
    max_iterations : int
        Trial steps.
    radius : float, optional
        First radius, in the norm of M; by default none: the first step is CG's.
    gauss_newton : int
        So many first steps are with the Gauss–Newton Hessian.
    noise : float
        Relative accuracy of the loss: a decrease that is smaller is taken to be −½ (g + g₊)ᵀs.

    Returns
    -------
    Descent, Point
        The last accepted point, which is the best.

    Notes
    -----
    CG goes on to ``min(½, √(size/first))`` of the gradient: superlinear, and coarse at first
    (Eisenstat, Walker 1996; Dembo, Steihaug 1983), but no further than half of what is left to the
    goal. Source: Conn, Gould, Toint, Trust-Region Methods, 2000, alg. 6.1.1.
    """
    point = problem.first(x)
    scale = abs(point.value) or 1.0
    measure = Measure(scale, metric.size(point, scale))
    size, goal, start = measure.first, stop_rtol * measure.first, point.value
    if size == 0.0:
        return Descent("the gradient is zero at the start", True, 0, measure), point
    region = np.inf if radius is None else radius
    reach = max(1.0, metric.inner.norm(point.x))
    taken, idle, least = 0, 0, size
    for iteration in range(max_iterations):
        proposal = problem.recorded(point, region)
        if proposal is None:
            product = problem.hessian(point, gauss_newton=taken < gauss_newton)
            rtol = min(COARSE, max((size / measure.first) ** 0.5, FINER * goal / size))
            proposal = _proposed(product, point, metric, region, reach, rtol)
        judged = problem.trial(proposal, _judge(point, proposal, noise))
        if judged.accepted:
            before, point, taken = point, judged.point, taken + 1
            size = metric.size(point, scale)
            idle = idle + 1 if judged.drowned and size > FALLS * least else 0
            least = min(size, least)
            if size <= goal:
                if (odd := _odd(before, point, start, noise)) is not None:
                    return Descent(odd, False, iteration + 1, measure), point
                told = "the projected gradient" if metric.limits is not None else "the gradient"
                return Descent(f"{told} fell to stop_rtol of its first", True, iteration + 1,
                               measure), point  # fmt: skip
            if idle == IDLE:
                told = (
                    "neither loss nor gradient falls: either they are no better than gradient_rtol,"
                    " or the gradient is not its own; si.verify.taylor tells"
                )
                return Descent(told, False, iteration + 1, measure), point
        if judged.ratio < POOR or not np.isfinite(judged.ratio):
            region = 0.25 * min(proposal.step.length, region)
        elif judged.ratio > GOOD and proposal.step.length > 0.9 * region:
            region = 2.0 * region
        if region <= SMALLEST * reach:
            told = "the trust region shrank to nothing: " + (
                "the gradient is no better than that, or not its own; si.verify.taylor tells"
                if np.isfinite(judged.point.value)
                else "there is no loss around the point"
            )  # fmt: skip
            return Descent(told, False, iteration + 1, measure), point
    return Descent("max_iterations were made", False, max_iterations, measure), point


def _proposed(
    product: Product, point: Point, metric: Metric, radius: float, reach: float, rtol: float
) -> Proposal:
    products = 0

    def counted(v: Array) -> Array:
        nonlocal products
        products += 1
        return product(v)

    if metric.limits is None:
        found = steihaug(
            counted, point.gradient, metric.inner.riesz, radius=radius, reach=reach, rtol=rtol,
            max_iterations=CG_ITERATIONS,
        )  # fmt: skip
    else:
        box = BoxModel(counted, point, metric.limits, metric.inner, metric.inner.lumped())
        found = box.minimize(radius, reach, rtol, CG_ITERATIONS)
    predicted = -float(point.gradient @ found.s + 0.5 * (found.s @ found.h_s))
    x = clipped(point.x + found.s, metric.limits)
    length = metric.inner.norm(x - point.x)
    step = StepRecord(predicted, radius, length, found.iterations, products, found.end)
    return Proposal(x, step)


def _judge(old: Point, proposal: Proposal, noise: float) -> Callable[[Point], Judged]:
    """Return what compares the decrease with the one foretold."""

    def judge(new: Point) -> Judged:
        actual = old.value - new.value
        drowned = abs(actual) <= noise * abs(old.value)
        if drowned:
            actual = _by_gradients(old, new)
        predicted = proposal.step.predicted
        ratio = actual / predicted if predicted > 0 else -np.inf
        return Judged(new, ratio, ratio > ACCEPTED, drowned)

    return judge


def _by_gradients(old: Point, new: Point) -> float:
    """Return the decrease by the trapezoidal rule, exact for quadratics."""
    return -0.5 * float((old.gradient + new.gradient) @ (new.x - old.x))


def _odd(old: Point, new: Point, start: float, noise: float) -> str | None:
    """Return what is wrong with a short last step on which loss and gradients disagree."""
    fell, foretold = old.value - new.value, _by_gradients(old, new)
    most = MARGIN * noise * abs(old.value) + APART * max(abs(fell), abs(foretold))
    if abs(foretold) > MINOR * (start - new.value) or abs(fell - foretold) <= most:
        return None
    return (
        f"the gradient is small, but on the last step, a short one, the loss fell by {fell:.1e}, "
        f"{foretold:.1e} by its gradients: the gradient is not its own; si.verify.taylor tells"
    )
