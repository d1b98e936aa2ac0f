"""Runs that survive: run directories, interruptions, Slurm, arrays of tasks."""

from .interruption import Interruption
from .outcomes import Outcome, outcome_of
from .rundir import RunDirectory
from .tasks import Task, expanded

__all__ = ["Interruption", "Outcome", "RunDirectory", "Task", "expanded", "outcome_of"]
