"""``sparseimplicit learn``: train the model that a file names on the images it names."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from .._optional import available
from ..errors import ConfigError
from ..files import write_atomically
from ..imaging.figure import figure
from ..imaging.figures import model_figure
from ..imaging.models import SavedModel, write_model
from ..imaging.training import Trained, Training, available_cores, check_run, clear, train
from .files import check_writable, write_array, write_json
from .jobs.reading import checked_job
from .jobs.schema import LearnJob
from .jobs.source import read_source
from .plans import read_plan
from .progress import Progress
from .training_report import about, dry_run, metrics_of, show

RESULTS = ("theta.npy", "model.npz", "history.json", "metrics.json", "figure.png", "model.png")


def learn(
    config: Annotated[Path, typer.Argument(help="What to train on what: a TOML file.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("results/learn"),
    data: Annotated[
        Path | None, typer.Option(help="Folder of the images, instead of data.folder.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Processes that share the images; 1 is this one alone.")
    ] = None,
    resume: Annotated[
        bool, typer.Option(help="Go on from the checkpoint in --out, if there is one.")
    ] = True,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Print sizes, and the time of one image; train not.")
    ] = False,
) -> None:
    """Train a denoising model by implicit differentiation.

    For example:

    sparseimplicit learn scripts/demo.toml

    sparseimplicit learn my.toml --data photos/ --jobs 4 --out runs/7 --no-resume

    Writes into --out: model.npz (for `denoise` and `evaluate`), theta.npy, history.json,
    metrics.json, figure.png, model.png, config.toml (a copy), log.txt and checkpoint/. A run that
    was killed goes on where it was when the same command is given again, with the same result to
    the bit, for any number of processes.

    Exit codes: 0 ok, 2 bad input, 10 not converged, 11 singular or not positive definite.
    """
    started = time.perf_counter()
    source = read_source(config)
    settings = checked_job(source, ("learn",))
    assert isinstance(settings, LearnJob)  # noqa: S101 - of no other kind
    plan = read_plan(source, settings, data)
    executor, count = _executor(settings, jobs)
    if dry:
        typer.echo(dry_run(plan, count))
        return
    checkpoint = _open_run(config, plan, out, resume)
    with Progress(plan, out / "log.txt") as progress:
        trained = train(
            plan, executor=executor, jobs=count, checkpoint=checkpoint, callback=progress
        )
        progress.finish(trained)
    metrics = metrics_of(plan, trained, time.perf_counter() - started)
    saved = SavedModel(
        plan.model, trained.theta, plan.shape, about(settings, plan, metrics), config.stem
    )
    _write(out, plan, trained, saved, metrics)
    show(metrics, trained)
    drawn = available("matplotlib")
    if drawn:
        picture = figure(plan, trained)
        write_atomically(out / "figure.png", lambda file: file.write(picture))
        mapped = plan.packing.shapes != plan.model.packing((1, 1)).shapes
        shape = plan.shape if mapped else None
        drawing = model_figure(SavedModel(saved.model, saved.theta, shape, saved.about))
        if drawn and drawing is not None:
            write_atomically(out / "model.png", lambda file: file.write(drawing))
    else:
        typer.echo("no figure: pip install 'sparseimplicit[plot]' for it.", err=True)
    typer.echo(f"wrote {out}/: {', '.join(name for name in RESULTS if (out / name).exists())}")


def _write(
    out: Path, plan: Training, trained: Trained, saved: SavedModel, metrics: dict[str, object]
) -> None:
    write_array(out / "theta.npy", trained.theta)
    write_model(out / "model.npz", plan.model, trained.theta, saved.about, shape=plan.shape)
    write_json(out / "history.json", {"history": [step.to_dict() for step in trained.history]})
    write_json(out / "metrics.json", metrics)


def _executor(settings: LearnJob, jobs: int | None) -> tuple[str, int]:
    """Return the executor and its number of processes; the option goes before the file."""
    told = settings.run
    count = told.jobs if jobs is None else jobs
    if count < 0 or (jobs is not None and jobs < 1):
        raise ConfigError(f"--jobs {jobs}: no number of processes.", fix="give 1 or more.")
    if jobs is None and told.executor == "serial":
        return "serial", 1
    count = count or available_cores()
    return ("processes", count) if count > 1 else ("serial", 1)


def _open_run(config: Path, plan: Training, out: Path, resume: bool) -> Path:
    """Return the checkpoint folder of this run; refuse or clear that of another.

    A run is its settings and its pixels: the same config on other images is another run.
    """
    check_writable(out)
    checkpoint = out / "checkpoint"
    if not resume:
        clear(checkpoint)
    check_run(checkpoint, plan.identity())
    if not any(checkpoint.glob("step-*.npz")):
        (out / "log.txt").unlink(missing_ok=True)
    for name in RESULTS:
        (out / name).unlink(missing_ok=True)  # never beside the results of another run
    text = config.read_bytes()
    write_atomically(out / "config.toml", lambda file: file.write(text))
    return checkpoint
