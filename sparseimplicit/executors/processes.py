"""Seats in several processes of this machine, each with its share of the cores."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Final

from ..errors import SparseImplicitError
from ..thread_limits import environment
from .cores import available_cores
from .crew import Crew, Executor, Given, Make, Progress, Replies
from .messages import packed, unpacked

COMMAND: Final = (  # signals sent to all processes of a job are for the first one, which ends this
    "import signal, sys; [signal.signal(s, signal.SIG_IGN) for s in (signal.SIGTERM, "
    "signal.SIGUSR1)]; from sparseimplicit.executors.worker import main; main(int(sys.argv[1]))"
)
PACKAGE: Final = str(Path(__file__).resolve().parents[2])
DEATHS: Final = 3  # while one question is answered: then it is no accident


class Processes(Executor):
    """Items shared out over processes: process k of p has those of number k, k + p, …

    Parameters
    ----------
    jobs : int or None
        Processes; None takes a process a core. Each gets ``cores // jobs`` threads.
    progress : callable, optional
        Called with (processes that have answered, processes asked).

    Notes
    -----
    A process that dies is replaced. Its successor gets the states of the last step and does the
    work again: the bits of the result are the same, and ``notes`` say so. The first question waits
    for Python and its libraries to be loaded, about two seconds.
    """

    def __init__(self, jobs: int | None = None, *, progress: Progress | None = None) -> None:
        self.jobs = max(jobs or available_cores(), 1)
        self.progress = progress

    def open(self, make: Make, given: Given, items: int) -> Crew:
        """Start the processes."""
        return ProcessCrew(make, given, max(min(self.jobs, items), 1), self.progress)


class ProcessCrew(Crew):
    """Processes, each with one seat."""

    def __init__(self, make: Make, given: Given, jobs: int, progress: Progress | None) -> None:
        self.jobs, self._make, self._given, self._progress = jobs, make, given, progress
        self.threads = max(available_cores() // jobs, 1)
        seats = [self._seat(k) for k in range(jobs)]
        self._processes = [_Process(self.threads) for _ in range(jobs)]
        for k, seat in enumerate(seats):  # when all are on their way: each reads once it is loaded
            self._processes[k].send("seat", seat)

    def ask(self, messages: Mapping[int, tuple[Any, ...]]) -> Replies:
        """Have seats answer, all at a time."""
        started = time.perf_counter()
        tasks = {k: packed(message) for k, message in messages.items()}
        for k, task in tasks.items():  # of a process that has died meanwhile, the pipe tells below
            self._processes[k].send("ask", task)
        values: dict[int, Any] = {}
        notes: list[str] = []
        busy = 0.0
        while len(values) < len(tasks):
            pipes = {id(self._processes[k].pipe): k for k in tasks if k not in values}
            for pipe in wait([self._processes[k].pipe for k in pipes.values()]):
                k = pipes[id(pipe)]
                reply = self._processes[k].receive()
                if reply is None:
                    notes.append(self._replace(k, len(notes) + 1))
                    self._processes[k].send("ask", tasks[k])
                    continue
                what, values[k], seconds = unpacked(reply)
                if what == "error":
                    raise values[k]
                busy += seconds
                if self._progress is not None:
                    self._progress(len(values), len(tasks))
        waiting = max(self.jobs * (time.perf_counter() - started) - busy, 0.0)
        return Replies(values, waiting, tuple(notes))

    def close(self) -> None:
        """End all processes."""
        for process in self._processes:
            process.end()

    def _seat(self, k: int) -> bytes:
        return packed((self._make, self._given(k, self.jobs)))

    def _replace(self, k: int, deaths: int) -> str:
        code = self._processes[k].end()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        if deaths >= DEATHS:
            raise SparseImplicitError(
                f"a process that computes {how}, as did {deaths - 1} before it.",
                where=f"Processes, {self.jobs} of them",
                fix="signal 9 often means that memory is full: use fewer jobs, or smaller problems."
                " What was done so far is in the checkpoint.",
            )
        self._processes[k] = _Process(self.threads)
        self._processes[k].send("seat", self._seat(k))
        return f"process {k} {how}; another one took its place, from the states of the last step"


class _Process:
    """A process of Python, with a pipe to it; no copy of this one, whose threads would be lost."""

    def __init__(self, threads: int) -> None:
        self.pipe, theirs = Pipe()
        path = os.pathsep.join([PACKAGE, *filter(None, [os.environ.get("PYTHONPATH")])])
        env = os.environ | environment(threads) | {"PYTHONPATH": path}
        self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
            [sys.executable, "-c", COMMAND, str(theirs.fileno())],
            env=env, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the first process alone, which ends this one
        )  # fmt: skip
        theirs.close()

    @property
    def identity(self) -> int:
        """Its number, for messages."""
        return self._process.pid

    def send(self, what: str, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send((what, data))

    def receive(self) -> bytes | None:
        """Return what it says; None if it has died."""
        try:
            return self.pipe.recv_bytes()
        except (EOFError, OSError):  # before a message, or in the middle of one
            return None

    def end(self) -> int:
        """End it, and return its exit code: −9 if by signal 9."""
        self.pipe.close()
        try:
            return self._process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:  # it is in the middle of a visit
            self._process.kill()
            return self._process.wait()
