"""Many machines: runs that survive, arrays of tasks, Dask, and one system on all ranks of MPI."""

from .dask import Dask
from .interruption import Interruption
from .outcomes import Outcome, outcome_of
from .rows import DistributedSystem, RowSolution, distribute
from .rundir import RunDirectory
from .tasks import Task, expanded

__all__ = [
    "Dask",
    "DistributedSystem",
    "Interruption",
    "Outcome",
    "RowSolution",
    "RunDirectory",
    "Task",
    "distribute",
    "expanded",
    "outcome_of",
]
