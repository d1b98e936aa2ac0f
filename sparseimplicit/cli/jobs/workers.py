"""Who visits the images of a job: this process, several here, or workers of Dask."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..._optional import require
from ...cluster.dask import PURPOSE, Dask
from ...errors import ConfigError
from ...executors import Executor, Processes, Serial, available_cores
from .running import DaskCluster, DaskSlurm, Execution
from .source import Source


@dataclass(frozen=True)
class Workers:
    """An executor that is started when the work begins.

    Attributes
    ----------
    kind : {"serial", "processes", "dask"}
    count : int
        Processes, or workers.
    cluster : DaskCluster
        Where the workers of Dask are.
    security : mapping, optional
        Certificates of a scheduler that is there already.
    logs : path
        Folder for what workers in jobs of Slurm print.
    """

    kind: str
    count: int
    cluster: DaskCluster = field(default_factory=DaskCluster)
    security: dict[str, Path] | None = None
    logs: Path = Path()

    @contextmanager
    def started(self) -> Iterator[Executor]:
        """Start it, and end it after the block."""
        if self.kind != "dask":
            yield Processes(self.count) if self.kind == "processes" else Serial()
            return
        with self._dask() as workers:
            yield workers

    def _dask(self) -> Dask:
        told = self.cluster
        if told.slurm is not None:
            return Dask.slurm(folder=self.logs, interface=told.interface, **_slurm(told.slurm))
        if told.address is not None:
            return Dask(told.address, jobs=self.count or None, security=self.security)
        return Dask(self.count, interface=told.interface)


def workers_of(source: Source, told: Execution, jobs: int | None, logs: Path) -> Workers:
    """Return who does a job; the option ``--jobs`` goes before the file.

    Raises
    ------
    ConfigError
        If the number is none, or keys of [run.dask] contradict each other.
    MissingBackend
        If Dask is asked for and not installed.
    """
    count = told.jobs if jobs is None else jobs
    if count < 0 or (jobs is not None and jobs < 1):
        raise ConfigError(f"--jobs {jobs}: no number of processes.", fix="give 1 or more.")
    if told.executor == "dask":
        require("distributed", extra="dask", purpose=PURPOSE)
        return _on_dask(source, told.dask, count, logs)
    if told.dask != DaskCluster():
        raise ConfigError(
            f"{source.at('run', 'dask')} is for executor 'dask', not '{told.executor}'.",
            fix="set run.executor = 'dask', or leave [run.dask] out.",
        )
    if jobs is None and told.executor == "serial":
        return Workers("serial", 1)
    count = count or available_cores()
    return Workers("processes", count) if count > 1 else Workers("serial", 1)


def _on_dask(source: Source, told: DaskCluster, count: int, logs: Path) -> Workers:
    files = {name: getattr(told, name) for name in ("ca", "cert", "key")}
    given = [name for name, file in files.items() if file is not None]
    if told.slurm is not None and (told.address is not None or given or count):
        raise ConfigError(
            f"{source.at('run', 'dask', 'slurm')} starts a cluster of its own, with a worker a "
            "node.", fix="leave run.jobs, address, ca, cert and key out.",
        )  # fmt: skip
    if (told.address is None) != (not given) or len(given) not in (0, len(files)):
        raise ConfigError(
            f"{source.at('run', 'dask')}: a scheduler is told by its address and the files ca, "
            "cert and key.", fix="give all four of them, or none.",
        )  # fmt: skip
    security = {name: source.folder / str(file) for name, file in files.items()} if given else None
    if security is not None:
        _check_certificates(source, security)
    if told.slurm is not None:
        count = told.slurm.nodes
    elif told.address is None:
        count = count or available_cores()
    return Workers("dask", count, told, security, logs)


def _check_certificates(source: Source, files: dict[str, Path]) -> None:
    """Refuse, before any work, files that are not there or are not what their key says."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def locked() -> str:
        return ""  # nobody is there to be asked

    reads = {
        "ca": lambda: context.load_verify_locations(files["ca"]),
        "cert": lambda: context.load_verify_locations(files["cert"]),
        "key": lambda: context.load_cert_chain(files["cert"], files["key"], locked),
    }
    wanted = {"ca": "certificates (PEM)", "cert": "a certificate (PEM)",
              "key": "the key of run.dask.cert (PEM, without a password)"}  # fmt: skip
    for name, path in files.items():
        place = source.at("run", "dask", name)
        try:
            path.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"{place}: {path} cannot be read: {error.strerror or error}.",
                fix="check the path; it is relative to the job's file.",
            ) from error
        try:
            reads[name]()
        except (OSError, ValueError) as error:  # SSLError is one
            raise ConfigError(
                f"{place}: {path} does not hold {wanted[name]}: {error}.",
                fix="give the file that the scheduler was started with.",
            ) from error


def _slurm(told: DaskSlurm) -> dict[str, Any]:
    minutes, seconds = divmod(round(told.walltime or 0), 60)
    hours, minutes = divmod(minutes, 60)
    return {
        "nodes": told.nodes, "cores": told.cores, "memory": f"{told.memory} B", "queue": told.queue,
        "walltime": f"{hours:02d}:{minutes:02d}:{seconds:02d}",
        "options": None if told.account is None else {"account": told.account},
    }  # fmt: skip
