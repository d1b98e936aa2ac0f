"""The function of x that an optimiser sees, with what it hands from one evaluation to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..errors import ConfigError, NotConverged, SparseImplicitError
from ..executors import Executor
from ..hypergradient import Loss
from ..implicit import SolvedState, Start
from ..linear.operator import Array
from .anew import difference
from .checkpoint import Checkpoint, Record, StepRecord
from .descent import Stopped
from .history import Evaluation, TrustStep, Work
from .inner import InnerProduct
from .lower import Failed, Kept, Lower, Parts, Relay
from .point import Point
from .seats import Away

MOST_FAILURES: Final = 12  # of L-BFGS, each a quarter of the step before: 4⁻¹² = 6e-8 of it


@dataclass(frozen=True)
class Taken:
    """An evaluation: the states it left, whole ones if asked for; no work if from a checkpoint.

    failure: why there is neither loss (inf) nor gradient (NaN).
    """

    point: Point
    left: tuple[Start, ...]
    work: Work | None = None
    kept: tuple[Kept, ...] | None = None
    failure: str | None = None
    notes: tuple[str, ...] = ()


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
        lower: list[Lower],
        rtol: float,
        checkpoint: str | Path | None,
        callback: Callable[[Evaluation], Any] | None,
        executor: Executor,
    ) -> None:
        self.lower, self.rtol, self.callback = lower, rtol, callback
        self.checkpoint = None if checkpoint is None else Checkpoint(checkpoint)
        self.replay = [] if self.checkpoint is None else self.checkpoint.load()
        self.coarsest = rtol  # of what the checkpoint has
        self.starts: tuple[Start | None, ...] = (None,) * len(lower)
        self.history: list[Evaluation] = []
        self.work = [Work()] * len(lower)
        self.failed = 0  # evaluations, one after the other
        self.inner: InnerProduct
        self._relay = Relay(dict(enumerate(lower)))
        self._away = Away(executor, lower)

    @property
    def losses(self) -> list[Loss]:
        """One for each lower-level problem."""
        return [lower.loss for lower in self.lower]

    def close(self) -> None:
        """End other processes."""
        self._away.close()

    def evaluate(self, x: Array) -> Point:
        """Return loss and gradient at x; the next evaluation starts from these states.

        At any but the first point state or adjoint may fail: the loss is then inf, the gradient
        NaN.

        Raises
        ------
        NotConverged
            If they have failed at so many points one after the other. ``error.best`` is the best x.
        """
        taken = self.take(x, trial=bool(self.history))
        self.starts = taken.left or self.starts
        self.tell(taken)
        self.failed = 0 if taken.failure is None else self.failed + 1
        if self.failed == MOST_FAILURES:
            raise self._stuck(str(taken.failure))
        return taken.point

    def settle(self, point: Point) -> bool:
        """Take a point for the best if its loss is, or differs by no more than its accuracy."""
        if point.value > self.best.value + self.rtol * abs(self.best.value):
            return False
        self.best = point
        return True

    def solve(self, x: Array) -> list[SolvedState]:
        """Return the states at x, all of them alive."""
        states = []
        for i, start in enumerate(self.starts):
            states.append(self.state(i, x, start))
            self._relay.pass_on(states[-1])
        return states

    def state(self, i: int, x: Array, start: Start | None) -> SolvedState:
        """Return the state of problem i at x; it takes, or drops, the factorization passed on."""
        return self._relay.state(i, x, start, self.rtol)

    def recorded(self) -> Record | None:
        """Return the next evaluation, where the checkpoint has it."""
        index = len(self.history)
        return self.replay[index] if index < len(self.replay) else None

    def take(
        self,
        x: Array,
        *,
        keep: bool = False,
        trial: bool = False,
        step: StepRecord | None = None,
        since: int | None = None,
        before: Sequence[Work] = (),
    ) -> Taken:
        """Evaluate, or take it from the checkpoint.

        keep: hold the states, and write down what they started from instead of what they left.
        trial: whether it is an answer that state or adjoint fail there. step: what led to x, if it
        is a trial point of a trust-region method. since: the first evaluation whose states a
        resumed run may ask for. before: the work that the step took, of each problem.
        """
        record = self.recorded()
        if record is not None:
            return self._replayed(record, x)
        given = tuple(start for start in self.starts if start is not None)
        kept: list[Kept] = []
        try:
            parts, notes = self._evaluated(x, trial=trial, kept=kept if keep else None)
        except SparseImplicitError as error:
            raise error.at(f"minimize, evaluation {len(self.history)}") from error.__cause__
        value, gradient, left, failure = _sum(parts, x.size)
        if failure is not None:
            left = given
        if self.checkpoint is not None:
            record = Record(x, value, gradient, given if keep else left, step, failure)
            self.checkpoint.append(len(self.history), record, since=since)
        work = list(before) or [Work()] * len(self.lower)
        for i, part in parts.items():
            work[i] = Work.total([work[i], part.work])
        self.work = [Work.total(pair) for pair in zip(self.work, work, strict=True)]
        return Taken(
            self._point(x, value, gradient), left, Work.total(work),
            tuple(kept) if keep and failure is None else None, failure, notes,
        )  # fmt: skip

    def _evaluated(
        self, x: Array, *, trial: bool, kept: list[Kept] | None
    ) -> tuple[Parts, tuple[str, ...]]:
        if self._away.apart:
            return self._away.evaluate(x, self.starts, self.rtol, trial=trial)
        starts = dict(enumerate(self.starts))
        return self._relay.evaluate(x, starts, self.rtol, trial=trial, kept=kept), ()

    def _point(self, x: Array, value: float, gradient: Array) -> Point:
        known = np.isfinite(value)
        return Point(x, value, gradient, self.inner.riesz(gradient) if known else gradient)

    def tell(self, taken: Taken, step: TrustStep | None = None) -> None:
        """Add an evaluation to the history and tell the callback, which may ask to stop."""
        point = self.latest = taken.point
        if not self.history or point.value < self.best.value:
            self.best = point
        evaluation = Evaluation(
            evaluation=len(self.history), x_mean=float(point.x.mean()), value=point.value,
            gradient_norm=point.size, work=taken.work, step=step, failure=taken.failure,
            notes=taken.notes,
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
        if not self.history:
            self._check_replay()
        point = self._point(x, record.value, record.gradient)
        return Taken(point, record.starts, failure=record.failure)

    def _check_replay(self) -> None:
        """Make the last stored evaluation anew; ConfigError if it is of another loss or problem."""
        assert self.checkpoint is not None  # noqa: S101 - the records come from it
        known = [i for i, record in enumerate(self.replay) if record.failure is None]
        starts, last = self.replay[-1].starts, self.replay[known[-1]]
        told = difference(self.lower, last, starts, self.coarsest, self.replay[0].gradient)
        if told is not None:
            raise ConfigError(
                f"{self.checkpoint.folder} is the checkpoint of another loss or problem: its "
                f"evaluation {known[-1]} {told}.",
                where="minimize",
                fix="give the loss and the problem of that run, or another folder.",
            )

    def _stuck(self, failure: str) -> NotConverged:
        best = next(e for e in self.history if e.value == self.best.value)
        return NotConverged(
            f"{MOST_FAILURES} points tried one after the other have neither loss nor gradient; at "
            f"the last, {failure}",
            best=self.best.x,
            report=best,
            where=f"minimize, evaluation {len(self.history) - 1}",
            fix=f"go on from `error.best`, whose loss is {best.value:.6g} (evaluation "
            f"{best.evaluation}), within `bounds` that keep x where there are states; or with "
            "method='newton-cg' and a small `radius`.",
        )

    def another(self, what: str) -> ConfigError:
        """Return the error that the next evaluation in the checkpoint is none of this run's."""
        assert self.checkpoint is not None  # noqa: S101 - the records come from it
        return ConfigError(
            f"{self.checkpoint.folder} is the checkpoint of another run: its evaluation "
            f"{len(self.history)} {what}.",
            where="minimize",
            fix="give the settings of that run, or another folder.",
        )


def _sum(parts: Parts, n: int) -> tuple[float, Array, tuple[Start, ...], str | None]:
    """Return loss, gradient, the states left; inf, NaN, () and why, where a problem has failed."""
    value, gradient, left = 0.0, np.zeros(n), []
    for part in parts.values():  # one after the other: a sum in another order has other bits
        if isinstance(part, Failed):
            return np.inf, np.full(n, np.nan), (), part.told
        value += part.value
        gradient += part.gradient
        left.append(part.left)
    return value, gradient, tuple(left), None
