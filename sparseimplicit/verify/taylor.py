"""The Taylor test: the one-number check of a gradient, or of a Hessian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..conditions import parameter_vector
from ..errors import ShapeError
from ..hypergradient import Loss, checked_loss, hypergradient
from ..implicit import ImplicitFunction, SolvedState
from ..linear.operator import Array, norm
from ..reduced_hessian import reduced_hessian

STEPS: Final = tuple(10.0 ** (-1 - k / 2) for k in range(8))
# Remainders below this part of |L| are rounding and the tolerance of the state.
FLOOR: Final = 1e-12


@dataclass(frozen=True)
class TaylorTable:
    """Remainders of F(x + h d) without and with F's derivatives, and their slopes.

    Attributes
    ----------
    steps, zeroth, first : arrays
        h, |F(x + h d) − F(x)| and |F(x + h d) − F(x) − h dF·d|; F is the loss L, or its gradient.
    second : array or None
        |L(x + h d) − L(x) − h dL/dx·d − ½h² dᵀHd|, where the Hessian H is tested.
    slopes : array
        Of the last of them in log–log, between neighbouring steps; NaN where rounding rules.
    slope : float
        Mean of the slopes at the smallest steps above rounding: ``order`` if what is tested is
        right, one less if it is wrong. NaN if all remainders are rounding: F is linear (or
        quadratic) along d, and ``exact`` is True if its derivatives agree.
    order : int
        2; 3 with ``second``.
    """

    steps: Array
    zeroth: Array
    first: Array
    slopes: Array
    slope: float
    exact: bool
    second: Array | None = None

    @property
    def order(self) -> int:
        """The slope of what is right."""
        return 2 if self.second is None else 3

    def __str__(self) -> str:
        """Return the table."""
        heads = ["|ΔF|", "|ΔF − h dF·d|", "|… − ½h² dᵀHd|"][: self.order]
        columns = [c for c in (self.zeroth, self.first, self.second) if c is not None]
        lines = ["         h" + "".join(f"   {head:<14}" for head in heads) + " slope"]
        for h, row, slope in zip(
            self.steps, np.stack(columns, axis=1), np.append(np.nan, self.slopes), strict=True
        ):
            shown = "" if np.isnan(slope) else f"{slope:6.3f}"
            lines.append(f"{h:10.2e}" + "".join(f"   {r:<14.2e}" for r in row) + shown)
        right = f"{self.order}: the derivative is right; {self.order - 1}: wrong"
        return "\n".join([*lines, f"slope {self.slope:.3f} ({right})"])


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
    hessian: bool = False,
) -> TaylorTable:
    """Test a hypergradient by its Taylor remainder, ``|L(x + h d) − L(x) − h dL/dx·d| = O(h²)``.

    With ``hessian`` test `reduced_hessian` too: ``|… − ½h² dᵀHd| = O(h³)``.

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
    hessian : bool
        Whether to take the Hessian too; the problem and the loss need second derivatives. This
        remainder is soon lost in rounding: `hessian_taylor` is the sharper test.

    Returns
    -------
    TaylorTable

    Notes
    -----
    Cost: one gradient and one state a step. Where L is nearly linear along d, take larger steps.
    """
    point, d, h = _line(x, direction, steps, seed, "verify.taylor")
    base = implicit.solve(point, y0, start=start, rtol=rtol)
    gradient = hypergradient(loss, base, rtol=rtol)
    values = [
        checked_loss(loss, moved.x, moved.y)[0]
        for moved in (implicit.solve(point + step * d, start=base, rtol=rtol) for step in h)
    ]
    change = np.array(values) - gradient.value
    first = np.abs(change - h * float(gradient.gradient @ d))
    noise = FLOOR * max(abs(gradient.value), float(np.max(np.abs(values))))
    second = None
    if hessian:
        product = reduced_hessian(loss, base, adjoint=gradient, rtol=rtol).apply(d)
        second = np.abs(change - h * (gradient.gradient @ d) - 0.5 * h**2 * (product @ d))
    slopes = _slopes(h, first if second is None else second, noise)
    return TaylorTable(h, np.abs(change), first, *slopes, second)


def hessian_taylor(
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
    """Test a Hessian by the change of the gradient, ``‖g(x + h d) − g(x) − h H d‖ = O(h²)``.

    Every entry of H d takes part, and rounding leaves more steps than in `taylor` of third order.

    Parameters
    ----------
    implicit, loss, x, y0, start, direction, steps, rtol, seed
        As for `taylor`; the problem and the loss with second derivatives.

    Returns
    -------
    TaylorTable
        Of the gradient: slope 2 for a right Hessian, 1 for a wrong one.

    Notes
    -----
    Cost: one Hessian-vector product, one state and one adjoint a step.
    """
    point, d, h = _line(x, direction, steps, seed, "verify.hessian_taylor")
    base = implicit.solve(point, y0, start=start, rtol=rtol)
    gradient = hypergradient(loss, base, rtol=rtol)
    product = reduced_hessian(loss, base, adjoint=gradient, rtol=rtol).apply(d)
    moved = [
        hypergradient(loss, implicit.solve(point + step * d, start=base, rtol=rtol), rtol=rtol)
        for step in h
    ]
    change = np.array([m.gradient - gradient.gradient for m in moved])
    zeroth = np.linalg.norm(change, axis=1)
    first = np.linalg.norm(change - h[:, None] * product, axis=1)
    noise = FLOOR * max(norm(gradient.gradient), *(norm(m.gradient) for m in moved))
    return TaylorTable(h, zeroth, first, *_slopes(h, first, noise))


def _line(x: Any, direction: Any, steps: Any, seed: int, where: str) -> tuple[Array, Array, Array]:
    """Return x, d and the steps, checked."""
    point = parameter_vector(x, "x")
    if direction is None:
        d = np.random.default_rng(seed).standard_normal(point.size)
        d *= (np.linalg.norm(point) or 1.0) / np.linalg.norm(d)
    else:
        d = parameter_vector(direction, "direction")
    h = np.asarray(steps, dtype=np.float64)
    if d.shape != point.shape or h.ndim != 1 or h.size < 2 or not (np.diff(h) < 0).all():
        raise ShapeError(
            f"direction has shape {d.shape}, x {point.shape}; steps must fall: {h}.", where=where
        )
    return point, d, h


def _slopes(h: Array, remainder: Array, noise: float) -> tuple[Array, float, bool]:
    """Return slopes, their mean at the smallest steps, and whether all is rounding."""
    clean = remainder > 30 * noise
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = np.diff(np.log(remainder)) / np.diff(np.log(h))
    slopes[~(clean[1:] & clean[:-1])] = np.nan
    known = slopes[~np.isnan(slopes)]
    slope = float(np.mean(known[-3:])) if known.size else float("nan")
    return slopes, slope, not clean.any()
