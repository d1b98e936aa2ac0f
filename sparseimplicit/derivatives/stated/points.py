"""Terms that are sums over points inside each element: the quadrature of finite elements.

``Σ_e Σ_q φ(y[Y_e], x[X_e], c_e, p_eq)``: the sum over q is a loop inside that over elements, so
that one point alone is unrolled, what does not depend on q is computed once an element, and an
element's numbers are added to their places once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import NonFinite, ShapeError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Points:
    """The numbers of the points of all elements.

    table : array (Q, s)
        Those that are the same in every element.
    each : array (E, Q, r)
        Those of a point of an element.
    inputs : tuple of ("q", column of the table) or ("e", column of each)
        In the order in which φ sees them.
    """

    table: Array
    each: Array
    inputs: tuple[tuple[str, int], ...]

    @property
    def count(self) -> int:
        """Number Q of points of an element."""
        return int(self.table.shape[0])

    def flat(self, name: str, column: int) -> Array:
        """Return one number of every point, element after element, (E Q,)."""
        if name == "q":
            return np.tile(self.table[:, column], self.each.shape[0])
        return self.each[:, :, column].reshape(-1)


def points_of(given: Any, elements: int, where: str) -> Points | None:
    """Return points as stated: arrays (Q, s) or (E, Q, r), or a list of them; None if none are."""
    if given is None:
        return None
    pieces: Sequence[Any] = given if isinstance(given, list | tuple) else [given]
    arrays = [np.asarray(piece) for piece in pieces]
    for array in arrays:
        if array.dtype.kind not in "fiub" or array.ndim not in (2, 3):
            raise ShapeError(
                f"points= must be real numbers of shape (points, s) or (elements, points, r), got "
                f"{array.dtype} of shape {array.shape}.",
                where=where,
            )
        if array.ndim == 3 and array.shape[0] != elements:
            raise ShapeError(
                f"points= has {array.shape[0]} elements, y= has {elements}.", where=where
            )
        if not np.isfinite(array).all():
            raise NonFinite("points= holds NaN or inf.", where=where)
    counts = {array.shape[-2] for array in arrays}
    if len(counts) != 1 or counts == {0}:
        raise ShapeError(
            f"points= has {sorted(counts) or 'no'} points an element.",
            where=where,
            fix="give arrays of one and the same number of points, at least 1.",
        )
    (count,) = counts
    inputs: list[tuple[str, int]] = []
    columns = {"q": 0, "e": 0}
    for array in arrays:
        name = "q" if array.ndim == 2 else "e"
        inputs += [(name, columns[name] + j) for j in range(array.shape[-1])]
        columns[name] += array.shape[-1]
    table = np.hstack([np.empty((count, 0)), *(a for a in arrays if a.ndim == 2)])
    each = np.concatenate(
        [np.empty((elements, count, 0)), *(a for a in arrays if a.ndim == 3)], axis=2
    )
    return Points(np.ascontiguousarray(table), np.ascontiguousarray(each), tuple(inputs))
