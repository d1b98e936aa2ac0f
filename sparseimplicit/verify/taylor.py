"""The Taylor test: the one-number check of a gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..conditions import parameter_vector
from ..errors import ShapeError
from ..hypergradient import Loss, checked_loss, hypergradient
from ..implicit import ImplicitFunction, SolvedState
from ..linear.operator import Array

STEPS: Final = tuple(10.0 ** (-1 - k / 2) for k in range(8))
# Remainders below this part of |L| are rounding and the tolerance of the state.
FLOOR: Final = 1e-12


@dataclass(frozen=True)
class TaylorTable:
    """Remainders |L(x + h d) − L(x)| and |L(x + h d) − L(x) − h dL/dx·d|, and their slopes.

    Attributes
    ----------
    steps, zeroth, first : arrays
        h and the two remainders.
    slopes : array
        Of ``first`` in log–log, between neighbouring steps; NaN where rounding rules.
    slope : float
        Mean of the slopes at the smallest steps above rounding: 2 for a right gradient, 1 for a
        wrong one. NaN if all remainders are rounding: L is linear along d, and ``exact`` is True
        if the gradient agrees.
    """

    steps: Array
    zeroth: Array
    first: Array
    slopes: Array
    slope: float
    exact: bool

    def __str__(self) -> str:
        """Return the table."""
        lines = ["         h   |ΔL|       |ΔL − h g·d|   slope"]
        padded = np.append(np.nan, self.slopes)
        for h, zero, one, slope in zip(self.steps, self.zeroth, self.first, padded, strict=True):
            shown = "" if np.isnan(slope) else f"{slope:7.3f}"
            lines.append(f"{h:10.2e}   {zero:.2e}   {one:.2e}     {shown}")
        return "\n".join([*lines, f"slope {self.slope:.3f} (2: the gradient is right; 1: wrong)"])


def taylor(
    implicit: ImplicitFunction,
    loss: Loss,
    x: Any,
    *,
    y0: Any = None,
    start: SolvedState | None = None,
    direction: Any = None,
    steps: Any = STEPS,
    rtol: float = 1e-12,
    seed: int = 0,
) -> TaylorTable:
    """Test a hypergradient by its Taylor remainder, ``|L(x + h d) − L(x) − h dL/dx·d| = O(h²)``.

    Parameters
    ----------
    implicit, loss, x
        As for `hypergradient`.
    y0, start
        As for `ImplicitFunction.solve`; one of them is needed.
    direction : array, shape (n_x,), optional
        d; random if not given, of the size of x (of 1 where x is 0).
    steps : sequence of float
        Falling values of h.
    rtol : float
        Of the states and the adjoint; tight, as its error is a remainder too.
    seed : int
        Of the random direction.

    Returns
    -------
    TaylorTable

    Notes
    -----
    Cost: one gradient and one state a step. Where L is nearly linear along d, take larger steps.
    """
    point = parameter_vector(x, "x")
    if direction is None:
        d = np.random.default_rng(seed).standard_normal(point.size)
        d *= (np.linalg.norm(point) or 1.0) / np.linalg.norm(d)
    else:
        d = parameter_vector(direction, "direction")
    h = np.asarray(steps, dtype=np.float64)
    if d.shape != point.shape or h.ndim != 1 or h.size < 2 or not (np.diff(h) < 0).all():
        raise ShapeError(
            f"direction has shape {d.shape}, x {point.shape}; steps must fall: {h}.",
            where="verify.taylor",
        )
    base = implicit.solve(point, y0, start=start, rtol=rtol)
    gradient = hypergradient(loss, base, rtol=rtol)
    values = [
        checked_loss(loss, moved.x, moved.y)[0]
        for moved in (implicit.solve(point + step * d, start=base, rtol=rtol) for step in h)
    ]
    change = np.array(values) - gradient.value
    first = np.abs(change - h * float(gradient.gradient @ d))
    noise = FLOOR * max(abs(gradient.value), float(np.max(np.abs(values))))
    clean = first > 30 * noise
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = np.diff(np.log(first)) / np.diff(np.log(h))
    slopes[~(clean[1:] & clean[:-1])] = np.nan
    known = slopes[~np.isnan(slopes)]
    slope = float(np.mean(known[-3:])) if known.size else float("nan")
    return TaylorTable(h, np.abs(change), first, slopes, slope, not clean.any())
