"""Norms of vectors of any size."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..kernels.vectors import dots

Array = NDArray[np.float64]

SAFE: Final = 1e-200  # a sum of squares from here to its inverse has lost nothing that counts


def column_norms(b: Array) -> Array:
    """Return the Euclidean norms of the columns; entries of 1e±200 neither overflow nor vanish."""
    b = np.ascontiguousarray(b, dtype=np.float64)
    squares = dots(b, b)
    if ((squares > SAFE) & (squares < 1.0 / SAFE)).all():
        return np.asarray(np.sqrt(squares))
    largest = np.max(np.abs(b), axis=0, initial=0.0)
    unit = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    return np.asarray(np.linalg.norm(b / unit, axis=0) * unit)


def norm(v: Array) -> float:
    """Return the Euclidean norm of a vector; see `column_norms`."""
    return float(column_norms(v[:, None])[0])
