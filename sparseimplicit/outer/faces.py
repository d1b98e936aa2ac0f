"""A quadratic model within bounds and a trust region: CG on one face of the box after the other.

Projecting after a step in M, which couples the parameters, does not lead downhill, and its fixed
points are no minimisers. Here what is projected on the bounds are steps in the diagonal metric of
row sums, and steps of CG among the free parameters alone: two metrics, as in Bertsekas 1982.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..linear.operator import Array
from .bounds import Limits, clipped
from .inner import InnerProduct
from .point import Point
from .steihaug import BOUNDARY, CONVERGED, LIMIT, NEGATIVE, Inner, Product, steihaug

ENOUGH: Final = 0.01  # of the decrease that the slope promises
SHORTER: Final = 0.25  # what a step that lowers the model too little is cut to
CUTS: Final = 15
FACES: Final = 20


@dataclass(frozen=True)
class _At:
    """A point y of the box, H (y − x), and the model there."""

    y: Array
    h_s: Array
    model: float


class BoxModel:
    """``q(y) = gᵀ(y − x) + ½ (y − x)ᵀH(y − x)`` for y within the bounds.

    Parameters
    ----------
    product : callable
        v ↦ H v.
    point : Point
        x and g.
    limits : Bounds
    inner : InnerProduct
        M: preconditioner of CG and norm of the trust region.
    lumped : InnerProduct
        A diagonal one, in which projections are made.

    Notes
    -----
    Source: Lin, Moré, "Newton's method for large bound-constrained optimization problems", 1999
    (TRON), with CG preconditioned by the free rows and columns of M⁻¹.
    """

    def __init__(
        self, product: Product, point: Point, limits: Limits, inner: InnerProduct,
        lumped: InnerProduct,
    ) -> None:  # fmt: skip
        assert limits is not None  # noqa: S101 - without bounds there is one face
        self.product, self.x, self.g, self.limits = product, point.x, point.gradient, limits
        self.inner, self.lumped = inner, lumped

    def minimize(self, radius: float, reach: float, rtol: float, max_iterations: int) -> Inner:
        """Go from x to a face by a projected gradient step, and on by CG, face after face."""
        at, length = self._cauchy(radius, reach)
        iterations = 0
        end = CONVERGED
        for _ in range(FACES):
            free = self._free(at.y)
            left = max(radius - length, 0.1 * radius) if np.isfinite(radius) else radius
            found = steihaug(
                self.product, self.g + at.h_s, self._riesz_among(free), radius=left, reach=reach,
                rtol=rtol, max_iterations=max_iterations - iterations,
            )  # fmt: skip
            iterations += found.iterations
            if not found.s.any():
                end = found.end
                break
            moved = self._search(at, found)
            end = found.end
            if moved is None:
                break
            at, length = moved, self.inner.norm(moved.y - self.x)
            settled = np.array_equal(self._free(at.y), free)
            if settled or end in (BOUNDARY, NEGATIVE, LIMIT) or iterations >= max_iterations:
                break
        return Inner(at.y - self.x, at.h_s, iterations, end)

    def _free(self, y: Array) -> NDArray[np.bool_]:
        return np.asarray((y > self.limits.lb) & (y < self.limits.ub))

    def _riesz_among(self, free: NDArray[np.bool_]) -> Product:
        """Return the free rows and columns of M⁻¹: steps by it are among the free parameters."""
        return lambda v: np.where(free, self.inner.riesz(np.where(free, v, 0.0)), 0.0)

    def _at(self, y: Array, h_s: Array | None = None) -> _At:
        s = y - self.x
        h_s = self.product(s) if h_s is None else h_s
        return _At(y, h_s, float(self.g @ s + 0.5 * (s @ h_s)))

    def _cauchy(self, radius: float, reach: float) -> tuple[_At, float]:
        """Return P(x − t D⁻¹ g) with t from the curvature, cut until the model has fallen."""
        v = -self.lumped.riesz(self.g)
        v[(v < 0) & (self.x <= self.limits.lb) | (v > 0) & (self.x >= self.limits.ub)] = 0.0
        h_v, size = self.product(v), self.inner.norm(v)
        curvature, most = float(v @ h_v), (radius if np.isfinite(radius) else np.inf) / size
        t = -float(self.g @ v) / curvature if curvature > 0 else np.inf
        t = min(t, most)
        t = t if np.isfinite(t) else reach / size
        for _ in range(CUTS):
            y = clipped(self.x + t * v, self.limits)
            whole = np.array_equal(y, self.x + t * v)
            at = self._at(y, t * h_v if whole else None)
            if at.model <= ENOUGH * float(self.g @ (y - self.x)):
                break
            t *= SHORTER
        return at, self.inner.norm(at.y - self.x)

    def _search(self, at: _At, found: Inner) -> _At | None:
        """Return P(y + t w) with the model lower than at y; None if there is none."""
        slope = self.g + at.h_s
        t = 1.0
        for _ in range(CUTS):
            straight = at.y + t * found.s
            y = clipped(straight, self.limits)
            whole = np.array_equal(y, straight)
            trial = self._at(y, at.h_s + t * found.h_s if whole else None)
            if trial.model < at.model and trial.model <= at.model + ENOUGH * float(
                slope @ (trial.y - at.y)
            ):
                return trial
            t *= SHORTER
        return None
