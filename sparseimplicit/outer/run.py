"""The function of x that an optimiser sees, with what it hands from one evaluation to the next."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..hypergradient import Hypergradient, Loss, hypergradient
from ..implicit import ImplicitFunction, SolvedState, Start
from ..linear.operator import Array
from .checkpoint import Checkpoint, Record, StepRecord
from .descent import Stopped
from .history import Evaluation, TrustStep, Work
from .inner import InnerProduct
from .point import Point

Kept = tuple[SolvedState, Hypergradient]


@dataclass(frozen=True)
class Taken:
    """An evaluation: the states it left, whole ones if asked for; no work if from a checkpoint."""

    point: Point
    left: tuple[Start, ...]
    work: Work | None = None
    kept: tuple[Kept, ...] | None = None


class Run:
    """Losses over their lower-level problems, summed, with history and checkpoint.

    Attributes
    ----------
    starts : tuple of Start or None
        What the states of the next evaluation start from.
    best, latest : Point
    """

    best: Point
    latest: Point

    def __init__(
        self,
        losses: list[Loss],
        implicits: list[ImplicitFunction],
        guesses: list[Any],
        rtol: float,
        checkpoint: str | Path | None,
        callback: Callable[[Evaluation], Any] | None,
    ) -> None:
        self.losses, self.implicits, self.guesses, self.rtol = losses, implicits, guesses, rtol
        self.callback = callback
        self.checkpoint = None if checkpoint is None else Checkpoint(checkpoint)
        self.replay = [] if self.checkpoint is None else self.checkpoint.load()
        self.starts: tuple[Start | None, ...] = (None,) * len(implicits)
        self.history: list[Evaluation] = []
        self.work = [Work()] * len(implicits)
        self.inner: InnerProduct

    def evaluate(self, x: Array) -> Point:
        """Return loss and gradient at x; the next evaluation starts from these states."""
        taken = self.take(x)
        self.starts = taken.left or self.starts
        self.tell(taken)
        return taken.point

    def settle(self, point: Point) -> bool:
        """Take a point for the best if its loss is, or differs by no more than its accuracy."""
        if point.value > self.best.value + self.rtol * abs(self.best.value):
            return False
        self.best = point
        return True

    def solve(self, x: Array) -> list[SolvedState]:
        """Return the states at x, all of them alive."""
        return [self.state(i, x, start) for i, start in enumerate(self.starts)]

    def state(self, i: int, x: Array, start: Start | None) -> SolvedState:
        """Return the state of problem i at x."""
        guess = self.guesses[i] if start is None else None
        return self.implicits[i].solve(x, guess, start=start, rtol=self.rtol)

    def recorded(self) -> Record | None:
        """Return the next evaluation, where the checkpoint has it."""
        index = len(self.history)
        return self.replay[index] if index < len(self.replay) else None

    def take(
        self,
        x: Array,
        *,
        keep: bool = False,
        step: StepRecord | None = None,
        since: int | None = None,
    ) -> Taken:
        """Evaluate, or take it from the checkpoint.

        keep: hold the states, and write down what they started from instead of what they left.
        step: what led to x. since: the first evaluation whose states a resumed run may ask for.
        """
        record = self.recorded()
        if record is not None:
            return self._replayed(record, x)
        given = tuple(start for start in self.starts if start is not None)
        value, gradient = 0.0, np.zeros_like(x)
        left: list[Start] = []
        parts: list[Work] = []
        kept: list[Kept] = []
        # One after the other, and unless kept each state is dropped before the next: only one
        # factor is alive.
        for i, loss in enumerate(self.losses):
            started = time.perf_counter()
            solved = self.state(i, x, self.starts[i])
            h = hypergradient(loss, solved, rtol=self.rtol)
            left.append(solved.handover())
            if keep:
                kept.append((solved, h))
            del solved
            value += h.value
            gradient += h.gradient
            products = 0 if step is None else step.products
            parts.append(Work.of(h, time.perf_counter() - started, products))
        if self.checkpoint is not None:
            starts = given if keep else tuple(left)
            self.checkpoint.append(
                len(self.history), Record(x, value, gradient, starts, step), since=since
            )
        self.work = [Work.total(pair) for pair in zip(self.work, parts, strict=True)]
        point = Point(x, value, gradient, self.inner.riesz(gradient))
        return Taken(point, tuple(left), Work.total(parts), tuple(kept) if keep else None)

    def tell(self, taken: Taken, step: TrustStep | None = None) -> None:
        """Add an evaluation to the history and tell the callback, which may ask to stop."""
        point = self.latest = taken.point
        if not self.history or point.value < self.best.value:
            self.best = point
        evaluation = Evaluation(
            evaluation=len(self.history), x_mean=float(point.x.mean()), value=point.value,
            gradient_norm=point.size, work=taken.work, step=step,
        )  # fmt: skip
        self.history.append(evaluation)
        if self.callback is not None:
            try:
                self.callback(evaluation)
            except StopIteration as stop:
                raise Stopped("the callback asked to stop", False) from stop

    def _replayed(self, record: Record, x: Array) -> Taken:
        if not np.array_equal(record.x, x):
            raise self.another("was at another x")
        point = Point(x, record.value, record.gradient, self.inner.riesz(record.gradient))
        return Taken(point, record.starts)

    def another(self, what: str) -> ConfigError:
        """Return the error that the next evaluation in the checkpoint is none of this run's."""
        assert self.checkpoint is not None  # noqa: S101 - the records come from it
        return ConfigError(
            f"{self.checkpoint.folder} is the checkpoint of another run: its evaluation "
            f"{len(self.history)} {what}.",
            where="minimize",
            fix="give the settings of that run, or another folder.",
        )
