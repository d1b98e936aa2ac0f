"""All in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .crew import Crew, Executor, Given, Make, Replies


class Serial(Executor):
    """One item after the other in this process; each may use all of its threads."""

    jobs = 1

    def open(self, make: Make, given: Given, items: int) -> Crew:
        """Make the one seat."""
        return _Here(make, given)


class _Here(Crew):
    jobs = 1
    apart = False

    def __init__(self, make: Make, given: Given) -> None:
        self._seat = make(*given(0, 1))

    def ask(self, messages: Mapping[int, tuple[Any, ...]]) -> Replies:
        return Replies({k: self._seat.answer(*message) for k, message in messages.items()})

    def close(self) -> None:
        pass
