"""What an executor is: seats that are made where they compute, keep their states, and answer.

Item i of a sum belongs to seat i mod jobs. Answers are added up by the one who asked, in the order
of the items, so that a sum has the same bits whoever computed its parts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class Seat(Protocol):
    """What computes, and keeps from one message to the next what it needs for the next."""

    def answer(self, *message: Any) -> Any:
        """Answer a message."""


Make = Callable[..., Seat]
Given = Callable[[int, int], tuple[Any, ...]]  # (seat, seats) -> the arguments of Make
Progress = Callable[[int, int], Any]  # (seats that have answered, seats asked)


@dataclass(frozen=True, eq=False)
class Replies:
    """What the seats of a crew answered, and what it took.

    Attributes
    ----------
    values : dict of int to Any
        By seat.
    waiting : float
        Seconds that seats were idle, added up.
    notes : tuple of str
        What did not go as usual: seats that were lost and made again.
    """

    values: dict[int, Any] = field(default_factory=dict)
    waiting: float = 0.0
    notes: tuple[str, ...] = ()


class Crew(ABC):
    """The seats of one run.

    Attributes
    ----------
    jobs : int
        How many there are, all of which may compute at a time.
    apart : bool
        Whether they are in other processes, and may be lost with what they keep.
    """

    jobs: int
    apart: bool = True

    @abstractmethod
    def ask(self, messages: Mapping[int, tuple[Any, ...]]) -> Replies:
        """Have seats answer, all at a time.

        A seat that is lost is made again, of what ``given`` then says, and asked again.

        Raises
        ------
        SparseImplicitError
            From a seat; or if seats are lost again and again.
        """

    @abstractmethod
    def close(self) -> None:
        """End what was begun."""

    def owner(self, item: int) -> int:
        """Return the seat that has an item."""
        return item % self.jobs


class Executor(ABC):
    """Where seats are: `Serial`, `Processes`, or `cluster.Dask`.

    Attributes
    ----------
    jobs : int
        How many items are computed at a time.
    """

    jobs: int

    @abstractmethod
    def open(self, make: Make, given: Given, items: int) -> Crew:
        """Make seats ``make(*given(seat, seats))``, no more than there are items.

        ``given`` is called again when a seat is lost: what it returns is all that is left of it.
        """
