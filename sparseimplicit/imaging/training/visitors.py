"""The images of a run, wherever an executor has seated them.

What has been computed of an image stays where it was computed; answers come back in the order of
the images, so that their sum has the same bits whoever made them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...executors import Executor
from ..models import Model
from .examples import Example
from .images import Images, Seated
from .visits import Answer, Kept, Visit


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of some images, in their order, and what it took to get them.

    waiting: seconds that processes were idle, added up. writing: that they wrote states.
    """

    answers: list[Answer]
    waiting: float = 0.0
    writing: float = 0.0
    notes: tuple[str, ...] = ()


class Visitors:
    """Visits images, which keep their states.

    Parameters
    ----------
    executor : Executor
    model, examples, linear_solver, folder
        As for `Images`. Without a folder, states that other processes keep come back with the
        answers too, for the case that one is lost.

    Attributes
    ----------
    places : dict of int to str
        The name under which each image's state was saved last. A checkpoint is taken up by
        setting it before the first visit.
    """

    def __init__(
        self,
        executor: Executor,
        model: Model,
        examples: Mapping[int, Example],
        linear_solver: str | None = None,
        folder: Path | None = None,
    ) -> None:
        self.places: dict[int, str] = {}
        self._given = (model, dict(examples), linear_solver, folder)
        self._backup: dict[int, tuple[str, Kept]] = {}
        self.crew = executor.open(Images, self._seat, len(examples))

    def visit(self, visit: Visit, examples: Sequence[int], save: str) -> Answers:
        """Visit images, and save their states under names that begin with ``save``; "" does not."""
        started = time.perf_counter()
        shares: dict[int, list[int]] = {}
        for i in examples:
            shares.setdefault(self.crew.owner(i), []).append(i)
        back = self.crew.apart and self._given[-1] is None
        names = {k: f"{save}-{k}" if save else "" for k in shares}
        known = {
            k: {i: self.places[i] for i in own if i in self.places} for k, own in shares.items()
        }
        replies = self.crew.ask(
            {k: (visit, share, known[k], names[k], back) for k, share in shares.items()}
        )
        answers: dict[int, Answer] = {}
        busy = writing = 0.0
        for k, share in shares.items():
            seated: Seated = replies.values[k]
            answers.update({answer.example: answer for answer in seated.answers})
            writing += seated.writing
            busy += sum(sum(answer.seconds.values()) for answer in seated.answers)
            if save:
                self.places.update(dict.fromkeys(share, names[k]))
                self._backup.update({i: (names[k], kept) for i, kept in seated.kept.items()})
        waiting = replies.waiting
        if not self.crew.apart:
            waiting = max(time.perf_counter() - started - busy - writing, 0.0)
        return Answers([answers[i] for i in examples], waiting, writing, replies.notes)

    def close(self) -> None:
        """End what was begun."""
        self.crew.close()

    def _seat(self, seat: int, seats: int) -> tuple[Any, ...]:
        model, examples, linear_solver, folder = self._given
        own = {i: example for i, example in examples.items() if i % seats == seat}
        kept = {i: self._backup[i] for i in own if i in self._backup}
        return (model, own, linear_solver, folder, kept)
