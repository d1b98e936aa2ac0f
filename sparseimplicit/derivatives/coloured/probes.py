"""One random product says whether a matrix made by colours is the Jacobian that it should be.

An entry that the pattern misses is silent otherwise: it is lost, or added to another entry of its
row. Every matrix is probed, not the first alone: an entry may be 0 where Newton's method starts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import StructureError
from .differences import CentralDifferences
from .patterns import Indices, Pattern
from .steps import Array, Step

SUSPECTS = 8  # rows looked into: with differences, a kink makes rows suspicious that are right


def direction(n: int) -> Array:
    """Return the random direction of all probes."""
    return np.random.default_rng(2).standard_normal(n)


def probe(
    step: Step, x: Array, y: Array, matrix: Any, pattern: Pattern, truth: Array, kinks: Any,
    name: str,
) -> None:  # fmt: skip
    """Compare J v with the directional derivative, row by row, for a random v.

    Parameters
    ----------
    step : Step
    x, y : arrays
    matrix : csr_array
        J.
    pattern : Pattern
    truth, kinks : arrays, shape (n_y,)
        The derivative along `direction`, and the rows in which it need not be linear.
    name : str

    Raises
    ------
    StructureError
        With the relative error, and one of the missing entries, found by bisection.

    Notes
    -----
    Cost: one product; log₂ n directional derivatives before it raises.
    """
    v = direction(pattern.shape[1])
    error = np.abs(matrix @ v - truth)
    scale = abs(matrix) @ np.abs(v) + np.abs(truth)
    suspicious = error > step.tolerance * scale
    if not suspicious.any():
        return
    relative = float(np.linalg.norm(error) / np.linalg.norm(truth)) if truth.any() else np.inf
    ratio = np.divide(error, scale, out=np.zeros_like(error), where=scale > 0)
    for row in np.argsort(-ratio)[: min(SUSPECTS, int(suspicious.sum()))]:
        entry = _missing(step, x, y, pattern, int(row), step.tolerance * float(scale[row]))
        if entry is not None:
            column, value = entry
            raise StructureError(
                f"pattern misses entries: {_product(name)} by "
                f"{relative:.1e}, in {int(suspicious.sum())} rows. One is missing in row {row}, "
                f"column {column}: {value:.3g}.",
                where=name,
                fix="add the places that are missing; explicit zeros of a sparse matrix count. "
                "A pattern found by NaN misses what stands behind comparisons: give it then.",
            )
    if (suspicious & ~kinks).any() and not isinstance(step, CentralDifferences):
        raise StructureError(
            f"{_product(name)} by {relative:.1e}, and no entry "
            f"outside of the pattern is to blame (row {int(np.argmax(ratio))}).",
            where=name,
            fix=f"{step.name} must return the same values whenever it is called with the same "
            "arguments, and must not change them.",
        )


def _product(name: str) -> str:
    if name == "hessian":
        return "H v differs from the true Hessian-vector product"
    letter = "A" if name == "state_jacobian" else "B"
    return f"{letter} v differs from the true Jacobian-vector product"


def _missing(
    step: Step, x: Array, y: Array, pattern: Pattern, row: int, tolerance: float
) -> tuple[int, float] | None:
    """Return column and value of an entry of this row outside of the pattern, or None."""
    outside = np.ones(pattern.shape[1], bool)
    outside[pattern.columns_of(row)] = False
    columns = np.flatnonzero(outside)
    v = np.random.default_rng(3).standard_normal(pattern.shape[1])

    def response(some: Indices) -> float:
        seed = np.zeros(v.size)
        seed[some] = v[some]
        return float(step.along(x, y, seed)[row]) if some.size else 0.0

    if abs(response(columns)) <= tolerance:
        return None
    while columns.size > 1:
        left, right = np.array_split(columns, 2)
        columns = left if abs(response(left)) >= abs(response(right)) else right
    return int(columns[0]), response(columns) / float(v[columns[0]])
