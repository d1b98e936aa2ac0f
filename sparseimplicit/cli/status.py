"""``sparseimplicit status`` and ``report``: how runs stand, and one page on what a run did."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from ..cluster.outcomes import STATES, Outcome, outcome_of
from ..cluster.tasks import read_tasks
from ..errors import ConfigError
from ..files import write_atomically
from .codes import INCOMPLETE
from .report_page import page

GOOD = ("done", "running")


def status(
    runs: Annotated[list[Path], typer.Argument(help="Run directories, or folders of sweeps.")],
) -> None:
    """Say how runs stand: done, running, interrupted, failed or killed, how far, and why.

    For example:

    sparseimplicit status results/*

    Exit codes: 0 all are done or running, 2 no such folder, 12 some are not.
    """
    outcomes = [outcome for folder in runs for outcome in _outcomes(folder)]
    for outcome in outcomes:
        typer.echo(_line(outcome))
    counts = Counter(outcome.state for outcome in outcomes)
    if len(outcomes) > 1:
        told = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
        typer.echo(f"{len(outcomes)} runs: {told}")
    if sum(counts[state] for state in GOOD) < len(outcomes):
        raise typer.Exit(INCOMPLETE)


def report(
    folder: Annotated[Path, typer.Argument(help="A run directory.")],
    out: Annotated[
        Path | None, typer.Option(help="The page; by default report.html in the directory.")
    ] = None,
) -> None:
    """Write one HTML page on a run: how it went, what it learned, which solvers, what failed.

    For example:

    sparseimplicit report results/job

    Pictures are in the page itself; it needs no other file, no network and no script.
    """
    if (folder / "tasks.json").is_file():
        number = len(read_tasks(folder))
        raise ConfigError(f"{folder} is a sweep of {number} tasks; a page is of one run.",
                          fix=f"give {folder}/tasks/0000 (to {number - 1:04d}); of them all, "
                          "`collect` tells.")  # fmt: skip
    outcome = _one(folder)
    target = folder / "report.html" if out is None else out
    text = page(outcome)
    write_atomically(target, lambda file: file.write(text.encode()))
    typer.echo(f"wrote {target}")


def _outcomes(folder: Path) -> list[Outcome]:
    if (folder / "tasks.json").is_file():
        return [outcome_of(folder / "tasks" / task.name) for task in read_tasks(folder)]
    return [_one(folder)]


def _one(folder: Path) -> Outcome:
    outcome = outcome_of(folder)
    told = folder / "status.json"
    if outcome.state == "missing" and told.exists():
        raise ConfigError(
            f"{told} cannot be read: it is damaged, or of another version.",
            fix="give the job again with --resume: it goes on from its checkpoint.",
        )
    if outcome.state == "missing":
        raise ConfigError(f"{folder} is no run directory.",
                          fix="give a folder that `run` or `learn` wrote to.")  # fmt: skip
    return outcome


def _line(outcome: Outcome) -> str:
    told, parts = outcome.status, [f"{outcome.folder}:", outcome.title]
    if told is not None:
        if told.done or told.of:
            parts.append(f"step {told.done}" + (f" of ≤ {told.of}" if told.of else ""))
        if told.value is not None:
            parts.append(f"value {told.value:.6g}")
        if told.attempts > 1:
            parts.append(f"attempt {told.attempts}")
        parts.append(f"{_ago(time.time() - told.updated)} ago")
        if outcome.state == "running":
            parts.append(f"process {told.pid} on {told.host}")
            parts.extend(f"job {told.slurm[name]}" for name in ("SLURM_JOB_ID",)
                         if name in told.slurm)  # fmt: skip
    if outcome.why:
        parts.append(outcome.why)
    return "  ".join(part.replace("\n", " ") for part in parts)


def _ago(seconds: float) -> str:
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
