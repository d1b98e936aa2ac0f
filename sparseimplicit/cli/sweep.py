"""``sparseimplicit sweep`` and ``collect``: one job many times, and what came of it."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from ..cluster.outcomes import STATES, Outcome, outcome_of
from ..cluster.tasks import Task, read_tasks
from ..errors import ConfigError
from ..files import write_atomically
from .codes import INCOMPLETE, end
from .files import write_json
from .jobs.reading import checked_job
from .jobs.schema import SweepJob
from .jobs.source import read_source
from .jobs.sweeps import Sweep
from .jobs.works import folder_of
from .run import Assignments, JobFile, Out


def sweep(
    job: JobFile,
    out: Out = None,
    task: Annotated[
        int | None,
        typer.Option(help="Run this one, from 0; by default $SLURM_ARRAY_TASK_ID, in a job array."),
    ] = None,
    all_of_them: Annotated[
        bool, typer.Option("--all", help="Run all tasks here, one after the other.")
    ] = False,
    assignments: Assignments = None,
) -> None:
    """Expand a sweep into tasks, and run one of them or all.

    For example:

    sparseimplicit sweep sweep.toml

    sbatch --array=0-7 scripts/slurm/array.sbatch sweep.toml

    sparseimplicit sweep sweep.toml --task 3

    The file names a job (job = "learn.toml") and what is varied: [grid] with lists of values, of
    which all combinations are taken, or [[task]] tables, or both. Task k runs in OUT/tasks/000k. A
    task that is done is not done again, one that was stopped goes on: any command may be repeated.

    Exit codes: as for run.
    """
    source = read_source(job, assignments or ())
    settings = checked_job(source, ("sweep",))
    assert isinstance(settings, SweepJob)  # noqa: S101 - of no other kind
    work = Sweep(source, settings, folder_of(source, settings.run.out, out))
    number = _number(task)
    if all_of_them:
        end(work.run_all(resume=True))
    elif number is not None:
        end(work.run_task(number))
    else:
        work.expand()
        for one in work.tasks:
            typer.echo(f"  {one.number:4d}  {one.title}")
        typer.echo(
            f"{len(work.tasks)} tasks in {work.out}/; run them with\n"
            f"    sbatch --array=0-{len(work.tasks) - 1} scripts/slurm/array.sbatch {job}\n"
            f"or here with\n    sparseimplicit sweep {job} --all"
        )


def collect(
    folder: Annotated[Path, typer.Argument(help="What `sweep` wrote to.")],
    metric: Annotated[
        list[str] | None, typer.Option(help="Print these figures too; may be repeated.")
    ] = None,
) -> None:
    """Join the results of a sweep, and list what is missing and why.

    For example:

    sparseimplicit collect results/sweep --metric mean_psnr_learned

    Writes results.csv (a line a task: its state, the keys set, all single figures) and results.json
    (all that metrics.json has).

    Exit codes: 0 all tasks are done, 2 bad input, 12 some are not.
    """
    tasks = read_tasks(folder)
    found = [(task, outcome_of(folder / "tasks" / task.name)) for task in tasks]
    write_json(folder / "results.json", {"tasks": [_record(*pair) for pair in found]})
    text = io.StringIO()
    _write_table(text, found)
    write_atomically(folder / "results.csv", lambda file: file.write(text.getvalue().encode()))
    for task, outcome in found:
        figures = "  ".join(f"{name} {_figure(outcome, name)}" for name in metric or ())
        why = outcome.why.replace("\n", " ")
        typer.echo(f"  {task.number:4d}  {outcome.title:<11} {task.title}  {figures}{why}".rstrip())
    counts = Counter(outcome.state for _, outcome in found)
    told = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    typer.echo(f"{len(tasks)} tasks: {told}; wrote {folder}/results.csv, results.json")
    loose = [str(task.number) for task, outcome in found if not outcome.converged]
    if loose:
        typer.echo(f"done, but not converged: {', '.join(loose)}", err=True)
    if counts["done"] < len(tasks):
        failed = [str(task.number) for task, outcome in found if outcome.state == "failed"]
        again = [str(task.number) for task, outcome in found
                 if outcome.state not in ("done", "failed", "running")]  # fmt: skip
        if again:
            typer.echo(f"not done: --array={','.join(again)}", err=True)
        if failed:
            typer.echo(f"failed, and will again until the cause is mended: {', '.join(failed)}",
                       err=True)  # fmt: skip
        raise typer.Exit(INCOMPLETE)


def _number(task: int | None) -> int | None:
    told = os.environ.get("SLURM_ARRAY_TASK_ID")
    if task is not None or told is None:
        return task
    if not told.isdigit():
        raise ConfigError(f"SLURM_ARRAY_TASK_ID = '{told}': no number.", fix="give --task.")
    return int(told)


def _record(task: Task, outcome: Outcome) -> dict[str, Any]:
    status = outcome.status
    return {
        "task": task.number, "state": outcome.state, "set": task.given, "why": outcome.why,
        "error": None if status is None else status.error,
        "attempts": 0 if status is None else status.attempts,
        "folder": str(outcome.folder), "metrics": outcome.metrics,
    }  # fmt: skip


def _write_table(text: io.StringIO, found: list[tuple[Task, Outcome]]) -> None:
    given = list(dict.fromkeys(key for task, _ in found for key in task.given))
    figures = list(dict.fromkeys(key for _, outcome in found for key in _single(outcome)))
    names = ["task", "state", *given, *(f for f in figures if f not in given), "why"]
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    for task, outcome in found:
        table.writerow({**_single(outcome), **task.given, "task": task.number,
                        "state": outcome.state, "why": outcome.why})  # fmt: skip


def _single(outcome: Outcome) -> dict[str, Any]:
    own = ("task", "state", "why")
    return {key: value for key, value in outcome.metrics.items()
            if isinstance(value, bool | int | float | str) and key not in own}  # fmt: skip


def _figure(outcome: Outcome, name: str) -> str:
    value = outcome.metrics.get(name)
    return (
        f"{value:.6g}" if isinstance(value, int | float) else "–" if value is None else str(value)
    )
