"""The job ``sweep``: one job many times, as tasks in folders of their own."""

from __future__ import annotations

from pathlib import Path

import typer

from ...cluster.outcomes import outcome_of
from ...cluster.tasks import Task, expanded, write_tasks
from ...errors import ConfigError, Interrupted, SparseImplicitError
from ..codes import INCOMPLETE, OK
from ..files import check_writable
from .conduct import conduct
from .reading import checked_job
from .schema import JOBS, Job, SweepJob
from .source import Source, flat, read_source
from .works import work_of

KINDS = tuple(kind for kind in JOBS if kind != "sweep")


class Sweep:
    """The tasks of a sweep: all are checked against the schema before any is run.

    Parameters
    ----------
    out : path
        Task k runs in ``tasks/000k`` of it.

    Raises
    ------
    ConfigError
        With the file, the key and the task.
    """

    def __init__(self, source: Source, job: SweepJob, out: Path) -> None:
        self.source, self.out = source, out
        try:
            self.tasks = expanded(flat(job.grid), [flat(task) for task in job.task])
        except ConfigError as error:
            raise error.at(str(source.path)) from error.__cause__
        path = source.folder / job.job
        if not path.is_file():
            raise ConfigError(f"{source.at('job')}: {path} does not exist.", fix="check the path.")
        self.base = read_source(path)
        for task in self.tasks:
            self.job_of(task)

    def source_of(self, task: Task) -> Source:
        """Return the job's text with the keys of a task set."""
        return self.base.setting(task.given, f"{self.source.path}, task {task.number}")

    def job_of(self, task: Task) -> Job:
        """Return the checked job of a task."""
        return checked_job(self.source_of(task), KINDS)

    def folder_of(self, task: Task) -> Path:
        """Return the run directory of a task."""
        return self.out / "tasks" / task.name

    def expand(self) -> None:
        """Write which tasks there are; refuse the folder of another sweep."""
        check_writable(self.out)
        write_tasks(self.out, self.tasks, self.base.text)

    def task(self, number: int) -> Task:
        """Return a task by its number."""
        if not 0 <= number < len(self.tasks):
            raise ConfigError(
                f"there is no task {number} in {self.source.path}.",
                fix=f"tasks are 0 to {len(self.tasks) - 1}.",
            )
        return self.tasks[number]

    def run_task(self, number: int) -> int:
        """Carry out one task, or go on with it; nothing is done if it is done.

        Returns its exit code, 10 for one that is done and has not converged.

        Raises
        ------
        SparseImplicitError
            As of the job, with the number of the task.
        """
        task = self.task(number)
        self.expand()
        source = self.source_of(task)
        typer.echo(f"task {number}: {task.title}")
        try:
            work, limits = work_of(source, self.job_of(task))
            return conduct(source, work, self.folder_of(task), limits, "resume")
        except SparseImplicitError as error:
            raise error.at(f"task {number} ({task.title})") from error.__cause__

    def run_all(self, resume: bool) -> int:
        """Carry out all tasks, one after the other; a failed one does not stop the others.

        Returns an exit code: 10 if all are done, and some have not converged.

        Raises
        ------
        Interrupted
            If a task was asked to stop: so are all.
        ConfigError
            If tasks were begun and ``resume`` is not given.
        typer.Exit
            With code 12 if a task has failed.
        """
        begun = [task for task in self.tasks if outcome_of(self.folder_of(task)).state != "missing"]
        if begun and not resume:
            raise ConfigError(
                f"{self.out} holds {len(begun)} tasks that were begun.",
                fix="give --resume to go on with them, or another --out.",
            )
        failed, worst = 0, OK
        for task in self.tasks:
            try:
                worst = max(worst, self.run_task(task.number))
            except Interrupted:
                raise
            except SparseImplicitError as error:
                failed += 1
                typer.echo(f"{type(error).__name__}: {error}", err=True)
        if failed:
            raise typer.Exit(INCOMPLETE)
        return worst

    def foretold(self) -> str:
        """Return the plan of the task with the largest problem."""
        works = [work_of(self.source_of(task), self.job_of(task))[0] for task in self.tasks]
        task, work = max(zip(self.tasks, works, strict=True), key=lambda pair: pair[1].size())
        return (f"{len(self.tasks)} tasks; the largest is {task.number}: {task.title}\n"
                f"{work.foretold()}")  # fmt: skip
