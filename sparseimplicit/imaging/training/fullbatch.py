"""A stage by L-BFGS-B: all images a step."""

from __future__ import annotations

from typing import Final

import numpy as np
import scipy.optimize

from ...errors import ConfigError
from ...linear.operator import Array
from ...outer.descent import Descent, Stopped, descend
from .minibatch import STOPPED
from .run import Best, Run
from .stages import FullBatch, units
from .store import Point

LEAST: Final = 5  # iterations that a descent at the last accuracy is granted


class FullBatchStage:
    """The function that L-BFGS-B sees: of z = θ / unit.

    A resumed stage is asked again from its start, is answered from the checkpoint, and stands
    exactly where it was: no state of the optimiser is stored, and none can be forgotten.
    """

    def __init__(self, run: Run, stage: FullBatch, number: int, points: list[Point]) -> None:
        self.run, self.stage, self.number, self.points = run, stage, number, points
        self.unit = units(stage.scales, run.plan.packing, of_map=run.plan.shape)
        self.tight = False  # the last accuracy, whatever the step
        self.steps = 0
        self.start: Array = run.best.theta
        self.last = 0  # step of the run
        self.lowest: Best | None = None

    def finish(self) -> tuple[str, bool]:
        """Run the stage to its end; return why it ended, and whether it converged."""
        limits = self.run.plan.limits
        if limits is not None:
            limits = scipy.optimize.Bounds(limits.lb / self.unit, limits.ub / self.unit)
        # θ before it was scaled: to divide and multiply again may change a bit.
        if self.points:
            self.start = self.points[0].arrays["start"]
        descent = self._descend(self.start, limits, self.stage.max_iterations, None)
        if descent.message != STOPPED and self._rtol(self.steps - 1) > self.stage.accuracy.final:
            self.tight = True
            left = max(self.stage.max_iterations - descent.iterations, LEAST)
            descent = self._descend(self._lowest.theta, limits, left, descent)
        lowest = self._lowest
        if self.run.held_out:
            psnr, _ = self.run.validated(lowest.theta, "e")
            self.run.judged(lowest.theta, psnr, lowest.step)
        else:
            self.run.best = lowest
        return descent.message, descent.converged

    @property
    def _lowest(self) -> Best:
        assert self.lowest is not None  # noqa: S101 - a step was made
        return self.lowest

    def _descend(
        self, theta: Array, limits: scipy.optimize.Bounds | None, most: int, before: Descent | None
    ) -> Descent:
        self.lowest = None  # losses of another accuracy do not compare
        return descend(
            self._evaluate, theta / self.unit, limits, settles=self._settles,
            stop_rtol=self.stage.stop_rtol, max_iterations=most, memory=self.stage.memory,
            measure=before.measure if before else None,
        )  # fmt: skip

    def _evaluate(self, z: Array) -> tuple[float, Array]:
        theta = z * self.unit
        k, self.steps = self.steps, self.steps + 1
        stops = False
        if k < len(self.points):
            value, gradient, stops = self._replayed(self.points[k], theta)
        else:
            value, gradient, stops = self._computed(k, theta)
        if self.lowest is None or -value > self.lowest.score:
            self.lowest = Best(theta, -value, self.last)
        if stops:
            raise Stopped(STOPPED, False)
        return value, gradient * self.unit

    def _computed(self, k: int, theta: Array) -> tuple[float, Array, bool]:
        stage, validation = self.stage, self.run.plan.validation
        error = bool(stage.error_every) and k % stage.error_every == 0
        e = self.run.evaluate(theta, list(self.run.learned_from), self._rtol(k), error=error)
        arrays = {"theta": theta, "gradient": e.gradient}
        if k == 0:
            arrays["start"] = self.start
        step = self.run.conclude(
            e, self.number, theta, arrays=arrays, facts={},
            replayed=True, validate=validation is not None and k % validation.every == 0,
        )  # fmt: skip
        self.last = step.step
        return e.value, e.gradient, step.stops

    def _replayed(self, point: Point, theta: Array) -> tuple[float, Array, bool]:
        if not np.array_equal(point.arrays["theta"], theta):
            raise ConfigError(
                f"step {point.step.step} of the checkpoint was at another θ than this run's.",
                where="a stage by L-BFGS-B",
                fix="take the version of scipy it was made with; or start over.",
            )
        self.last = point.step.step
        return point.step.value, point.arrays["gradient"], point.step.stops

    def _rtol(self, k: int) -> float:
        return self.stage.accuracy.final if self.tight else self.stage.accuracy.at(max(k, 0))

    def _settles(self, value: float, z: Array) -> bool:
        """Take a point of small gradient, if its loss is the lowest to the accuracy it has."""
        least = -self._lowest.score
        if value > least + self._rtol(self.steps - 1) * abs(least):
            return False
        self.lowest = Best(z * self.unit, -value, self.last)
        return True
