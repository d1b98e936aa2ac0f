"""Conjugate gradients on a quadratic model, within a trust region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from ..linear.operator import Array

Product = Callable[[Array], Array]
FLAT: Final = 1e-14  # of the first curvature: what one of them must exceed to count as positive

CONVERGED, BOUNDARY, NEGATIVE, LIMIT = "converged", "boundary", "negative curvature", "limit"


@dataclass(frozen=True)
class Inner:
    """Where CG ended: the step s, H s, the iterations, and why."""

    s: Array
    h_s: Array
    iterations: int
    end: str


def steihaug(
    product: Product,
    gradient: Array,
    riesz: Product,
    *,
    radius: float,
    reach: float,
    rtol: float,
    max_iterations: int,
) -> Inner:
    """Minimise ``gᵀs + ½ sᵀH s`` over ``‖s‖_M ≤ radius``, to ``‖g + H s‖_{M⁻¹} ≤ rtol ‖g‖_{M⁻¹}``.

    Parameters
    ----------
    product, riesz : callables
        v ↦ H v, and g ↦ M⁻¹ g, the preconditioner that is also the metric of the trust region.
    gradient : array, shape (n_x,)
    radius : float
        May be infinite.
    reach : float
        Length of the step along a direction of negative curvature where the radius is infinite.
    rtol : float
    max_iterations : int

    Notes
    -----
    Cost an iteration: one product with H, one with M⁻¹; the norm of s comes by recurrence.
    Source: Steihaug 1983; Conn, Gould, Toint, Trust-Region Methods, 2000, alg. 7.5.1.
    """
    s, h_s, r = np.zeros_like(gradient), np.zeros_like(gradient), gradient.copy()
    z = riesz(r)
    rz = first = float(r @ z)
    p = -z
    ss, sp, pp = 0.0, 0.0, rz  # sᵀMs, sᵀMp, pᵀMp
    least = 0.0
    for iteration in range(max_iterations):
        if rz <= rtol * rtol * first:
            return Inner(s, h_s, iteration, CONVERGED)
        h_p = product(p)
        curvature = float(p @ h_p)
        negative = curvature <= least * pp
        least = least or FLAT * curvature / pp
        longer = np.inf if negative else ss + (rz / curvature) * (2 * sp + (rz / curvature) * pp)
        if negative or longer >= radius * radius:
            limit = radius if np.isfinite(radius) else max(reach, 2 * np.sqrt(ss))
            t = (np.sqrt(sp * sp + pp * (limit * limit - ss)) - sp) / pp
            end = NEGATIVE if negative else BOUNDARY
            return Inner(s + t * p, h_s + t * h_p, iteration + 1, end)
        alpha = rz / curvature
        s, h_s, r = s + alpha * p, h_s + alpha * h_p, r + alpha * h_p
        z = riesz(r)
        before, rz, ss = rz, float(r @ z), longer
        beta = rz / before
        p = beta * p - z
        sp, pp = beta * (sp + alpha * pp), rz + beta * beta * pp
    return Inner(s, h_s, max_iterations, CONVERGED if rz <= rtol * rtol * first else LIMIT)
