"""Carry out a training: stage by stage, wherever its images are visited."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...executors import Executor, executor_named
from ...linear.operator import Array
from ...outer import Work
from ..data import psnr
from .examples import Example
from .fullbatch import FullBatchStage
from .minibatch import STOPPED, run_minibatch
from .plan import Training
from .run import Callback, Run
from .stages import Minibatch
from .steps import Step
from .store import Point, Store
from .visitors import Visitors
from .visits import Visit

SHOWN: Final = 5  # denoised images that are kept, to be looked at


@dataclass(frozen=True, eq=False)
class Score:
    """One image before and after learning: PSNR in dB, and how its last state was found.

    denoised: of the first few images.
    """

    name: str
    shape: tuple[int, int]
    noisy: float
    start: float
    learned: float
    state_residual: float
    linear_solver: str
    work: Work
    denoised: Array | None = None


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training has come to.

    Attributes
    ----------
    theta : array (n_x,)
        The best one: on the images held out, else of the lowest objective of the last stage.
    best_step : int
    scores, validation : tuples of Score
        Of the images learned from, and of those held out, at θ.
    history : tuple of Step
        Also of steps that were taken from a checkpoint: the first ``resumed`` ones. Those whose
        record was lost are missing: their numbers tell.
    converged : bool
        Every stage by L-BFGS-B met its tolerance.
    messages : tuple of str
        Why each stage ended.
    notes : tuple of str
        What was damaged or lost, and made again.
    unmet : tuple of str
        Why each stage ended that neither met its tolerance nor was ended by the images held out.
    """

    theta: Array
    best_step: int
    scores: tuple[Score, ...]
    validation: tuple[Score, ...]
    history: tuple[Step, ...]
    resumed: int
    converged: bool
    messages: tuple[str, ...]
    notes: tuple[str, ...] = ()
    unmet: tuple[str, ...] = ()

    @property
    def work(self) -> Work:
        """All work of this process, the last states included."""
        return self._work(self.resumed)

    @property
    def work_in_all(self) -> Work:
        """The work of all processes that have had a part in this, from the first step on.

        That of a step counts once, however often it was begun; of the last states, this process's.
        """
        return self._work(0)

    def _work(self, first: int) -> Work:
        own = [step.work for step in self.history[first:]]
        return Work.total([*own, *(score.work for score in self.scores + self.validation)])


def train(
    plan: Training,
    *,
    executor: str | Executor = "serial",
    jobs: int | None = None,
    checkpoint: str | Path | None = None,
    callback: Callback | None = None,
) -> Trained:
    """Learn the parameters of a model.

    Parameters
    ----------
    plan : Training
    executor : {"serial", "processes"}, or an Executor such as `cluster.Dask`
        Where images are visited: one after the other in this process, each with all of its
        threads; or in several, which pays for many small images. The result has the same bits.
    jobs : int, optional
        Processes; a process a core if left out. Each gets its share of the cores.
    checkpoint : path, optional
        A folder. Every step is written to it; if it holds steps of this very plan, the run goes on
        after the last one that is whole, with the same result to the bit.
    callback : callable, optional
        Called with the `Step` after each. Raising ``StopIteration`` ends the run there.

    Returns
    -------
    Trained

    Raises
    ------
    NotConverged, NotPositiveDefinite, SingularSystem, NonFinite
        From a lower-level problem, with the name of the image; steps so far are in the checkpoint.
    ConfigError
        If the checkpoint belongs to another plan, is in use, or cannot be written.

    Notes
    -----
    Each image keeps its state and its adjoint from one visit to the next, as first guesses.
    Memory: three numbers a pixel of all images, beside one problem at a time a process.
    """
    store = None if checkpoint is None else Store(checkpoint, plan.identity())
    visitors: Visitors | None = None
    try:
        visitors = Visitors(
            executor_named(executor, jobs), plan.model, dict(enumerate(plan.all)),
            plan.linear_solver, None if store is None else store.states,
        )  # fmt: skip
        run = Run(plan, visitors, store, callback)
        messages, converged, unmet = _stages(run, [] if store is None else store.resume())
        scores = _scores(run)
    finally:
        if visitors is not None:
            visitors.close()
        if store is not None:
            store.close()
    count = len(plan.examples)
    return Trained(
        run.best.theta, run.best.step, scores[:count], scores[count:], tuple(run.history),
        run.resumed, converged, tuple(messages), () if store is None else tuple(store.notes),
        tuple(unmet),
    )  # fmt: skip


def _stages(run: Run, points: list[Point]) -> tuple[list[str], bool, list[str]]:
    """Run all stages, from a point on.

    Returns why each ended, whether all converged, and which of the reasons mean that one ended
    before it was done.
    """
    messages: list[str] = []
    unmet: list[str] = []
    converged = True
    first = 0
    try:
        if points:
            assert run.store is not None  # noqa: S101 - the points come from it
            run.restore(points[-1], run.store.history())
            first = points[-1].step.stage
            points = points if points[-1].step.method != "start" else []
        else:
            run.begin()
        for number, stage in enumerate(run.plan.stages):
            if number < first:
                messages.append("was done before the checkpoint")
                continue
            held = points if number == first else []
            if not held:
                run.enter(number)
            if isinstance(stage, Minibatch):
                messages.append(run_minibatch(run, stage, number, held[-1] if held else None))
            else:
                message, good = FullBatchStage(run, stage, number, held).finish()
                messages.append(message)
                converged = converged and good
                if not good and message != STOPPED:
                    unmet.append(f"stage {number}: {message}")
    except StopIteration:
        return [*messages, "the callback asked to stop"], False, unmet
    return messages, converged, unmet


def _scores(run: Run) -> tuple[Score, ...]:
    """Look at every image at the best θ, to the last accuracy."""
    rtol, count = run.plan.stages[-1].accuracy.final, len(run.plan.all)
    shown = list(range(min(SHOWN, count)))
    told = run.visitors.visit(Visit(run.best.theta, rtol, gradient=False, image=True), shown, "")
    rest = run.visitors.visit(
        Visit(run.best.theta, rtol, gradient=False), list(range(len(shown), count)), ""
    )
    return tuple(
        Score(
            name=example.name, shape=example.observed.shape, noisy=_noisy(example),
            start=float(run.psnr_start[answer.example]), learned=answer.psnr,
            state_residual=answer.work.state_residual, linear_solver=answer.linear_solver,
            work=answer.work, denoised=answer.denoised,
        )
        for example, answer in zip(run.plan.all, [*told.answers, *rest.answers], strict=True)
    )  # fmt: skip


def _noisy(example: Example) -> float:
    return psnr(example.observed.image, example.truth)
