"""What a process does that computes for another: it answers until the other is gone."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from typing import Any

from .crew import Seat
from .messages import packed, told, unpacked


def main(descriptor: int) -> None:
    """Answer what comes by the pipe of this descriptor, one message for one."""
    with Connection(descriptor) as pipe:
        seat: Seat | None = None
        broken: Exception | None = None
        while True:
            try:
                what, data = pipe.recv()
                if what == "seat":
                    seat, broken = _made(data)
                    continue
                pipe.send_bytes(_answered(seat, broken, data))
            except (EOFError, BrokenPipeError, ConnectionResetError):
                return


def _made(data: bytes) -> tuple[Seat | None, Exception | None]:
    try:
        make, given = unpacked(data)
        return make(*given), None
    except Exception as error:  # noqa: BLE001 - told when it is asked
        return None, error


def _answered(seat: Seat | None, broken: Exception | None, data: bytes) -> bytes:
    started = time.perf_counter()
    reply: tuple[str, Any, float]
    try:
        if broken is not None:
            raise broken
        assert seat is not None  # noqa: S101 - it comes first
        reply = ("answer", seat.answer(*unpacked(data)), time.perf_counter() - started)
        return packed(reply)
    except Exception as error:  # noqa: BLE001 - the other process says it and ends
        return packed(("error", told(error), 0.0))
