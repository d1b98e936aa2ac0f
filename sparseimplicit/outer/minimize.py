"""Minimise an upper-level loss over the parameter, by scipy's L-BFGS-B."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..conditions import parameter_vector
from ..errors import ConfigError, ShapeError
from ..hypergradient import Loss, hypergradient
from ..implicit import ImplicitFunction, SolvedState, Start
from ..linear.operator import Array
from .bounds import limits_of
from .checkpoint import Checkpoint, Record
from .descent import Stopped, descend
from .history import Evaluation, Work


@dataclass(frozen=True)
class MinimizeResult:
    """The best parameter found.

    Attributes
    ----------
    x, value : array, float
    solved : SolvedState, or a tuple of them where several problems were given
    history : tuple of Evaluation
    work : tuple of Work
        What each lower-level problem took in this process, all evaluations together.
    converged : bool
        The projected gradient fell to ``stop_rtol`` of its first, or the loss no longer fell.
    message : str
        Why it stopped.
    """

    x: Array
    value: float
    solved: Any
    history: tuple[Evaluation, ...]
    work: tuple[Work, ...]
    converged: bool
    message: str


def minimize(
    loss: Loss | Sequence[Loss],
    implicit: ImplicitFunction | Sequence[ImplicitFunction],
    x0: Any,
    *,
    y0: Any = None,
    method: str = "L-BFGS-B",
    bounds: Any = None,
    gradient_rtol: float = 1e-6,
    stop_rtol: float = 1e-5,
    max_iterations: int = 100,
    checkpoint: str | Path | None = None,
    callback: Callable[[Evaluation], Any] | None = None,
) -> MinimizeResult:
    """Minimise ``Σᵢ Lᵢ(x, yᵢ(x))`` over x.

    Parameters
    ----------
    loss : callable or sequence of callables
        ``loss(x, y) -> (value, L_x, L_y)``; one for each lower-level problem.
    implicit : ImplicitFunction or sequence of them
        The lower-level problems, which share x.
    x0 : number or array, shape (n_x,)
    y0 : array, or a sequence of them
        First guess of the state(s) at x0.
    method : {"L-BFGS-B"}
    bounds : pair, or sequence of n_x pairs (low, high), optional
        None for no bound on a side.
    gradient_rtol : float
        rtol of every state and adjoint solve.
    stop_rtol : float
        Stop when the projected gradient has fallen to this fraction of its first size.
    max_iterations : int
    checkpoint : path, optional
        A folder. Every evaluation is written to it; if it holds evaluations of this run already,
        they are taken from it and the run goes on from there, with the same result to the bit.
    callback : callable, optional
        Called with the `Evaluation` after each. Raising ``StopIteration`` ends the run there.

    Returns
    -------
    MinimizeResult

    Raises
    ------
    NotConverged, ShapeError, NonFinite, ...
        From the lower level; evaluations made so far are in the checkpoint.
    ConfigError
        If the checkpoint belongs to another run.

    Notes
    -----
    Each state starts from the one before, each symbolic analysis is made once. Cost an
    evaluation: the state solves, one adjoint solve each. Source: Byrd, Lu, Nocedal, Zhu 1995.
    """
    if method != "L-BFGS-B":
        raise ConfigError(f"there is no method '{method}'.", fix="use 'L-BFGS-B'.")
    several = not isinstance(implicit, ImplicitFunction)
    implicits: list[ImplicitFunction] = list(implicit) if several else [implicit]  # type: ignore[arg-type,list-item]
    losses: list[Loss] = list(loss) if several else [loss]  # type: ignore[arg-type,list-item]
    guesses = list(y0) if several and y0 is not None else [y0] * len(implicits)
    if not len(losses) == len(implicits) == len(guesses) or not implicits:
        raise ShapeError(
            f"{len(losses)} losses, {len(implicits)} problems, {len(guesses)} first guesses.",
            where="minimize",
            fix="give one loss and one y0 for each lower-level problem.",
        )
    x = parameter_vector(x0, "x0")
    run = _Run(losses, implicits, guesses, gradient_rtol, checkpoint, callback)
    limits = limits_of(bounds, x)
    if limits is not None:
        x = np.clip(x, limits.lb, limits.ub)
    return run.minimize(x, limits, stop_rtol, max_iterations, several)


class _Run:
    """The function that L-BFGS-B sees, with what it hands from one evaluation to the next."""

    def __init__(
        self,
        losses: list[Loss],
        implicits: list[ImplicitFunction],
        guesses: list[Any],
        rtol: float,
        checkpoint: str | Path | None,
        callback: Callable[[Evaluation], Any] | None,
    ) -> None:
        self.losses, self.implicits, self.guesses, self.rtol = losses, implicits, guesses, rtol
        self.callback = callback
        self.checkpoint = None if checkpoint is None else Checkpoint(checkpoint)
        self.replay = [] if self.checkpoint is None else self.checkpoint.load()
        self.starts: tuple[Start | None, ...] = (None,) * len(implicits)
        self.history: list[Evaluation] = []
        self.work = [Work()] * len(implicits)
        self.best: tuple[float, Array] | None = None

    def minimize(
        self, x: Array, bounds: Any, stop_rtol: float, max_iterations: int, several: bool
    ) -> MinimizeResult:
        descent = descend(
            self.evaluate, x, bounds, settles=self.settles, stop_rtol=stop_rtol,
            max_iterations=max_iterations,
        )  # fmt: skip
        assert self.best is not None  # noqa: S101 - the first evaluation set it
        best_value, best_x = self.best
        solved = tuple(self.solve(best_x))
        return MinimizeResult(
            best_x, best_value, solved if several else solved[0], tuple(self.history),
            tuple(self.work), descent.converged, descent.message,
        )  # fmt: skip

    def settles(self, value: float, x: Array) -> bool:
        """Take a point for the best if its loss is, or differs by no more than its accuracy."""
        assert self.best is not None  # noqa: S101 - the first evaluation set it
        if value > self.best[0] + self.rtol * abs(self.best[0]):
            return False
        self.best = (value, x)
        return True

    def solve(self, x: Array) -> list[SolvedState]:
        return [
            implicit.solve(x, guess if start is None else None, start=start, rtol=self.rtol)
            for implicit, guess, start in zip(
                self.implicits, self.guesses, self.starts, strict=True
            )
        ]

    def evaluate(self, x: Array) -> tuple[float, Array]:
        index = len(self.history)
        take = self.replayed if index < len(self.replay) else self.computed
        evaluation, gradient = take(index, x)
        self.history.append(evaluation)
        if self.best is None or evaluation.value < self.best[0]:
            self.best = (evaluation.value, x.copy())
        if self.callback is not None:
            try:
                self.callback(evaluation)
            except StopIteration as stop:
                raise Stopped("the callback asked to stop", False) from stop
        return evaluation.value, gradient

    def replayed(self, index: int, x: Array) -> tuple[Evaluation, Array]:
        record = self.replay[index]
        if not np.array_equal(record.x, x):
            assert self.checkpoint is not None  # noqa: S101 - the records come from it
            raise ConfigError(
                f"{self.checkpoint.folder} is the checkpoint of another run: its evaluation "
                f"{index} was at another x.",
                where="minimize",
                fix="give the settings of that run, or another folder.",
            )
        if record.starts:
            self.starts = record.starts
        return _evaluation(index, x, record.value, record.gradient, None), record.gradient

    def computed(self, index: int, x: Array) -> tuple[Evaluation, Array]:
        value, gradient = 0.0, np.zeros_like(x)
        starts: list[Start] = []
        parts: list[Work] = []
        # One after the other, and each state dropped before the next: only one factor is alive.
        for loss, implicit, guess, start in zip(
            self.losses, self.implicits, self.guesses, self.starts, strict=True
        ):
            started = time.perf_counter()
            solved = implicit.solve(
                x, guess if start is None else None, start=start, rtol=self.rtol
            )
            h = hypergradient(loss, solved, rtol=self.rtol)
            starts.append(solved.handover())
            del solved
            value += h.value
            gradient += h.gradient
            parts.append(Work.of(h, time.perf_counter() - started))
        self.starts = tuple(starts)
        if self.checkpoint is not None:
            self.checkpoint.append(index, Record(x, value, gradient, tuple(starts)))
        self.work = [Work.total(pair) for pair in zip(self.work, parts, strict=True)]
        return _evaluation(index, x, value, gradient, Work.total(parts)), gradient


def _evaluation(
    index: int, x: Array, value: float, gradient: Array, work: Work | None
) -> Evaluation:
    norm = float(np.linalg.norm(gradient))
    return Evaluation(
        evaluation=index, x_mean=float(x.mean()), value=value, gradient_norm=norm, work=work
    )
