"""How a stage of training goes: over all images by L-BFGS-B, or over some at a time by Adam."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, ClassVar, NoReturn

import numpy as np

from ...errors import ShapeError
from ...linear.operator import Array
from ...packing import Packing


@dataclass(frozen=True)
class Accuracy:
    """rtol of the state and adjoint solves of step k: from ``first`` to ``last`` in ``over`` steps.

    ``first (last / first)^(k / over)``, and ``last`` from then on. With one number it is constant.
    """

    first: float
    last: float | None = None
    over: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.final <= self.first < 1 or self.over < 1:
            raise ShapeError(
                f"accuracies from {self.first} to {self.final} in {self.over} steps.",
                where="Accuracy",
                fix="give 1 > first ≥ last > 0, and at least one step.",
            )

    @property
    def final(self) -> float:
        """The rtol of the last steps."""
        return self.first if self.last is None else self.last

    def at(self, step: int) -> float:
        """Return the rtol of a step, counted from 0."""
        share = min(step / self.over, 1.0)
        return self.final if share == 1.0 else self.first * (self.final / self.first) ** share


@dataclass(frozen=True, kw_only=True)
class FullBatch:
    """All images in every step, by L-BFGS-B.

    Parameters
    ----------
    max_iterations : int
    stop_rtol : float
        Stop when the projected gradient has fallen to this fraction of its first size.
    memory : int
        Pairs that L-BFGS-B keeps.
    accuracy : Accuracy
        By evaluation. A descent that ends before the last accuracy is reached goes on at it.
    error_every : int
        Every so many evaluations the error of the gradient is estimated, which costs as much
        again; 0 never does.
    scales : mapping of str to float
        Units of blocks of θ: one that is to move in steps of 0.1 where others move by 1 gets 0.1.
    """

    method: ClassVar[str] = "l-bfgs"
    max_iterations: int = 50
    stop_rtol: float = 1e-4
    memory: int = 20
    accuracy: Accuracy = Accuracy(1e-6)
    error_every: int = 10
    scales: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self, ("max_iterations", "memory"), ("stop_rtol",))

    @property
    def most_steps(self) -> int:
        """Evaluations that are to be reckoned with."""
        return int(1.2 * self.max_iterations) + 1


@dataclass(frozen=True, kw_only=True)
class Minibatch:
    """Some images in every step, by Adam.

    Parameters
    ----------
    steps : int
    batch : int
        Images a step, B. Part r of the images are those of number r, r + B, …; each step takes
        one of each: an epoch visits every image once, but for a rest when the sizes do not fit.
    rate, last_rate : float
        Length of a step in every parameter, in units of its scale: from the first to the last,
        along half a cosine.
    seed : int
        Epoch e draws its order by ``default_rng([seed, e])``.
    decay_mean, decay_square, epsilon : float
        β₁, β₂ and ε of Adam.
    accuracy, error_every, scales
        As for `FullBatch`.
    """

    method: ClassVar[str] = "adam"
    steps: int = 100
    batch: int = 32
    rate: float = 0.05
    last_rate: float = 0.0
    seed: int = 0
    decay_mean: float = 0.9
    decay_square: float = 0.999
    epsilon: float = 1e-8
    accuracy: Accuracy = Accuracy(1e-4)
    error_every: int = 10
    scales: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self, ("steps", "batch"), ("rate",))
        for name in ("last_rate", "epsilon"):
            if not 0.0 <= getattr(self, name) < np.inf:
                _refuse(self, name, "give a number ≥ 0")
        for name in ("decay_mean", "decay_square"):
            if not 0.0 <= getattr(self, name) < 1.0:
                _refuse(self, name, "give a number from 0 to below 1")

    @property
    def most_steps(self) -> int:
        """Steps that are to be reckoned with."""
        return self.steps

    def rate_at(self, step: int) -> float:
        """Return the rate of a step, counted from 0."""
        share = 0.5 * (1.0 + np.cos(np.pi * step / self.steps))
        return float(self.last_rate + (self.rate - self.last_rate) * share)

    def batch_of(self, count: int, step: int) -> list[int]:
        """Return the images of a step, in ascending order, out of ``count``."""
        size = min(self.batch, count)
        epoch, k = divmod(step, count // size)
        random = np.random.default_rng([self.seed, epoch])
        parts = [range(first, count, size) for first in range(size)]
        return sorted(part[int(random.permutation(len(part))[k])] for part in parts)


Stage = FullBatch | Minibatch


def _check(stage: Stage, counts: tuple[str, ...], positive: tuple[str, ...]) -> None:
    for name in counts:
        value: Any = getattr(stage, name)
        if not isinstance(value, Integral) or value is True or int(value) < 1:
            _refuse(stage, name, "give a whole number ≥ 1")
    for name in positive:
        value = getattr(stage, name)
        if not isinstance(value, Real) or not 0.0 < float(value) < np.inf:
            _refuse(stage, name, "give a positive number")


def _refuse(stage: Stage, name: str, fix: str) -> NoReturn:
    where = type(stage).__name__
    raise ShapeError(f"{name} is {getattr(stage, name)!r}.", where=where, fix=f"{fix}.")


def units(
    scales: Mapping[str, float], packing: Packing, *, of_map: tuple[int, int] | None = None
) -> Array:
    """Return the unit of each parameter, (n_x,).

    of_map : the shape of a block whose unit is √(pixels) as well: lengths are then those of mean
        squares, whatever the resolution, and a first step of length 1 moves every pixel.

    Raises
    ------
    ShapeError
        If a block is not there, or a scale is not positive.
    """
    unit = np.ones(packing.size)
    for name, shape in packing.shapes.items():
        if of_map is not None and shape == of_map:
            unit[packing.slice(name)] = np.sqrt(np.prod(shape))
    for name, scale in scales.items():
        if not 0 < scale < np.inf:
            raise ShapeError(f"the scale of block '{name}' is {scale}.", where="a stage")
        unit[packing.slice(name)] *= scale
    return unit


@dataclass(frozen=True, eq=False)
class Moments:
    """Adam's running means of the gradient and of its square, after ``steps`` steps."""

    mean: Array
    square: Array
    steps: int = 0

    def advance(self, gradient: Array, stage: Minibatch) -> tuple[Moments, Array]:
        """Return the moments after one more gradient, and the step, (n_x,), before the rate.

        ``m̂ / (√v̂ + ε)``, with m̂ = m / (1 − β₁ᵏ), v̂ = v / (1 − β₂ᵏ).
        Source: Kingma and Ba 2015, alg. 1.
        """
        b1, b2, k = stage.decay_mean, stage.decay_square, self.steps + 1
        mean = b1 * self.mean + (1.0 - b1) * gradient
        square = b2 * self.square + (1.0 - b2) * gradient**2
        step = (mean / (1.0 - b1**k)) / (np.sqrt(square / (1.0 - b2**k)) + stage.epsilon)
        return Moments(mean, square, k), step
