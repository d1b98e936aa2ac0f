"""From a file to the work it states, and the folder it is done in."""

from __future__ import annotations

from pathlib import Path

from .conduct import Work
from .evaluation import EvaluationWork
from .running import Run
from .schema import EvaluateJob, GradientJob, Job, LearnJob
from .source import Source
from .theorem import GradientWork
from .training import TrainingWork


def work_of(source: Source, job: Job) -> tuple[Work, Run]:
    """Return the work that a job states, its inputs read, and its limits.

    Raises
    ------
    ConfigError
    """
    if isinstance(job, LearnJob):
        return TrainingWork(source, job), job.run
    if isinstance(job, EvaluateJob):
        return EvaluationWork(source, job), job.run
    assert isinstance(job, GradientJob)  # noqa: S101 - a sweep is no work but many
    return GradientWork(source, job), job.run


def folder_of(source: Source, told: str | None, given: Path | None) -> Path:
    """Return the run directory: ``--out``, or ``run.out`` beside the file, or one by its name."""
    if given is not None:
        return given
    return Path("results") / source.path.stem if told is None else source.folder / told
