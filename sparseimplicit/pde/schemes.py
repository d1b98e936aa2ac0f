"""Time-stepping formulas: how a step's equation is made of the mass matrix and the rates.

Step k, from t_{k−1} to t_k with h = t_k − t_{k−1}, is

    c_k = Σⱼ aⱼ M y_{k−j} + h Σᵢ bᵢ r(τᵢ, x, zᵢ) = 0,    zᵢ = Σⱼ wᵢⱼ y_{k−j}    j = 0, …, memory

The first rate is the one that holds y_k; the others are known before the step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

import numpy as np

from ..errors import ConfigError
from ..linear.operator import Array


@dataclass(frozen=True)
class Rate:
    """One rate of a step: b, the time τ, and w, the newest first."""

    weight: float
    time: float
    states: tuple[float, ...]


@dataclass(frozen=True)
class Formula:
    """One step: a, the newest first, and the rates."""

    masses: tuple[float, ...]
    rates: tuple[Rate, ...]


class Scheme(ABC):
    """A formula for every step. ``memory``: how many earlier states it looks back on."""

    name: str
    memory: int

    @abstractmethod
    def formula(self, k: int, times: Array, lengths: Array) -> Formula:
        """Return the coefficients of step k = 1, …, N, whose length is ``lengths[k − 1]``."""


class Theta(Scheme):
    """``M (y_k − y_{k−1}) + h [θ r_k + (1 − θ) r_{k−1}] = 0``.

    Parameters
    ----------
    theta : float
        In (0, 1]: 1 is implicit Euler (order 1, L-stable), ½ Crank–Nicolson (order 2, A-stable).

    Raises
    ------
    ConfigError
        If theta lies elsewhere; 0 would be explicit.
    """

    memory = 1

    def __init__(self, theta: float) -> None:
        if not 0.0 < theta <= 1.0:
            raise ConfigError(
                f"theta is {theta}.",
                where="pde.Theta",
                fix="give 0 < theta ≤ 1: 1 for implicit Euler, 0.5 for Crank–Nicolson.",
            )
        self.theta: Final = float(theta)
        self.name = {1.0: "implicit-euler", 0.5: "crank-nicolson"}.get(theta, f"theta {theta:g}")

    def formula(self, k: int, times: Array, lengths: Array) -> Formula:
        """Return a = (1, −1), b = (θ, 1 − θ)."""
        new, old = float(times[k]), float(times[k - 1])
        rates = (Rate(self.theta, new, (1.0,)), Rate(1.0 - self.theta, old, (0.0, 1.0)))
        return Formula((1.0, -1.0), rates if self.theta < 1.0 else rates[:1])


class Midpoint(Scheme):
    """``M (y_k − y_{k−1}) + h r(t_{k−½}, x, (y_k + y_{k−1})/2) = 0``: order 2, A-stable.

    For linear r it is Crank–Nicolson, but with data and controls taken at the middle of each step.
    A control that is constant in each step then has λ_k for its multiplier, and is of order 2 too;
    at the ends of a trapezoid it would be of order 1.
    """

    name = "midpoint"
    memory = 1

    def formula(self, k: int, times: Array, lengths: Array) -> Formula:
        """Return a = (1, −1), b = 1, w = (½, ½)."""
        middle = 0.5 * float(times[k] + times[k - 1])
        return Formula((1.0, -1.0), (Rate(1.0, middle, (0.5, 0.5)),))


class BDF2(Scheme):
    """Two steps back, of variable length: with ω = h_k/h_{k−1},

    ``(1 + 2ω)/(1 + ω) M y_k − (1 + ω) M y_{k−1} + ω²/(1 + ω) M y_{k−2} + h r_k = 0``.

    The first step is implicit Euler's; its error of second order, once, leaves the order at 2.
    Zero-stable while ω < 1 + √2. Source: Hairer, Nørsett, Wanner 1993, III.5, eq. (5.12).
    """

    name = "bdf2"
    memory = 2

    def formula(self, k: int, times: Array, lengths: Array) -> Formula:
        """Return the coefficients for the two last step lengths."""
        rates = (Rate(1.0, float(times[k]), (1.0,)),)
        if k == 1:
            return Formula((1.0, -1.0), rates)
        ratio = float(lengths[k - 1] / lengths[k - 2])
        newest = (1.0 + 2.0 * ratio) / (1.0 + ratio)
        return Formula((newest, -(1.0 + ratio), ratio**2 / (1.0 + ratio)), rates)


SCHEMES: Final = ("implicit-euler", "crank-nicolson", "midpoint", "bdf2")


def scheme_named(scheme: str | Scheme) -> Scheme:
    """Return a scheme by its name, or itself."""
    if isinstance(scheme, Scheme):
        return scheme
    if scheme == "implicit-euler":
        return Theta(1.0)
    if scheme == "crank-nicolson":
        return Theta(0.5)
    if scheme == "midpoint":
        return Midpoint()
    if scheme == "bdf2":
        return BDF2()
    raise ConfigError(
        f"there is no scheme {scheme!r}.",
        where="pde.TimeStepping",
        fix=f"use one of {', '.join(SCHEMES)}, or pde.Theta(theta).",
    )


def step_lengths(times: Array) -> Array:
    """Return h, (N,), where lengths that differ by rounding of the times alone are made equal.

    Then one factorization serves all steps of an even grid.
    """
    h = np.diff(times)
    rounding = 4.0 * float(np.finfo(float).eps) * float(np.abs(times).max())
    order = np.argsort(h, kind="stable")
    alike = order[0]
    for k in order:
        if h[k] - h[alike] > rounding:
            alike = k
        h[k] = h[alike]
    return h
