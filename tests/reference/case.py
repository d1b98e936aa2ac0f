"""Energies Σ_t Σ_e exp(x[s_e]) φ_t(R₁y + o₁, R₂y + o₂, …)_e with derivatives by sparse matrices.

The maps R_k are sparse matrices (E, n_y), φ comes with its own first and second derivatives,
written by hand; nothing here knows of local terms. All of it takes complex x and y, so that the
complex step of one derivative is an oracle for the next, third derivatives included.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

STEP = 1e-30


@dataclass(frozen=True, kw_only=True)
class Case:
    """A problem as a user writes it, a point, and its derivatives written by hand.

    ``objective`` is None for a root problem; ``first`` is g_y or the residual f, ``second`` is
    g_yy or f_y, ``cross`` is g_yx or f_x: sparse, rows y.
    """

    make: Callable[[], Any]
    x: Any
    y: Any
    objective: Callable[..., Any] | None
    first: Callable[..., Any]
    second: Callable[..., Any]
    cross: Callable[..., Any]


@dataclass(frozen=True)
class Part:
    """Σ_e exp(x[index_e]) φ(r_e), r_k = R_k y + o_k; index None: without a weight.

    φ takes r, (K, E), and returns values (E,), slopes (K, E) and curvatures (K, K, E).
    """

    maps: Sequence[Any]
    phi: Callable[..., Any]
    index: Any = None
    offsets: Any = 0.0

    def __call__(self, x, y):
        r = np.stack([m @ y for m in self.maps]) + self.offsets
        weight = np.ones(r.shape[1]) if self.index is None else np.exp(x[self.indices(r)])
        return weight, *self.phi(r)

    def indices(self, r):
        return np.broadcast_to(self.index, r.shape[1:])


def energy(make, parts, x, y):
    """Return the case of a sum of parts; ``parts`` is a list, or a function of x."""
    at = parts if callable(parts) else lambda x: parts

    def objective(x, y):
        total = 0.0
        for part in at(x):
            weight, value, _, _ = part(x, y)
            total = total + np.sum(weight * value)
        return total

    def first(x, y):
        total = 0.0
        for part in at(x):
            weight, _, slopes, _ = part(x, y)
            for m, slope in zip(part.maps, slopes, strict=True):
                total = total + m.T @ (weight * slope)
        return total

    def second(x, y):
        total = sparse.csr_array((y.size, y.size))
        for part in at(x):
            weight, _, _, curvatures = part(x, y)
            for m, row in zip(part.maps, curvatures, strict=True):
                for n, entry in zip(part.maps, row, strict=True):
                    total = total + m.T @ sparse.diags_array(weight * entry) @ n
        return sparse.csr_array(total)

    def cross(x, y):
        total = sparse.csr_array((y.size, x.size))
        for part in at(x):
            if part.index is not None:
                weight, _, slopes, _ = part(x, y)
                elements = np.arange(weight.size)
                select = sparse.csr_array(
                    (np.ones(weight.size), (elements, part.indices(slopes))),
                    shape=(weight.size, x.size),
                )
                for m, slope in zip(part.maps, slopes, strict=True):
                    total = total + m.T @ sparse.diags_array(weight * slope) @ select
        return sparse.csr_array(total)

    return Case(make=make, x=x, y=y, objective=objective, first=first, second=second, cross=cross)


def quadratic(r):
    """½ Σ r²."""
    return 0.5 * np.sum(r**2, axis=0), r, diagonal(np.ones_like(r))


def charbonnier(epsilon):
    """√(Σ r² + ε²)."""

    def phi(r):
        s = np.sqrt(np.sum(r**2, axis=0) + epsilon**2)
        return s, r / s, diagonal(np.ones_like(r) / s) - r[:, None] * r[None] / s**3

    return phi


def charbonnier_each(epsilon):
    """Σ_k √(r_k² + ε²)."""

    def phi(r):
        s = np.sqrt(r**2 + epsilon**2)
        return np.sum(s, axis=0), r / s, diagonal(epsilon**2 / s**3)

    return phi


def huber(delta):
    """|r|²/2δ where |r| < δ, |r| − δ/2 elsewhere."""

    def phi(r):
        square = np.sum(r**2, axis=0)
        inside = square.real < delta**2
        norm = np.sqrt(np.where(inside, delta**2, square))
        value = np.where(inside, square / (2 * delta), norm - delta / 2)
        rank_one = np.where(inside, 0.0, r[:, None] * r[None] / norm**3)
        return value, r / norm, diagonal(np.ones_like(r) / norm) - rank_one

    return phi


def student(r):
    """log(1 + ½ r²), of one response."""
    s = 1.0 + 0.5 * r**2
    return np.log1p(0.5 * r[0] ** 2), r / s, diagonal((1.0 - 0.5 * r**2) / s**2)


def logistic(r):
    """log(1 + exp(−r)), of one response."""
    s = 1.0 + np.exp(r)
    return np.log1p(np.exp(-r[0])), -1.0 / s, diagonal(np.exp(r) / s**2)


def log_strain(rest):
    """½ L log(|r|/L)², rest lengths L (E,): Hencky's bar, stiffness 1."""

    def phi(r):
        length = np.sqrt(np.sum(r**2, axis=0))
        n, strain = r / length, np.log(length / rest)
        force, stiffness = rest * strain / length, rest * (1.0 - strain) / length**2
        along = n[:, None] * n[None]
        across = diagonal(np.ones_like(r)) - along
        return 0.5 * rest * strain**2, force * n, stiffness * along + force / length * across

    return phi


def diagonal(entries):
    """Spread (K, E) over the diagonal of (K, K, E)."""
    return np.eye(entries.shape[0])[:, :, None] * entries[:, None, :]


def directional(function, point, direction):
    """Return d/dε function(point + ε direction), exact, by one complex step."""
    value = function(point + 1j * STEP * direction)
    return np.imag(value) / STEP if not sparse.issparse(value) else value.imag / STEP


def error(given, exact):
    """Return max|given − exact| / max|exact|; of two zeros, 0."""
    given, exact = dense(given), dense(exact)
    if given.shape != exact.shape:
        raise ValueError(f"shapes {given.shape} and {exact.shape}")
    scale = np.max(np.abs(exact), initial=0.0)
    return float(np.max(np.abs(given - exact), initial=0.0) / (scale or 1.0))


def dense(value):
    return value.toarray() if sparse.issparse(value) else np.asarray(value)
