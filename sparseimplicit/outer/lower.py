"""One evaluation of one lower-level problem: its state, the loss, and the loss's gradient."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import SparseImplicitError
from ..hypergradient import Hypergradient, Loss, hypergradient, loss_error
from ..implicit import ImplicitFunction, SolvedState, Start
from ..linear.operator import Array
from .history import Work


@dataclass(frozen=True, eq=False)
class Lower:
    """A lower-level problem, its loss, and the first guess of its first state."""

    loss: Loss
    implicit: ImplicitFunction
    guess: Any = None

    def state(self, x: Array, start: Start | None, rtol: float) -> SolvedState:
        """Return the state at x."""
        guess = self.guess if start is None else None
        return self.implicit.solve(x, guess, start=start, rtol=rtol)

    def evaluate(
        self, x: Array, start: Start | None, rtol: float, products: int = 0
    ) -> tuple[Part, SolvedState, Hypergradient]:
        """Return loss and gradient at x, and what they were found with."""
        started = time.perf_counter()
        solved = self.state(x, start, rtol)
        h = hypergradient(self.loss, solved, rtol=rtol)
        value = h.value - loss_error(solved, h.adjoint)
        left = solved.handover()
        work = Work.of(h, time.perf_counter() - started, products)
        return Part(value, h.gradient, left, work), solved, h


@dataclass(frozen=True, eq=False)
class Part:
    """What one lower-level problem adds to loss and gradient; the state it left; its work.

    value: the loss of the exact state, to second order in what the state misses.
    """

    value: float
    gradient: Array
    left: Start
    work: Work


class Seated:
    """Some of the lower-level problems of a run, with the states they have left, in one process.

    Parameters
    ----------
    lower, starts : mappings by number
    """

    def __init__(self, lower: Mapping[int, Lower], starts: Mapping[int, Start]) -> None:
        self._lower, self._starts = lower, dict(starts)

    def answer(
        self, x: Array, rtol: float, products: int, ask: Sequence[int], starts: Mapping[int, Start]
    ) -> dict[int, Part]:
        """Evaluate problems one by one, from the states that are given, else from their own."""
        self._starts.update(starts)
        parts = {}
        for i in ask:
            try:
                part, solved, _ = self._lower[i].evaluate(x, self._starts.get(i), rtol, products)
            except SparseImplicitError as error:
                raise error.at(f"lower-level problem {i}") from error.__cause__
            del solved  # only one factor is alive
            self._starts[i] = part.left
            bare = Start(part.left.y, part.left.solver)  # the analysis belongs to its process
            parts[i] = Part(part.value, part.gradient, bare, part.work)
        return parts
