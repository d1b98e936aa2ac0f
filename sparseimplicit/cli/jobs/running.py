"""Where a job runs, on which processes and machines, and how long."""

from __future__ import annotations

from typing import Literal

from .units import Count, Natural, Section, Size, Time


class DaskSlurm(Section):
    """Jobs of Slurm with a worker each, of ``cores`` and ``memory``, ended after ``walltime``."""

    nodes: Count
    cores: Count
    memory: Size
    walltime: Time
    queue: str | None = None
    account: str | None = None


class DaskCluster(Section):
    """Workers of Dask, see `cluster.Dask`: started here, where no ``address`` or ``slurm`` is told.

    address: of a scheduler, with the files ``ca``, ``cert``, ``key`` (relative to the job's) that
    it lets in. interface: of the network that the workers share, as ``"ib0"``.
    """

    address: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    interface: str | None = None
    slurm: DaskSlurm | None = None


class Run(Section):
    """Where a job runs, and how long.

    out: the run directory, relative to the file. time: it ends by itself, in time to be taken up
    again, before so long has gone by (``"50min"``), but not before a step is done: each attempt
    comes further. Slurm's end of the job is heeded anyway; if not one step fits, that is an error.
    grace: how long a step may go on after a signal before it is abandoned. memory: what plans may
    reckon with (``"16 GB"``). bundle: how much a failed solve may leave behind, to be reproduced.
    """

    out: str | None = None
    time: Time = None
    grace: Time = 10.0
    memory: Size = None
    bundle: Size = None


class Execution(Run):
    """Where images are visited: see `imaging.training.train`. jobs: 0 takes all there are."""

    executor: Literal["serial", "processes", "dask"] = "serial"
    jobs: Natural = 0
    dask: DaskCluster = DaskCluster()


class ImageRun(Run):
    """jobs: processes, which share the cores."""

    jobs: Count = 1


class SweepRun(Section):
    """out: the folder of all tasks, relative to the file."""

    out: str | None = None
