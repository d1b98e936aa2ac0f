"""The job ``learn``: train a model on images."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import typer

from ..._optional import available
from ...cluster.interruption import Interruption
from ...cluster.rundir import RunDirectory
from ...errors import ConfigError
from ...files import write_atomically
from ...imaging.figure import figure
from ...imaging.figures import model_figure
from ...imaging.models import SavedModel, write_model
from ...imaging.training import (
    Minibatch,
    Step,
    Trained,
    Training,
    check_run,
    clear,
    train,
)
from ..files import write_array, write_json
from ..plans import read_plan
from ..progress import Progress
from ..training_report import about, metrics_of, show
from .foretold import foretold, state_matrix
from .schema import LearnJob
from .source import Source
from .workers import workers_of

RESULTS = ("theta.npy", "model.npz", "history.json", "metrics.json", "figure.png", "model.png")


class TrainingWork:
    """A training that a file states, with its images read.

    Parameters
    ----------
    data : path or None
        A folder of images instead of ``data.folder``.
    jobs : int or None
        Processes, instead of ``run.jobs``.

    Raises
    ------
    ConfigError
    """

    kind = "learn"

    def __init__(
        self, source: Source, job: LearnJob, data: Path | None = None, jobs: int | None = None
    ) -> None:
        self.job, self.name = job, source.path.stem
        self.plan = read_plan(source, job, data)
        self.workers = workers_of(source, job.run, jobs, source.folder / "dask-logs")

    def identity(self) -> str:
        """Return a digest of all settings, and of every pixel."""
        return self.plan.identity()

    def open(self, out: Path, anew: bool) -> None:
        """Refuse or clear the checkpoint of another run; no results stay beside this one's.

        Those of this run stay until they are replaced.
        """
        checkpoint = out / "checkpoint"
        for name in (*RESULTS, "log.txt"):
            if (out / name).is_dir():
                raise ConfigError(
                    f"{out / name} is a folder; a result goes there.",
                    fix="remove it, or choose another folder (--out).",
                )
        if anew:
            clear(checkpoint)
        check_run(checkpoint, self.identity())
        if not any(checkpoint.glob("step-*.npz")):
            for name in (*RESULTS, "log.txt"):
                (out / name).unlink(missing_ok=True)

    def carry_out(self, run: RunDirectory, interruption: Interruption) -> dict[str, Any]:
        """Train from the checkpoint on, and write the results."""
        started = time.perf_counter()
        plan, out = self.plan, run.folder
        most = sum(stage.most_steps for stage in plan.stages)
        with self.workers.started() as executor, Progress(plan, out / "log.txt") as progress:

            def watch(step: Step) -> None:
                progress(step)
                run.log("step", **step.to_dict())
                run.progress(step.step, max(most, step.step), step.value)
                interruption.check()

            trained = train(plan, executor=executor, checkpoint=out / "checkpoint", callback=watch)
            progress.finish(trained)
        for message in (*trained.notes, *trained.messages):
            run.log("note", what=message)
        run.progress(trained.history[-1].step, trained.history[-1].step)
        return self._results(out, trained, time.perf_counter() - started)

    def short(self, metrics: dict[str, Any]) -> str:
        """Return which stages ended before they met their tolerance, and why."""
        return "; ".join(metrics["unmet"])

    def size(self) -> int:
        """Return the pixels of the largest image."""
        return max(example.truth.size for example in self.plan.all)

    def foretold(self) -> str:
        """Return sizes, and the plan for the largest image."""
        plan, count = self.plan, len(self.plan.examples)
        largest = max(plan.all, key=lambda example: example.truth.size)
        pixels = plan.pixels(range(len(plan.all)))
        visited = plan.pixels(range(count)) * sum(
            stage.most_steps * (min(stage.batch, count) if isinstance(stage, Minibatch) else count)
            for stage in plan.stages
        ) / count  # fmt: skip
        return foretold(
            state_matrix(plan.model, largest.observed, plan.first), solves=2,
            rtol=min(stage.accuracy.final for stage in plan.stages), memory=self.job.run.memory,
            problems=visited / largest.truth.size / max(self.workers.count, 1),
            solver=plan.linear_solver or plan.model.solver_for(largest.observed),
            title=f"{plan.model}: {plan.packing.size} parameters; {count} images + "
            f"{len(plan.all) - count} held out, {pixels} pixels; the largest, '{largest.name}', "
            f"{largest.truth.shape[1]} × {largest.truth.shape[0]}",
        )  # fmt: skip

    def _results(self, out: Path, trained: Trained, seconds: float) -> dict[str, Any]:
        plan = self.plan
        metrics = metrics_of(plan, trained, seconds)
        told = about(self.job, plan, metrics)
        saved = SavedModel(plan.model, trained.theta, plan.shape, told, self.name)
        write_array(out / "theta.npy", trained.theta)
        write_model(out / "model.npz", plan.model, trained.theta, told, shape=plan.shape)
        write_json(out / "history.json", {"history": [step.to_dict() for step in trained.history]})
        write_json(out / "metrics.json", metrics)
        show(metrics, trained)
        if available("matplotlib"):
            _draw(out, plan, trained, saved)
        else:
            typer.echo("no figure: pip install 'sparseimplicit[plot]' for it.", err=True)
        typer.echo(f"wrote {out}/: {', '.join(name for name in RESULTS if (out / name).exists())}")
        return metrics


def _draw(out: Path, plan: Training, trained: Trained, saved: SavedModel) -> None:
    picture = figure(plan, trained)
    write_atomically(out / "figure.png", lambda file: file.write(picture))
    mapped = plan.packing.shapes != plan.model.packing((1, 1)).shapes
    shape = plan.shape if mapped else None
    drawing = model_figure(SavedModel(saved.model, saved.theta, shape, saved.about))
    if drawing is not None:
        write_atomically(out / "model.png", lambda file: file.write(drawing))
