"""A run that is to end before it is done: by a signal, or because its time is up."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from ..errors import ConfigError, Interrupted

SIGNALS: Final = (signal.SIGTERM, signal.SIGUSR1)
REQUEUE: Final = 85  # the exit code that says: not done, take me up again
HOPELESS: Final = 2  # that it is of no use, as with any bad input
MARGIN: Final = 5.0  # seconds before the end by which all must be written
LONGER: Final = 1.5  # how much longer than the longest so far the next step may take


class Interruption:
    """Watches for signals and for the end of the time, while a run takes its steps.

    A signal lets the step be finished, if that takes no longer than ``grace``; before the time is
    up no step is begun that would not be finished. A step that takes longer after all is abandoned:
    the process ends, and what was done before is on disk.

    Parameters
    ----------
    end : float or None
        When the time is up, in seconds since 1970: the process will be killed then. If not one step
        is done by then, or by a signal in the second half of the time, taking it up again would be
        in vain: ``hopeless`` is told, and the process ends with 2.
    wished : float or None
        When the time is up by the user's wish. It counts once a step is done, so that every attempt
        comes further.
    grace : float
        Seconds that a step may go on after a signal.
    abandoning : callable
        Called with the reason when a step is abandoned, in another thread; the process then ends
        with `REQUEUE`, without any clearing up.
    hopeless : callable
        Called with the error, likewise.

    Notes
    -----
    A context; in the main thread of the process it catches SIGTERM and SIGUSR1, elsewhere it
    watches the time alone. A process that was sent one is about to end, and heeds no other one
    after the context either: Slurm and the batch script may both send one, and the second would
    end it with a code of its own before it has told what it wrote.
    """

    def __init__(
        self, *, end: float | None, grace: float, abandoning: Callable[[str], None],
        wished: float | None = None, hopeless: Callable[[ConfigError], None] | None = None,
    ) -> None:  # fmt: skip
        self.end, self.wished, self.grace, self.reason = end, wished, grace, ""
        self._abandoning, self._hopeless = abandoning, hopeless
        self._stepped = False
        self._heeded: tuple[float, ...] = () if end is None else (end,)
        self._began = time.monotonic()
        self._longest = 0.0
        self._last = time.monotonic()
        self._ended = self._signalled = False
        self._before: dict[int, Any] = {}
        self._told, self._tells = socket.socketpair()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._tells.setblocking(False)
            self._old = signal.set_wakeup_fd(self._tells.fileno(), warn_on_full_buffer=False)
            self._before = {number: signal.signal(number, _heard) for number in SIGNALS}
        self._last = time.monotonic()
        self._watcher.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended = True
        if not self._signalled:
            for number, handler in self._before.items():
                signal.signal(number, handler)
        if self._before:
            signal.set_wakeup_fd(self._old)
        self._tells.send(b"\0")
        self._watcher.join()
        self._told.close()
        self._tells.close()

    def check(self) -> None:
        """Say that a step is done and written.

        Raises
        ------
        Interrupted
            If no other one should be begun.
        """
        now = time.monotonic()
        self._longest, self._last = max(self._longest, now - self._last), now
        first, self._stepped = not self._stepped, True
        ends = [end for end in (self.end, self.wished) if end is not None]
        if not self.reason and ends:
            left = min(ends) - time.time()
            if left < MARGIN + LONGER * self._longest:
                self.reason = f"the time is up in {max(left, 0):.0f} s"
        if self.reason:
            raise Interrupted(
                f"the run was interrupted: {self.reason}; all steps so far are kept.",
                fix="give the command again with --resume.",
            )
        if first:  # from now on the watcher, too, heeds the wished end
            self._heeded = tuple(ends)
            self._tells.send(b"\0")

    def _watch(self) -> None:
        """Wait for a signal, or for the moment at which the step must be abandoned."""
        told: list[float] = []
        while True:
            moments = [*told, *(end - MARGIN / 2 for end in self._heeded)]
            abandon = min(moments, default=None)
            wait = None if abandon is None else max(abandon - time.time(), 0.0)
            ready, _, _ = select.select([self._told], [], [], wait)
            if self._ended:
                return
            if not ready:
                self._abandon()
            for number in self._told.recv(64):
                if number in SIGNALS and not self.reason:
                    self._signalled = True
                    self.reason = f"signal {signal.Signals(number).name}"
                    told = [time.time() + self.grace]

    def _abandon(self) -> None:
        seconds = time.monotonic() - self._began
        # A signal that comes in the second half of the time announces its end.
        ending = not self.reason or (self.end is not None and seconds > self.end - time.time())
        if ending and not self._stepped and self._hopeless is not None:
            try:
                self._hopeless(ConfigError(
                    f"the time of the job is too short: not one step was done in {seconds:.0f} s.",
                    fix="ask for more time (sbatch --time), and give the command again with "
                    "--resume.",
                ))  # fmt: skip
            finally:
                os._exit(HOPELESS)
        self.reason = self.reason or "the time is up"
        try:
            self._abandoning(f"{self.reason}; the step was abandoned")
        finally:
            os._exit(REQUEUE)


def _heard(number: int, frame: FrameType | None) -> None:
    """Let the watcher do it: it is told of the signal even while this thread is in other code."""
