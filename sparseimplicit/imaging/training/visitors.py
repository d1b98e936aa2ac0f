"""Who visits the images: this process, or several.

An executor has the seat between the upper level and its images. What has been computed of an image
stays where it was computed; answers come back in the order of the images, so that their sum has
the same bits whoever made them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..models import Model
from .examples import Example
from .images import Images
from .visits import Answer, Visit


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of some images, in their order, and what it took to get them.

    waiting: seconds that processes were idle, added up. writing: that they wrote states.
    """

    answers: list[Answer]
    waiting: float = 0.0
    writing: float = 0.0
    notes: tuple[str, ...] = ()


class Executor(Protocol):
    """Visits images, which keep their states.

    Attributes
    ----------
    places : dict of int to str
        The name under which each image's state was saved last. A checkpoint is taken up by
        setting it before the first visit.
    jobs : int
        How many images are visited at a time.
    """

    places: dict[int, str]
    jobs: int

    def visit(self, visit: Visit, examples: Sequence[int], save: str) -> Answers:
        """Visit images, and save their states under names that begin with ``save``; "" does not."""

    def close(self) -> None:
        """End what was begun."""


class Serial:
    """All images in this process; each may use all of its threads."""

    jobs = 1

    def __init__(
        self,
        model: Model,
        examples: Mapping[int, Example],
        linear_solver: str | None = None,
        folder: Path | None = None,
    ) -> None:
        self.places: dict[int, str] = {}
        self._images = Images(model, examples, linear_solver, folder)

    def visit(self, visit: Visit, examples: Sequence[int], save: str) -> Answers:
        """Visit images one after the other."""
        started = time.perf_counter()
        name = f"{save}-0" if save else ""
        answers, writing = self._images.visit(visit, examples, self.places, name)
        if save:
            self.places.update(dict.fromkeys(examples, name))
        busy = sum(sum(answer.seconds.values()) for answer in answers) + writing
        return Answers(answers, max(time.perf_counter() - started - busy, 0.0), writing)

    def close(self) -> None:
        """Do nothing: there is nothing but memory."""
