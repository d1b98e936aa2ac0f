"""A training run: what all stages share, from one step to the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...linear.operator import Array
from ...outer import Work
from .images import summed
from .plan import Training
from .regularizers import regularize
from .steps import Step
from .store import Point, Store
from .visitors import Answers, Visitors
from .visits import Visit

Callback = Callable[[Step], Any]


@dataclass(frozen=True, eq=False)
class Evaluated:
    """The objective over some images at θ, and its gradient; pure sums, in the images' order."""

    theta: Array
    value: float
    gradient: Array
    error: float | None
    rtol: float
    psnr: float
    images: int
    work: Work
    seconds: dict[str, float]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Best:
    """The best θ so far. score: PSNR on images held out, or minus the objective; −∞ for none."""

    theta: Array
    score: float = -np.inf
    step: int = 0


class Run:
    """Where a run stands, and how it gets on: evaluate, validate, conclude a step.

    Attributes
    ----------
    best : Best
    stale : int
        Looks at the images held out since the best one, in this stage.
    history : list of Step
    resumed : int
        Steps that were taken from a checkpoint.
    """

    def __init__(
        self,
        plan: Training,
        visitors: Visitors,
        store: Store | None,
        callback: Callback | None,
    ) -> None:
        self.plan, self.visitors, self.store, self.callback = plan, visitors, store, callback
        first = plan.first if plan.limits is None else np.clip(
            plan.first, plan.limits.lb, plan.limits.ub)  # fmt: skip
        self.best = Best(first)
        self.stale = 0
        self.history: list[Step] = []
        self.resumed = 0
        self.psnr_start: Array = np.zeros(len(plan.all))
        self._told = 0  # notes of the store

    @property
    def next(self) -> int:
        """The number of the step that comes next; some before it may be lost from the history."""
        return self.history[-1].step + 1 if self.history else 0

    @property
    def learned_from(self) -> range:
        """The images to learn from."""
        return range(len(self.plan.examples))

    @property
    def held_out(self) -> range:
        """The images held out."""
        return range(len(self.plan.examples), len(self.plan.all))

    def begin(self) -> None:
        """Solve all images at the start, loosely: the first guesses of all that follows."""
        started = time.perf_counter()
        rtol = self.plan.stages[0].accuracy.first
        theta = self.best.theta
        told = self.visitors.visit(Visit(theta, rtol, gradient=False),
                                   [*self.learned_from, *self.held_out], "000000")  # fmt: skip
        self.psnr_start = np.array([answer.psnr for answer in told.answers])
        own = told.answers[: len(self.learned_from)]
        extra, _ = self._regularized(theta)
        validation = None
        if self.held_out:
            validation = float(np.mean(self.psnr_start[len(self.learned_from) :]))
            self.best = Best(theta, validation, 0)
        step = Step(
            step=0, stage=0, in_stage=0, method="start", images=len(own),
            theta_mean=float(theta.mean()),
            value=sum(a.value for a in own) / self.plan.pixels(self.learned_from) + extra,
            gradient_norm=None, gradient_error=None, rtol=rtol,
            psnr=float(np.mean([a.psnr for a in own])), validation=validation, best=True,
            work=Work.total([a.work for a in told.answers]),
            seconds=_seconds(told, time.perf_counter() - started), notes=_notes(told),
        )  # fmt: skip
        self._write(step, {"theta": theta}, {}, replayed=False)

    def evaluate(
        self, theta: Array, examples: Sequence[int], rtol: float, *, error: bool
    ) -> Evaluated:
        """Return the objective over some images at θ and its gradient, to rtol."""
        started = time.perf_counter()
        told = self.visitors.visit(Visit(theta, rtol, error=error), examples, self._name())
        pixels = self.plan.pixels(examples)
        value, gradient = 0.0, np.zeros_like(theta)
        for answer in told.answers:  # one after the other: a sum in another order has other bits
            assert answer.gradient is not None  # noqa: S101 - it was asked for
            value += answer.value
            gradient += answer.gradient
        extra, slope = self._regularized(theta)
        bound = None
        if error:
            bound = sum(answer.error or 0.0 for answer in told.answers) / pixels
        return Evaluated(
            theta, value / pixels + extra, gradient / pixels + slope, bound, rtol,
            float(np.mean([answer.psnr for answer in told.answers])), len(told.answers),
            Work.total([answer.work for answer in told.answers]),
            _seconds(told, time.perf_counter() - started), _notes(told),
        )  # fmt: skip

    def conclude(
        self,
        evaluated: Evaluated,
        stage: int,
        theta: Array,
        *,
        arrays: dict[str, Array],
        facts: dict[str, Any],
        replayed: bool,
        validate: bool,
    ) -> Step:
        """Finish a step: look at the images held out, keep the best θ, write, tell.

        Parameters
        ----------
        theta : array
            Where the step has led: what is validated.
        arrays, facts, replayed
            What the optimiser needs to go on from here, see `Point`.

        Raises
        ------
        StopIteration
            From the callback; the step is written.
        """
        started = time.perf_counter()
        validation, notes = None, evaluated.notes
        better = False
        seconds = dict(evaluated.seconds)
        if validate and self.held_out:
            validation, told = self.validated(theta)
            better = self.judged(theta, validation, self.next)
            seconds = summed([seconds, _seconds(told, 0.0)])
            notes = (*notes, *_notes(told))
        elif not self.held_out:
            better = self._judged_by_objective(evaluated, theta, replayed)
        seconds["wall"] = evaluated.seconds["wall"] + time.perf_counter() - started
        patience = self.plan.validation.patience if self.plan.validation else 0
        step = Step(
            step=self.next, stage=stage, in_stage=self._done(stage) + 1,
            method=self.plan.stages[stage].method,
            images=evaluated.images, theta_mean=float(theta.mean()), value=evaluated.value,
            gradient_norm=float(np.linalg.norm(evaluated.gradient)),
            gradient_error=evaluated.error, rtol=evaluated.rtol, psnr=evaluated.psnr,
            validation=validation, best=better, stops=0 < patience <= self.stale,
            work=evaluated.work, seconds=seconds, notes=notes,
        )  # fmt: skip
        return self._write(step, arrays, facts, replayed)

    def validated(self, theta: Array, mark: str = "v") -> tuple[float, Answers]:
        """Return the mean PSNR over the images held out, and how it was found."""
        rtol = self.plan.stages[-1].accuracy.final
        told = self.visitors.visit(
            Visit(theta, rtol, gradient=False), list(self.held_out), f"{self._name()}-{mark}"
        )
        return float(np.mean([answer.psnr for answer in told.answers])), told

    def judged(self, theta: Array, psnr: float, step: int) -> bool:
        """Keep θ if it is the best on the images held out; tell whether it is."""
        if psnr <= self.best.score:
            self.stale += 1
            return False
        self.best, self.stale = Best(theta.copy(), psnr, step), 0
        return True

    def enter(self, number: int) -> None:
        """Begin a stage: what counts as progress is counted anew."""
        self.stale = 0
        if not self.held_out and number:  # objectives of other images or accuracy do not compare
            self.best = replace(self.best, score=-np.inf)

    def restore(self, point: Point, history: list[Step]) -> None:
        """Stand where a checkpoint says."""
        facts = point.facts["run"]
        self.best = Best(point.arrays["best"], facts["score"], facts["best_step"])
        self.stale, self.psnr_start = facts["stale"], point.arrays["psnr_start"]
        self.history, self.resumed = history, len(history)
        self.visitors.places.update(point.places)

    def _judged_by_objective(self, evaluated: Evaluated, theta: Array, full: bool) -> bool:
        score = -evaluated.value if full else -np.inf  # over a few images it tells nothing
        if full and -evaluated.value <= self.best.score:
            return False
        self.best = Best(theta.copy(), score, self.next)
        return True

    def _regularized(self, theta: Array) -> tuple[float, Array]:
        plan = self.plan
        return regularize(tuple(plan.regularizers), plan.packing, theta, plan.first)

    def _done(self, stage: int) -> int:
        """Return how many steps of a stage are made; some may be lost from the history."""
        return max((s.in_stage for s in self.history if s.stage == stage), default=0)

    def _name(self) -> str:
        return f"{self.next:06d}"

    def _write(
        self, step: Step, arrays: dict[str, Array], facts: dict[str, Any], replayed: bool
    ) -> Step:
        if self.store is not None and self._told < len(self.store.notes):
            step = replace(step, notes=(*self.store.notes[self._told :], *step.notes))
            self._told = len(self.store.notes)
        own = {"score": self.best.score, "best_step": self.best.step, "stale": self.stale}
        if self.store is not None:
            held = {**arrays, "best": self.best.theta, "psnr_start": self.psnr_start}
            self.store.write(
                Point(step, held, facts | {"run": own}, dict(self.visitors.places), replayed)
            )
        self.history.append(step)
        if self.callback is not None:
            self.callback(step)
        return step


def _seconds(told: Answers, wall: float) -> dict[str, float]:
    parts = summed([answer.seconds for answer in told.answers])
    return parts | {"waiting": told.waiting, "writing": told.writing, "wall": wall}


def _notes(told: Answers) -> tuple[str, ...]:
    own = [f"image {a.example}: {note}" for a in told.answers for note in a.notes]
    return (*told.notes, *own)
