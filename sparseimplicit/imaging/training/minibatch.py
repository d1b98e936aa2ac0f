"""A stage by Adam: some images a step."""

from __future__ import annotations

import numpy as np

from .run import Run
from .stages import Minibatch, Moments, units
from .store import Point


def run_minibatch(run: Run, stage: Minibatch, number: int, at: Point | None) -> str:
    """Run a stage to its end, from its first step or from a point in it; return why it ended.

    The batch of a step follows from its number alone, so that a resumed stage goes on with the
    images that come next.
    """
    plan, unit = run.plan, units(stage.scales, run.plan.packing)
    if at is None:
        theta = run.best.theta.copy()
        moments = Moments(np.zeros_like(theta), np.zeros_like(theta))
    else:
        theta = at.arrays["theta"]
        moments = Moments(at.arrays["mean"], at.arrays["square"], at.facts["moments"])
        if at.step.stops:
            return STOPPED
    every = plan.validation.every if plan.validation else 1
    while moments.steps < stage.steps:
        k = moments.steps
        error = bool(stage.error_every) and k % stage.error_every == 0
        evaluated = run.evaluate(
            theta, stage.batch_of(len(run.learned_from), k), stage.accuracy.at(k), error=error
        )
        moments, step = moments.advance(unit * evaluated.gradient, stage)
        theta = theta - stage.rate_at(k) * unit * step
        if plan.limits is not None:
            theta = np.clip(theta, plan.limits.lb, plan.limits.ub)
        done = moments.steps
        concluded = run.conclude(
            evaluated, number, theta,
            arrays={"theta": theta, "mean": moments.mean, "square": moments.square},
            facts={"moments": done}, replayed=False,
            validate=done % every == 0 or done == stage.steps,
        )  # fmt: skip
        if concluded.stops:
            return STOPPED
    return f"all {stage.steps} steps are done"


STOPPED = "the images held out are no longer denoised better"
