"""What a process does that visits images for another: it answers until the other is gone."""

from __future__ import annotations

import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

from ...errors import SparseImplicitError
from .images import Images


def main(descriptor: int) -> None:
    """Answer what comes by the pipe of this descriptor, one message for one."""
    with Connection(descriptor) as pipe:
        images: Images | None = None
        while True:
            try:
                what, *content = pipe.recv()
                if what == "images":
                    images = Images(*content)
                    continue
                assert images is not None  # noqa: S101 - they come first
                pipe.send(_answered(images, content))
            except (EOFError, BrokenPipeError, ConnectionResetError):
                return


def _answered(images: Images, content: list[Any]) -> tuple[Any, ...]:
    started = time.perf_counter()
    try:
        answers, writing = images.visit(*content)
    except SparseImplicitError as error:
        return "error", error
    except Exception as error:  # noqa: BLE001 - the other process says it and ends
        text = "".join(traceback.format_exception(error)[-3:])
        return "error", SparseImplicitError(
            f"a process that visits images failed: {type(error).__name__}: {error}",
            where=text.strip().replace("\n", " | "),
            fix="try executor='serial', which shows where.",
        )
    return "answers", answers, writing, time.perf_counter() - started
