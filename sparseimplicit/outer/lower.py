"""One evaluation of one lower-level problem: its state, the loss, and the loss's gradient."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ..conditions import parameter_vector
from ..errors import (
    NonFinite,
    NotConverged,
    NotPositiveDefinite,
    SingularSystem,
    SparseImplicitError,
)
from ..hypergradient import Hypergradient, Loss, hypergradient, loss_error
from ..implicit import ImplicitFunction, SolvedState, Start
from ..linear import Passed
from ..linear.operator import Array
from .history import Work

Kept = tuple[SolvedState, Hypergradient]
FAILURES: Final = (NonFinite, NotConverged, NotPositiveDefinite, SingularSystem)


@dataclass(frozen=True, eq=False)
class Lower:
    """A lower-level problem, its loss, the first guess of its first state.

    place: what it is called where it is one of several.
    """

    loss: Loss
    implicit: ImplicitFunction
    guess: Any = None
    place: str | None = None


@dataclass(frozen=True, eq=False)
class Part:
    """What one lower-level problem adds to loss and gradient; the state it left; its work.

    value: the loss of the exact state, to second order in what the state misses.
    """

    value: float
    gradient: Array
    left: Start
    work: Work


@dataclass(frozen=True, eq=False)
class Failed:
    """Why a lower-level problem has no state or adjoint at a trial point, and the work it took."""

    told: str
    work: Work


Parts = dict[int, Part | Failed]


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
        self,
        x: Array,
        starts: Mapping[int, Start | None],
        rtol: float,
        *,
        trial: bool,
        kept: list[Kept] | None = None,
    ) -> Parts:
        """Return loss and gradient at x of the problems that starts names; up to one that fails.

        Each state is dropped before the next, unless it is to be appended to ``kept``: only one
        factor is alive. trial: whether it is an answer that state or adjoint fail.
        """
        parts: Parts = {}
        for i, start in starts.items():
            started = time.perf_counter()
            try:
                solved, h, value = self._evaluated(i, x, start, rtol)
            except SparseImplicitError as error:
                place = self._lower[i].place
                if not (trial and isinstance(error, FAILURES)):
                    raise (error if place is None else error.at(place)) from error.__cause__
                # Its text alone: the frames of its traceback would hold factors.
                told = [place, type(error).__name__, str(error).splitlines()[0]]
                work = Work.failed(error, time.perf_counter() - started)
                parts[i] = Failed(": ".join(filter(None, told)), work)
                return parts
            left = self.pass_on(solved)
            work = Work.of(h, time.perf_counter() - started)
            parts[i] = Part(value, h.gradient, left, work)
            if kept is not None:
                kept.append((solved, h))
            del solved, h
        return parts

    def _evaluated(
        self, i: int, x: Array, start: Start | None, rtol: float
    ) -> tuple[SolvedState, Hypergradient, float]:
        solved = self.state(i, x, start, rtol)
        h = hypergradient(self._lower[i].loss, solved, rtol=rtol)
        return solved, h, h.value - loss_error(solved, h.adjoint)
