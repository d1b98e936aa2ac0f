"""Images in several processes, each with its share of the cores."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Final

from ...errors import SparseImplicitError
from ..models import Model
from .cores import available_cores
from .examples import Example
from .executors import Answers
from .visits import Answer, Visit

# Every library that would otherwise choose a number of threads for itself.
THREADS: Final = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
COMMAND: Final = (  # signals sent to all processes of a job are for the first one, which ends this
    "import signal, sys; [signal.signal(s, signal.SIG_IGN) for s in (signal.SIGTERM, "
    "signal.SIGUSR1)]; from sparseimplicit.imaging.training.worker import main; "
    "main(int(sys.argv[1]))"
)
PACKAGE: Final = str(Path(__file__).resolve().parents[3])
DEATHS: Final = 3  # in one visit, of one process after another: then it is no accident


class Processes:
    """Images shared out over processes: process k of p has those of number k, k + p, …

    Parameters
    ----------
    model, examples, linear_solver, folder
        As for `Images`.
    jobs : int or None
        Processes; None takes a process a core. Each gets ``cores // jobs`` threads.

    Notes
    -----
    A process that dies is replaced. Its successor reads the states from the folder and does the
    work again: the bits of the result are the same. Without a folder it begins at the first guess.
    All is said in ``notes``. The first visit waits for Python and its libraries to be loaded, about
    two seconds.
    """

    def __init__(
        self,
        model: Model,
        examples: Mapping[int, Example],
        linear_solver: str | None = None,
        folder: Path | None = None,
        *,
        jobs: int | None = None,
    ) -> None:
        cores = available_cores()
        self.places: dict[int, str] = {}
        self.jobs = max(min(jobs or cores, len(examples)), 1)
        self.threads = max(cores // self.jobs, 1)
        self._given = (model, dict(examples), linear_solver, folder)
        self._processes = [_Process(self.threads) for _ in range(self.jobs)]
        for k in range(self.jobs):  # when all are on their way: each reads once it is loaded
            self._introduce(k)

    def owner(self, example: int) -> int:
        """Return the process that has an image."""
        return example % self.jobs

    def visit(self, visit: Visit, examples: Sequence[int], save: str) -> Answers:
        """Visit images in their processes, all at a time."""
        started = time.perf_counter()
        shares: dict[int, list[int]] = {}
        for i in examples:
            shares.setdefault(self.owner(i), []).append(i)
        notes: list[str] = []
        answers: dict[int, Answer] = {}
        busy = writing = 0.0
        tasks = {k: self._task(visit, share, save, k) for k, share in shares.items()}
        for k, task in tasks.items():
            self._send(k, task)
        left, deaths = set(tasks), 0
        while left:
            pipes = {id(self._processes[k].pipe): k for k in left}
            for pipe in wait([self._processes[k].pipe for k in left]):
                k = pipes[id(pipe)]
                reply = self._processes[k].receive()
                if reply is None:
                    deaths += 1
                    notes.append(self._replace(k, deaths))
                    self._send(k, tasks[k])
                    continue
                if reply[0] == "error":
                    raise reply[1]
                _, own, wrote, seconds = reply
                answers.update({answer.example: answer for answer in own})
                busy, writing = busy + seconds, writing + wrote
                if save:
                    self.places.update(dict.fromkeys(shares[k], tasks[k][-1]))
                left.discard(k)
        waiting = max(self.jobs * (time.perf_counter() - started) - busy, 0.0)
        return Answers([answers[i] for i in examples], waiting, writing, tuple(notes))

    def close(self) -> None:
        """End all processes."""
        for process in self._processes:
            process.end()

    def _task(self, visit: Visit, share: list[int], save: str, k: int) -> tuple[Any, ...]:
        places = {i: self.places[i] for i in share if i in self.places}
        return ("visit", visit, share, places, f"{save}-{k}" if save else "")

    def _introduce(self, k: int) -> None:
        model, examples, linear_solver, folder = self._given
        own = {i: example for i, example in examples.items() if self.owner(i) == k}
        self._processes[k].send(("images", model, own, linear_solver, folder))

    def _send(self, k: int, task: tuple[Any, ...]) -> None:
        # Of a process that has died meanwhile, the pipe tells when it is read.
        self._processes[k].send(task)

    def _replace(self, k: int, deaths: int) -> str:
        code = self._processes[k].end()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        if deaths >= DEATHS:
            raise SparseImplicitError(
                f"a process that visits images {how}, as did {deaths - 1} before it.",
                where=f"Processes, {self.jobs} of them",
                fix="signal 9 often means that memory is full: use fewer jobs, or smaller images. "
                "What was done so far is in the checkpoint.",
            )
        self._processes[k] = _Process(self.threads)
        self._introduce(k)
        states = "its first guesses" if self._given[3] is None else "the states of the last step"
        return f"process {k} {how}; another one took its place, from {states}"


class _Process:
    """A process of Python, with a pipe to it; no copy of this one, whose threads would be lost."""

    def __init__(self, threads: int) -> None:
        self.pipe, theirs = Pipe()
        path = os.pathsep.join([PACKAGE, *filter(None, [os.environ.get("PYTHONPATH")])])
        env = os.environ | dict.fromkeys(THREADS, str(threads)) | {"PYTHONPATH": path}
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

    def send(self, message: tuple[Any, ...]) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send(message)

    def receive(self) -> Any:
        """Return what it says; None if it has died."""
        try:
            return self.pipe.recv()
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
