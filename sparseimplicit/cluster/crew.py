"""Seats on the workers of Dask: where they are, and what is done when a worker is lost."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from .._optional import require
from ..errors import SparseImplicitError
from ..executors import Crew, Given, Make, Replies
from ..executors.messages import packed, unpacked
from . import seats

DEATHS: Final = 4  # of workers while one question is answered: then it is no accident
LARGE: Final = 1_000_000  # bytes; beyond, they go to the worker itself, not by way of the scheduler


class DaskCrew(Crew):
    """Seats, each of which is on one worker as long as that lives.

    Parameters
    ----------
    client : distributed.Client
    make, given, jobs
        As for `Executor.open`.
    progress : callable or None
    patience : float
        Seconds to wait for a worker when there is none.
    """

    def __init__(
        self, client: Any, make: Make, given: Given, jobs: int, progress: Any, patience: float
    ) -> None:
        self.jobs = jobs
        self._client, self._make, self._given = client, make, given
        self._progress, self._patience = progress, patience
        self._run = uuid.uuid4().hex
        self._at: dict[int, str] = {}  # where each seat is
        self._numbers = Counter[int]()
        self._workers: dict[str, int] = {}  # their threads
        self._dask = require("distributed", extra="dask", purpose="executor Dask")

    def ask(self, messages: Mapping[int, tuple[Any, ...]]) -> Replies:
        """Have seats answer, all at a time."""
        started = time.perf_counter()
        tasks = {k: packed(message) for k, message in messages.items()}
        self._numbers.update(tasks.keys())
        notes: list[str] = []
        values: dict[int, Any] = {}
        busy, deaths = 0.0, Counter[int]()
        made = self._settle(notes)
        asked = {self._submit(k, tasks[k], made=k in made): k for k in tasks}
        coming = self._dask.as_completed(asked, loop=self._client.loop, raise_errors=False)
        for future in coming:
            k = asked.pop(future)
            what, value, seconds = self._outcome(future)
            if what == seats.ERROR:
                raise value
            if what == seats.ANSWER:
                values[k] = value
                busy += seconds
                if self._progress is not None:
                    self._progress(len(values), len(tasks))
                continue
            deaths[k] += 1
            self._lost(k, deaths[k], value, notes)
            again = self._submit(k, tasks[k], made=True)
            asked[again] = k
            coming.add(again)
        waiting = max(self.jobs * (time.perf_counter() - started) - busy, 0.0)
        return Replies(values, waiting, tuple(notes))

    def close(self) -> None:
        """Let workers forget the seats."""
        if self._client.status == "running":
            self._client.run(seats.forget, self._run, on_error="ignore")

    def _submit(self, k: int, message: bytes, *, made: bool) -> Any:
        seat = packed((self._make, self._given(k, self.jobs))) if made else None
        at = self._at[k]
        if seat is not None and len(seat) > LARGE:
            seat = self._client.scatter(seat, workers=[at], hash=False)
        if len(message) > LARGE:
            message = self._client.scatter(message, workers=[at], hash=False)
        return self._client.submit(
            seats.answer, self._run, k, self._numbers[k], seat, message, self._workers[at],
            workers=[at], allow_other_workers=True, pure=False,
            key=f"seat-{k}-{uuid.uuid4().hex}",
        )  # fmt: skip

    def _outcome(self, future: Any) -> tuple[str, Any, float]:
        """Return what became of a question; with the reason where it was not answered."""
        try:
            what, value, seconds = unpacked(future.result())
            return what, value, seconds
        except self._dask.KilledWorker as error:  # on several workers, says the scheduler
            raise self._too_many(error) from error
        except (self._dask.CancelledError, OSError) as error:  # what it depended on is lost
            return seats.ABSENT, error, 0.0

    def _settle(self, notes: list[str]) -> set[int]:
        """Give every seat a worker that lives, evenly; return those that have to be made there."""
        self._workers = dict(self._client.nthreads())
        if not self._workers:
            self._wait()
        made = set()
        load = Counter(dict.fromkeys(self._workers, 0))
        load.update(at for at in self._at.values() if at in self._workers)
        for k in range(self.jobs):
            before = self._at.get(k)
            least = min(self._workers, key=lambda at: (load[at], at))
            gone = before not in self._workers
            if not gone and before is not None and load[before] <= load[least] + 1:
                continue
            if before is not None:
                if not gone:
                    load[before] -= 1
                what = "is gone" if gone else "has many"
                notes.append(f"worker {before} {what}: seat {k} is made anew at {least}, from the "
                             "states of the last step")  # fmt: skip
            self._at[k] = least
            load[least] += 1
            made.add(k)
        return made

    def _lost(self, k: int, deaths: int, reason: Any, notes: list[str]) -> None:
        if deaths >= DEATHS:
            raise self._too_many(reason)
        before = self._at[k]
        self._workers = dict(self._client.nthreads())
        if not self._workers:
            self._wait()
        if before not in self._workers:
            load = Counter(at for at in self._at.values() if at in self._workers)
            self._at[k] = min(self._workers, key=lambda at: (load[at], at))
        notes.append(
            f"worker {before} was lost while it computed; seat {k} was made anew at {self._at[k]}, "
            "from the states of the last step"
        )

    def _wait(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=self._patience)
        except TimeoutError as error:
            raise SparseImplicitError(
                f"there has been no worker for {self._patience:g} s.", where="Dask",
                fix="start workers (look into their logs), or give a longer `patience`.",
            ) from error  # fmt: skip
        self._workers = dict(self._client.nthreads())

    def _too_many(self, reason: Any) -> SparseImplicitError:
        return SparseImplicitError(
            "one worker after another was lost while it computed the same"
            + (f": {reason}" if reason is not None else "."),
            where=f"Dask, {len(self._workers)} workers",
            fix="a worker that is killed again and again often lacks memory: give workers more, or "
            "smaller problems. What was done so far is in the checkpoint.",
        )
