"""A run directory: what was asked, by which versions on which machine, and how far it has come.

config.toml      the job as it was given
run.json         what the run is, what was set beside its file, versions, machine
status.json      where it stands: running, done, failed or interrupted
log.jsonl        a line an event
metrics.json     what came of it
checkpoint/, …   what the kind of job keeps
lock             held by the process that writes
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import socket
import sys
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from ..errors import ConfigError, SparseImplicitError
from ..files import write_atomically
from ..linear.rates import machine
from ..locks import Lock
from .slurm import job_facts

LIBRARIES: Final = ("sparseimplicit", "numpy", "scipy", "numba", "pyamg", "scikit-sparse",
                    "pypardiso")  # fmt: skip
SELDOM: Final = 1.0  # seconds between two writings of the status in the middle of a run


@dataclass(frozen=True, kw_only=True)
class Status:
    """Where a run stands, as status.json has it.

    Attributes
    ----------
    state : {"running", "interrupted", "failed", "done"}
    attempts : int
        How often it was begun or taken up.
    done, of : int, int or None
        Steps, and how many there will be at most.
    message : str
    converged : bool or None
        Of a run that is done: False if what it was to meet was not met.
    error : dict or None
        ``type``, ``what``, ``where``, ``fix``.
    """

    state: str
    kind: str
    identity: str
    attempts: int = 1
    done: int = 0
    of: int | None = None
    value: float | None = None
    message: str = ""
    converged: bool | None = None
    error: dict[str, Any] | None = None
    began: float = 0.0
    updated: float = 0.0
    host: str = ""
    pid: int = 0
    slurm: dict[str, str] = field(default_factory=dict)


class RunDirectory:
    """The directory of one run, held by this process until `close`.

    Parameters
    ----------
    folder : path
        Made if it is not there.

    Attributes
    ----------
    before : Status or None
        How the last process left it.
    status : Status
        Since `begin`.

    Raises
    ------
    ConfigError
        If another process holds it, or it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = Lock(folder / "lock")
        self.before = read_status(folder)
        self.status: Status
        self._written = 0.0

    def close(self) -> None:
        """Let another process have it."""
        self._lock.release()

    def begin(self, *, kind: str, identity: str, config: str, given: dict[str, Any]) -> None:
        """Begin a run, or take it up: what it is is written, and who works on it."""
        before, now = self.before, time.time()
        again = before is not None and before.identity == identity
        self.status = Status(
            state="running", kind=kind, identity=identity, began=now, updated=now,
            attempts=before.attempts + 1 if before is not None and again else 1,
            host=socket.gethostname(), pid=os.getpid(), slurm=job_facts(),
        )  # fmt: skip
        if not again:
            (self.folder / "log.jsonl").unlink(missing_ok=True)
        write_atomically(self.folder / "config.toml", lambda file: file.write(config.encode()))
        run = {"kind": kind, "identity": identity, "set": given, "command": sys.argv,
               "versions": versions(), "machine": machine()}  # fmt: skip
        _write(self.folder / "run.json", run)
        self._save()
        self.log("begin", attempt=self.status.attempts, host=self.status.host, pid=os.getpid(),
                 slurm=self.status.slurm)  # fmt: skip
        for note in self._lock.notes:
            self.log("note", what=note)

    def log(self, event: str, **facts: Any) -> None:
        """Write a line to the log.

        Raises
        ------
        ConfigError
            If there is no room for it.
        """
        path = self.folder / "log.jsonl"
        told = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": event, **facts}
        line = f"{json.dumps(told, ensure_ascii=False, default=str)}\n"
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written: {error.strerror or error}.",
                fix="free space, and give the command again: it goes on from the last step.",
            ) from error

    def progress(self, done: int, of: int | None = None, value: float | None = None) -> None:
        """Say how far the run has come; not oftener than once a second to the disk."""
        self.status = dataclasses.replace(
            self.status, done=done, of=of, value=value, updated=time.time()
        )
        if time.monotonic() - self._written > SELDOM:
            self._save()

    def finish(self, metrics: dict[str, Any], short: str = "") -> None:
        """Write what came of the run: it is done; ``short`` says why it has not converged."""
        _write(self.folder / "metrics.json", metrics)
        message = f"not converged: {short}" if short else ""
        self.log("done", converged=not short, **({"why": message} if short else {}))
        self.status = dataclasses.replace(self.status, converged=not short)
        self._end("done", message)

    def interrupt(self, reason: str) -> None:
        """Say that the run is to be taken up again."""
        self.log("interrupted", why=reason)
        self._end("interrupted", reason)

    def fail(self, error: BaseException) -> None:
        """Say why the run has failed; as far as there is room for it."""
        told = {"type": type(error).__name__, "what": str(error), "where": None, "fix": None}
        if isinstance(error, SparseImplicitError):
            told |= {"what": error.what, "where": error.where, "fix": error.fix}
        try:
            self.log("failed", error=told)
            self._end("failed", f"{told['type']}: {told['what']}", told)
        except ConfigError:
            return  # the disk is full, perhaps: the error itself is on its way to the user

    def _end(self, state: str, message: str, error: dict[str, Any] | None = None) -> None:
        self.status = dataclasses.replace(
            self.status, state=state, message=message, error=error, updated=time.time()
        )
        self._save()

    def _save(self) -> None:
        _write(self.folder / "status.json", dataclasses.asdict(self.status))
        self._written = time.monotonic()


def read_status(folder: Path) -> Status | None:
    """Return where a run stands by its own words; None if nothing legible says so."""
    try:
        record = json.loads((folder / "status.json").read_text(encoding="utf-8"))
        return Status(**record)
    except (OSError, ValueError, TypeError):
        return None


def versions() -> dict[str, str]:
    """Return the versions of all that results depend on."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _write(path: Path, record: dict[str, Any]) -> None:
    text = json.dumps(record, indent=2, ensure_ascii=False, default=str) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))
