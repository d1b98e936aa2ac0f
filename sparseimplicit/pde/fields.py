"""Fields at a point as a weak form sees them, and the operations of vector calculus on them.

Plain numpy works on them (``np.exp(m) * (u.grad @ v.grad)``); the functions here are the usual
words for it. ``grad(u)[i, j]`` is ∂u_i/∂x_j.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..derivatives.tracing.values import Vector, determinant
from ..errors import StructureError


class Field(Vector):
    """The value of a field at a point, a number or a vector; its derivatives are attributes."""

    _derivatives: Mapping[str, Any]

    def __array_finalize__(self, other: Any) -> None:
        """Forget the derivatives: what is computed from a field has none."""
        self._derivatives = {}

    def __getattr__(self, name: str) -> Any:
        """Return a derivative: grad, or another that the element has."""
        if name in DERIVATIVES:
            return _known(self, name)
        raise AttributeError(name)


DERIVATIVES = ("grad", "div", "curl", "hess")


def _known(u: Any, name: str) -> Any:
    """Return a derivative of a field, or say that it has none."""
    known: dict[str, Any] = getattr(u, "_derivatives", {})
    if name in known:
        return known[name]
    if (
        name == "div" and "grad" in known and np.ndim(known["grad"]) == 2
    ):  # of an element without its own
        return trace(known["grad"])
    raise StructureError(
        f"'{name}' is not known of this; known derivatives: {', '.join(known) or 'none'}.",
        where="weak form",
        fix="take it of a state, a test function, a control or interpolated data, not of an "
        "expression: apply the product rule by hand.",
    )


def field(value: Any, derivatives: Mapping[str, Any]) -> Field:
    """Return a field of this value (a number or an array of them), with these derivatives."""
    box = np.empty(np.shape(value), dtype=object)
    box[...] = value
    made = box.view(Field)
    made._derivatives = dict(derivatives)
    return made


def grad(u: Any) -> Any:
    """Return ∇u: (d,) of a scalar field, (c, d) of one of c components."""
    return _known(u, "grad")


def div(u: Any) -> Any:
    """Return ∇ · u of a vector field."""
    return _known(u, "div")


def sym_grad(u: Any) -> Any:
    """Return ½ (∇u + ∇uᵀ)."""
    slopes = _known(u, "grad")
    return 0.5 * (slopes + slopes.T)


def dot(a: Any, b: Any) -> Any:
    """Return a · b of two vectors, or the product of a matrix and a vector."""
    return np.asarray(a).view(Vector) @ np.asarray(b).view(Vector)


def inner(a: Any, b: Any) -> Any:
    """Return Σ a_ij b_ij, over all axes: of numbers, vectors or matrices."""
    return np.sum(np.asarray(a).view(Vector) * np.asarray(b).view(Vector))


def trace(a: Any) -> Any:
    """Return Σ a_ii of a matrix."""
    total = a[0, 0]
    for i in range(1, a.shape[0]):
        total = total + a[i, i]
    return total


def det(a: Any) -> Any:
    """Return the determinant of a matrix, up to 3 × 3."""
    return determinant(a)
