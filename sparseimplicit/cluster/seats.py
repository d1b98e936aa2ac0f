"""What a worker of Dask keeps and does: seats, one of which computes at a time.

A question has a number. One that comes again, since its answer was lost on the way, is answered
from what was said; a seat that has missed one, or is not there, is `ABSENT`, and has to be made of
what the one who asks has kept.
"""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import numba

from ..executors import Seat
from ..executors.messages import packed, told, unpacked
from ..thread_limits import VARIABLE, threads

ANSWER, ERROR, ABSENT = "answer", "error", "absent"


@dataclass
class _Held:
    seat: Seat
    number: int  # of the last question
    reply: bytes = b""


_seats: Final[dict[tuple[str, int], _Held]] = {}
_lock: Final = Lock()


def answer(run: str, k: int, number: int, seat: bytes | None, message: bytes, cores: int) -> bytes:
    """Answer question ``number`` by seat k of a run, made of ``seat`` first if that is given.

    cores: the share of this worker, in threads.
    """
    started = time.perf_counter()
    with _lock:
        try:
            if seat is not None:
                make, given = unpacked(seat)
                _seats[run, k] = _Held(make(*given), number - 1)
            held = _seats.get((run, k))
            if held is None or held.number not in (number, number - 1):
                return packed((ABSENT, None, 0.0))
            if held.number == number:
                return held.reply
            with _share(cores):
                value: Any = held.seat.answer(*unpacked(message))
            held.reply = packed((ANSWER, value, time.perf_counter() - started))
            held.number = number
            return held.reply
        except Exception as error:  # noqa: BLE001 - the one who asked says it and ends
            return packed((ERROR, told(error), 0.0))


def forget(run: str) -> None:
    """Drop the seats of a run."""
    with _lock:
        for key in [key for key in _seats if key[0] == run]:
            del _seats[key]


def _share(cores: int) -> Any:
    if os.environ.get(VARIABLE) == str(cores):  # this process was started with it
        return nullcontext()
    config: Any = numba.config
    return threads(max(min(cores, int(config.NUMBA_NUM_THREADS)), 1))
