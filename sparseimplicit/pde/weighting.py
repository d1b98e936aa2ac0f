"""Matrices of quadratic losses, checked where they are given."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from ..errors import NonFinite, ShapeError, StructureError
from ..kernels.csr import first_asymmetry

# Assembled entries (i, j) and (j, i) are sums in another order: apart by some roundings.
ROUNDING = 1e-11


def symmetric_matrix(given: Any, name: str, where: str) -> sparse.csr_array:
    """Return Q of a term ½ vᵀ Q v as CSR; refuse it where Q v is not its gradient.

    Raises
    ------
    StructureError
        If it has no entries, complex ones, or is not symmetric, with the first pair of entries
        that differ by more than rounding (1e-11 of the largest of their rows).
    ShapeError, NonFinite
    """
    if not (sparse.issparse(given) or isinstance(given, np.ndarray)) or given.dtype.kind not in (
        "fiub"
    ):
        kind = getattr(given, "dtype", type(given).__name__)
        raise StructureError(
            f"{name} must be a real sparse matrix, got {kind}.",
            where=where,
            fix="give pde.mass(basis), pde.h1(basis), or a scipy.sparse array.",
        )
    if given.ndim != 2 or given.shape[0] != given.shape[1]:
        raise ShapeError(f"{name} has shape {given.shape}; it must be square.", where=where)
    matrix = sparse.csr_array(given, dtype=np.float64)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    if not np.isfinite(matrix.data).all():
        raise NonFinite(f"{name} holds NaN or infinity.", where=where)
    row, column = first_asymmetry(matrix.indptr, matrix.indices, matrix.data, ROUNDING)
    if row >= 0:
        a, b = matrix[int(row), int(column)], matrix[int(column), int(row)]
        raise StructureError(
            f"{name} is not symmetric: entry ({row}, {column}) is {a:.16g}, entry "
            f"({column}, {row}) is {b:.16g}.",
            where=where,
            fix="give (Q + Q.T) / 2, which has the same values and the right gradient.",
        )
    return matrix
