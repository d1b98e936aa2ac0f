"""``sparseimplicit learn``: train the model that a file names on the images it names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .codes import end
from .jobs.conduct import conduct
from .jobs.reading import checked_job
from .jobs.schema import LearnJob
from .jobs.source import read_source
from .jobs.training import TrainingWork
from .training_report import dry_run


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
    metrics.json, figure.png, model.png, config.toml (a copy), log.txt, log.jsonl, status.json and
    checkpoint/. A run that was killed goes on where it was when the same command is given again,
    with the same result to the bit, for any number of processes. SIGTERM and SIGUSR1 end it after
    the step.

    Exit codes: 0 ok, 2 bad input, 10 not converged, 11 singular or not positive definite, 85
    interrupted: give the command again. A stage by L-BFGS-B that ends before it meets stop_rtol, at
    max_iterations, has not converged: the results are written, and the code is 10.
    """
    source = read_source(config)
    job = checked_job(source, ("learn",))
    assert isinstance(job, LearnJob)  # noqa: S101 - of no other kind
    work = TrainingWork(source, job, data, jobs)
    if dry:
        typer.echo(dry_run(work.plan, work.workers.count))
        return
    end(conduct(source, work, out, job.run, "again" if resume else "anew"))
