"""One evaluation of one lower-level problem: its state, the loss, and the loss's gradient."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..conditions import parameter_vector
from ..errors import SparseImplicitError
from ..hypergradient import Hypergradient, Loss, hypergradient, loss_error
from ..implicit import ImplicitFunction, SolvedState, Start
from ..linear import Passed
from ..linear.operator import Array
from .history import Work


@dataclass(frozen=True, eq=False)
class Lower:
    """A lower-level problem, its loss, and the first guess of its first state."""

    loss: Loss
    implicit: ImplicitFunction
    guess: Any = None


@dataclass(frozen=True, eq=False)
class Part:
    """What one lower-level problem adds to loss and gradient; the state it left; its work.

    value: the loss of the exact state, to second order in what the state misses.
    """

    value: float
    gradient: Array
    left: Start
    work: Work


class Relay:
    """Lower-level problems solved one after the other, in one process.

    The factorization that a state leaves is passed on to the next one, of whichever problem: where
    A is the same in all of them and everywhere, there is one. Elsewhere it is dropped before
    another is made. A factorization of the same matrix has the same bits, so results do not depend
    on which problems are in which process.

    Parameters
    ----------
    lower : mapping by number
    """

    def __init__(self, lower: Mapping[int, Lower]) -> None:
        self._lower = lower
        self._passed: Passed | None = None

    def state(self, i: int, x: Array, start: Start | None, rtol: float) -> SolvedState:
        """Return the state of problem i at x; it takes, or drops, the factorization passed on."""
        guess = self._lower[i].guess if start is None else None
        passed, self._passed = self._passed, None
        if passed is not None:
            start = Start(parameter_vector(guess, "y0")) if start is None else start
            start = replace(start, passed=passed)
        return self._lower[i].implicit.solve(x, guess, start=start, rtol=rtol)

    def pass_on(self, solved: SolvedState) -> Start:
        """Return what a state has left, but for its factorization: that is for the next one."""
        start = solved.handover(system=True)
        self._passed = start.passed
        return replace(start, passed=None)

    def evaluate(
        self, i: int, x: Array, start: Start | None, rtol: float, products: int = 0
    ) -> tuple[Part, SolvedState, Hypergradient]:
        """Return loss and gradient of problem i at x, and what they were found with."""
        started = time.perf_counter()
        solved = self.state(i, x, start, rtol)
        h = hypergradient(self._lower[i].loss, solved, rtol=rtol)
        value = h.value - loss_error(solved, h.adjoint)
        left = self.pass_on(solved)
        work = Work.of(h, time.perf_counter() - started, products)
        return Part(value, h.gradient, left, work), solved, h


class Seated:
    """Some of the lower-level problems of a run, with the states they have left, in one process.

    Parameters
    ----------
    lower, starts : mappings by number
    """

    def __init__(self, lower: Mapping[int, Lower], starts: Mapping[int, Start]) -> None:
        self._relay, self._starts = Relay(lower), dict(starts)

    def answer(
        self, x: Array, rtol: float, products: int, ask: Sequence[int], starts: Mapping[int, Start]
    ) -> dict[int, Part]:
        """Evaluate problems one by one, from the states that are given, else from their own."""
        self._starts.update(starts)
        parts = {}
        for i in ask:
            try:
                part, solved, _ = self._relay.evaluate(i, x, self._starts.get(i), rtol, products)
            except SparseImplicitError as error:
                raise error.at(f"lower-level problem {i}") from error.__cause__
            del solved  # only one factor is alive
            self._starts[i] = part.left
            parts[i] = replace(part, left=bare(part.left))
        return parts


def bare(start: Start) -> Start:
    """Return it without what belongs to its process: analysis and factorization."""
    return Start(start.y, start.solver)
