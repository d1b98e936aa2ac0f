"""Seats on the workers of Dask: on this machine, at an address, or in jobs of Slurm."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from .._optional import require
from ..errors import ConfigError, SparseImplicitError
from ..executors import Crew, Executor, Given, Make, available_cores
from ..executors.crew import Progress
from ..thread_limits import environment
from .crew import DaskCrew
from .security import check_protected, security_of

PURPOSE: Final = "executor Dask"
HERE: Final = "127.0.0.1"
QUIET: Final = {
    "distributed.scheduler.work-stealing": False,  # seats stay where their states are
    "distributed.worker.profile.enabled": False,  # it stops the worker a hundred times a second
    # Each look at a clock takes the interpreter from what computes: fifty a second by default.
    "distributed.admin.tick.interval": "1s",
    "distributed.worker.memory.monitor-interval": "1s",
}


class Dask(Executor):
    """Items shared out over the workers of a Dask cluster, which keep what they computed.

    Parameters
    ----------
    workers : int, str, or a cluster of Dask
        A number starts so many processes here, each with its share of the cores; a str is the
        address of a scheduler; an object is a cluster that is there already.
    jobs : int, optional
        Seats; by default one a worker. Results do not depend on it, only where they are computed.
    security : optional
        None makes certificates for this cluster alone: all traffic is by TLS, and who has not got
        them is refused. A `distributed.Security`; a mapping of ``ca``, ``cert``, ``key`` to files;
        or False, for no protection.
    interface : str, optional
        Network interface that scheduler and dashboard are bound to, "ib0"; by default they are to
        be reached from this machine alone.
    dashboard : bool
        Serve Dask's status page, see `dashboard_link`.
    progress : callable, optional
        Called with (seats that have answered, seats asked).
    patience : float
        Seconds to wait for a worker when there is none.

    Notes
    -----
    A worker that is lost is survived: its seats are made again on another one, from the states of
    the last step, which come from the checkpoint's folder (which all workers must see) or are kept
    here where there is none; the bits of the result are the same. After four losses in one question
    the run ends with an error.

    Start it under ``if __name__ == "__main__":`` in a script, since its processes import that.
    Use it in a ``with`` block, or close it.

    Source: Rocklin 2015, Proc. 14th Python in Science Conference.
    """

    def __init__(
        self,
        workers: Any = None,
        *,
        jobs: int | None = None,
        security: Any = None,
        interface: str | None = None,
        dashboard: bool = False,
        progress: Progress | None = None,
        patience: float = 60.0,
    ) -> None:
        dask = require("distributed", extra="dask", purpose=PURPOSE)
        self.progress, self.patience = progress, patience
        self._own: Any = None
        if workers is None or isinstance(workers, int):
            count = available_cores() if workers is None else workers
            self._own, tls = _local(count, security, interface, dashboard)
            address, expected = self._own, count
        elif isinstance(workers, str):
            check_protected(workers, security)
            if security is None:
                raise ConfigError(
                    f"there is no certificate for {workers}.", where="Dask",
                    fix="give security={'ca': path, 'cert': path, 'key': path}.",
                )  # fmt: skip
            address, tls, expected = workers, security_of(security), 1
        else:
            check_protected(str(workers.scheduler_address), security)
            address, tls, expected = workers, workers.security, 1
        try:
            self._client = dask.Client(address, security=tls, set_as_default=False)
            self._client.wait_for_workers(expected, timeout=patience)
        except (OSError, TimeoutError, TypeError) as error:
            self._end()
            raise SparseImplicitError(
                f"there is no way to the scheduler, or no worker came: {error}",
                where=f"Dask({workers!r})",
                fix="look at its log; address and certificates must be those of the scheduler.",
            ) from error
        self.jobs = jobs or len(self._client.nthreads())

    @classmethod
    def slurm(
        cls,
        nodes: int,
        *,
        cores: int,
        memory: str,
        walltime: str,
        queue: str | None = None,
        interface: str | None = None,
        folder: str | Path = "dask-slurm",
        security: Any = None,
        options: dict[str, Any] | None = None,
        **rest: Any,
    ) -> Dask:
        """Have Slurm start workers, a job each, and replace those that it ends.

        Parameters
        ----------
        nodes : int
            Jobs.
        cores, memory, walltime, queue
            Of a job: 8, "16GB", "02:00:00", "batch".
        interface : str, optional
            Network interface that all of them share: "ib0", "eth0".
        folder : path
            For logs and, where they are made for this cluster alone, its certificates; all nodes
            must see it.
        options : dict, optional
            More for `dask_jobqueue.SLURMCluster`, such as ``account``.
        **rest
            As for `Dask`.
        """
        cluster = slurm_cluster(
            cores=cores, memory=memory, walltime=walltime, queue=queue, interface=interface,
            folder=folder, security=security, dashboard=rest.pop("dashboard", False),
            options=options,
        )  # fmt: skip
        cluster.adapt(minimum_jobs=nodes, maximum_jobs=nodes)  # unlike scale, it replaces lost ones
        try:
            made = cls(cluster, security=security, **({"jobs": nodes} | rest))
        except BaseException:
            cluster.close()
            raise
        made._own = cluster
        return made

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return str(self._client.scheduler.address)

    @property
    def dashboard_link(self) -> str:
        """Where the status page is; whoever reaches that address may read it."""
        return str(self._client.dashboard_link)

    def open(self, make: Make, given: Given, items: int) -> Crew:
        """Seat items on the workers."""
        jobs = max(min(self.jobs, items), 1)
        return DaskCrew(self._client, make, given, jobs, self.progress, self.patience)

    def close(self) -> None:
        """End the connection, and the cluster if it was started here."""
        self._client.close()
        self._end()

    def __enter__(self) -> Dask:
        """Return it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _end(self) -> None:
        if self._own is not None:
            self._own.close()
            self._own = None


def slurm_cluster(
    *,
    cores: int,
    memory: str,
    walltime: str,
    queue: str | None,
    interface: str | None,
    folder: str | Path,
    security: Any,
    dashboard: bool,
    options: dict[str, Any] | None,
) -> Any:
    """Return a `dask_jobqueue.SLURMCluster` without jobs yet; one process a job."""
    jobqueue = require("dask_jobqueue", extra="dask", purpose="workers in jobs of Slurm")
    logs = Path(folder)
    logs.mkdir(parents=True, exist_ok=True)
    settings = {
        "cores": cores, "processes": 1, "memory": memory, "walltime": walltime, "queue": queue,
        "interface": interface, "log_directory": str(logs), "death_timeout": 120,
        "local_directory": tempfile.gettempdir(), "shared_temp_directory": str(logs.resolve()),
        "security": security_of(security), "protocol": "tcp://" if security is False else "tls://",
        "scheduler_options": {"dashboard": dashboard, "dashboard_address": _page(interface)},
        "job_extra_directives": ["--requeue"],
        "job_script_prologue": [f"export {n}={v}" for n, v in environment(cores).items()],
    }  # fmt: skip
    with _settings(cores):
        return jobqueue.SLURMCluster(**settings | (options or {}))


def _local(count: int, security: Any, interface: str | None, dashboard: bool) -> tuple[Any, Any]:
    if count < 1:
        raise ConfigError(f"{count} workers.", where="Dask", fix="give one or more.")
    dask = require("distributed", extra="dask", purpose=PURPOSE)
    tls = security_of(security)
    share = max(available_cores() // count, 1)
    place = {"host": HERE} if interface is None else {"interface": interface}
    with _settings(share):
        cluster = dask.LocalCluster(
            n_workers=count, threads_per_worker=share, processes=True, security=tls,
            protocol="tcp://" if tls is None else "tls://",
            dashboard_address=_page(interface), scheduler_kwargs={"dashboard": dashboard},
            worker_dashboard_address=_page(interface), env=environment(share), **place,
        )  # fmt: skip
    return cluster, tls


def _page(interface: str | None) -> str:
    if interface is None:
        return f"{HERE}:0"
    utils = require("distributed.utils", extra="dask", purpose=PURPOSE)
    return f"{utils.get_ip_interface(interface)}:0"


def _settings(threads: int = 1) -> Any:
    config = require("dask.config", extra="dask", purpose=PURPOSE)
    return config.set(QUIET | {"distributed.nanny.pre-spawn-environ": environment(threads)})
