"""A folder is one process's own until that process ends, however it does."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any, Final

from .errors import ConfigError

BEAT: Final = 10.0  # seconds from one sign of life to the next
STALE: Final = 45.0  # without one for so long, an owner on another machine has died


class Lock:
    """Holds a folder, by a file in it, against other processes.

    The kernel lets go of a lock when its process ends, killed or not: a dead owner's lock is taken
    over. Between machines, where file systems may keep locks to themselves, the owner's signs of
    life decide: the file is touched every ten seconds.

    Parameters
    ----------
    path : path
        The file; its folder is made.

    Attributes
    ----------
    notes : list of str
        Whose lock was taken over.

    Raises
    ------
    ConfigError
        If another process holds the folder, or the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written: {error.strerror or error}.",
                fix="choose another folder.",
            ) from error
        try:
            self._take()
        except BaseException:
            self._file.close()
            raise
        self._ended = threading.Event()
        threading.Thread(target=self._live, daemon=True).start()

    def release(self) -> None:
        """Let another process have the folder."""
        if self._ended.is_set():
            return
        self._ended.set()
        with contextlib.suppress(OSError):  # a full disk, a folder that is gone
            self._file.truncate(0)
        self._file.close()

    def _take(self) -> None:
        locks = True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _held(self.path, owner_of(self.path)) from error
        except OSError:  # a file system without locks: the owner's signs of life decide alone
            locks = False
        before = owner_of(self.path)
        if before is not None and before != _self() and self._alive(before, locks):
            raise _held(self.path, before)
        if before is not None:
            self.notes.append(
                f"took over from process {before['pid']} on {before['host']}, which is gone"
            )
        try:
            self._file.truncate(0)
            self._file.write(json.dumps(_self()).encode())
            self._file.flush()
        except OSError as error:
            raise ConfigError(
                f"{self.path} cannot be written: {error.strerror or error}.",
                fix="free space, or choose another folder.",
            ) from error
        os.set_inheritable(self._file.fileno(), False)

    def _alive(self, owner: dict[str, Any], locks: bool) -> bool:
        if owner["host"] == socket.gethostname():
            return not locks and is_held(self.path)
        return _silence(self.path) < STALE

    def _live(self) -> None:
        while not self._ended.wait(BEAT):
            with contextlib.suppress(OSError):
                os.utime(self.path)


def owner_of(path: Path) -> dict[str, Any] | None:
    """Return who wrote a lock file last and has not released it: ``pid``, ``host``, ``started``."""
    try:
        owner = json.loads(path.read_bytes())
        return {"pid": int(owner["pid"]), "host": str(owner["host"]), "started": owner["started"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_held(path: Path) -> bool:
    """Tell whether a living process holds a lock file; it is not touched."""
    owner = owner_of(path)
    if owner is None:
        return False
    if owner["host"] == socket.gethostname():
        return bool(_started(owner["pid"]) == owner["started"])
    return _silence(path) < STALE


def _silence(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def _self() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "started": _started(os.getpid())}


def _started(pid: int) -> str | None:
    """Return when a process of this machine was started, in ticks; None if it is not there."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        state, *rest = fields.rpartition(")")[2].split()
        return None if state in "ZX" else rest[18]
    except (OSError, IndexError, ValueError):
        return None


def _held(path: Path, owner: dict[str, Any] | None) -> ConfigError:
    who = "" if owner is None else f" ({owner['pid']} on {owner['host']})"
    return ConfigError(
        f"{path.parent} is written to by another process{who}.",
        fix="wait for it, end it, or choose another folder.",
    )
