"""Lower-level problems of a run in several processes, which keep the states they have left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..executors import Crew, Executor
from ..implicit import Start
from ..linear.operator import Array
from .lower import Failed, Lower, Part, Parts, Relay

Starts = tuple[Start | None, ...]


class Seated:
    """Some of the lower-level problems of a run, with the states they have left, in one process.

    Parameters
    ----------
    lower, starts : mappings by number
    """

    def __init__(self, lower: Mapping[int, Lower], starts: Mapping[int, Start]) -> None:
        self._relay = Relay(lower)
        self._given = self._left = dict(starts)

    def answer(
        self,
        x: Array,
        rtol: float,
        ask: Sequence[int],
        starts: Mapping[int, Start],
        trial: bool,
        back: bool,
    ) -> Parts:
        """Evaluate problems one by one, from the states that are given, else from their own.

        trial: see `Relay.evaluate`. back: their own are what the last evaluation started from, for
        it has failed, in this process or in another.
        """
        self._given = (self._given if back else self._left) | dict(starts)
        own = {i: self._given.get(i) for i in ask}
        parts = self._relay.evaluate(x, own, rtol, trial=trial)
        done = {i: part for i, part in parts.items() if isinstance(part, Part)}
        self._left = self._given | {i: part.left for i, part in done.items()}
        return parts | {i: replace(part, left=_bare(part.left)) for i, part in done.items()}


class Away:
    """The lower-level problems of a run, shared out over the seats of a crew.

    Parameters
    ----------
    executor : Executor
    lower : sequence of Lower

    Attributes
    ----------
    apart : bool
        Whether the seats are in other processes. If not they are not asked.
    """

    def __init__(self, executor: Executor, lower: Sequence[Lower]) -> None:
        self._lower = lower
        self._starts: Starts = (None,) * len(lower)
        self._there: Starts = self._starts  # what the seats start from unless they are told
        self._back = False
        self._crew: Crew = executor.open(Seated, self._seat, len(lower))
        self.apart = self._crew.apart

    def evaluate(
        self, x: Array, starts: Starts, rtol: float, *, trial: bool
    ) -> tuple[Parts, tuple[str, ...]]:
        """Return loss and gradient at x of all problems, unless some fail; and notes.

        States go to other processes only where they are not there already.
        """
        self._starts = starts
        new = {
            i: _bare(start)
            for i, (start, there) in enumerate(zip(starts, self._there, strict=True))
            if start is not None and start is not there
        }
        shares: dict[int, list[int]] = {}
        for i in range(len(self._lower)):
            shares.setdefault(self._crew.owner(i), []).append(i)
        replies = self._crew.ask({
            k: (x, rtol, own, {i: new[i] for i in own if i in new}, trial, self._back)
            for k, own in shares.items()
        })  # fmt: skip
        found: Parts = {}
        for own in replies.values.values():
            found |= own
        parts = dict(sorted(found.items()))
        self._back = any(isinstance(part, Failed) for part in parts.values())
        left = tuple(part.left for part in parts.values() if isinstance(part, Part))
        self._there = starts if self._back else left
        return parts, replies.notes

    def close(self) -> None:
        """End other processes."""
        self._crew.close()

    def _seat(self, seat: int, seats: int) -> tuple[Any, ...]:
        own = range(seat, len(self._lower), seats)
        starts = {i: _bare(start) for i in own if (start := self._starts[i]) is not None}
        return {i: self._lower[i] for i in own}, starts


def _bare(start: Start) -> Start:
    """Return it without what belongs to its process: analysis and factorization."""
    return Start(start.y, start.solver)
