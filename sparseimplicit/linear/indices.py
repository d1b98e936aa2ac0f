"""Indices of sparse matrices that others made: no kernel may follow one that leads outside."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ShapeError

Indices = NDArray[Any]


def check_indices(matrix: Any, where: str) -> None:
    """Refuse a scipy matrix with an index out of range, or rows that begin before they end.

    scipy looks at neither once a matrix is made, and the arrays can be written to. Formats of
    others, and of scipy without arrays of indices, pass. Cost: one pass over the indices.
    """
    kind = getattr(matrix, "format", "")
    if kind in ("csr", "csc", "bsr"):
        block = matrix.blocksize if kind == "bsr" else (1, 1)
        rows, columns = (size // b for size, b in zip(matrix.shape, block, strict=True))
        major, minor = (columns, rows) if kind == "csc" else (rows, columns)
        _check_starts(matrix, major, where)
        if (place := _outside(matrix.indices, minor)) is not None:
            line = int(np.searchsorted(matrix.indptr, place, side="right")) - 1
            names = ("column", "row") if kind == "csc" else ("row", "column")
            _refuse(matrix.indices[place], names[1], f"of {names[0]} {line}", minor, where)
    elif kind == "coo" and len(matrix.shape) == 2:
        for name, indices, size in zip(
            ("row", "column"), (matrix.row, matrix.col), matrix.shape, strict=True
        ):
            if (place := _outside(indices, size)) is not None:
                _refuse(indices[place], name, f"of entry {place}", size, where)


def _check_starts(matrix: Any, lines: int, where: str) -> None:
    starts, stored = matrix.indptr, min(matrix.indices.size, len(matrix.data))
    right = starts.size == lines + 1 and starts[0] == 0 and starts[-1] <= stored
    if right and (starts[1:] >= starts[:-1]).all():
        return
    falls = np.flatnonzero(starts[1:] < starts[:-1])
    told = f"falls at {falls[0]}" if falls.size else f"has {starts.size} numbers"
    raise ShapeError(
        f"indptr is to rise from 0 to the {stored} stored entries in {lines + 1} numbers; "
        f"this one {told}, first {starts[:1]}, last {starts[-1:]}.",
        where=where,
        fix="make the matrix anew: its arrays have been changed or do not belong together.",
    )


def _outside(indices: Indices, size: int) -> int | None:
    """Return the place of the first index that is not in [0, size), or None."""
    if not indices.size:
        return None
    # Negative numbers are larger than all others when read without their sign: one pass will do.
    unsigned = indices.view(np.dtype(f"u{indices.itemsize}"))
    if int(unsigned.max()) < size:
        return None
    return int(np.argmax(unsigned >= size))


def _refuse(index: Any, name: str, of: str, size: int, where: str) -> None:
    raise ShapeError(
        f"the {name} index {int(index)} {of} is out of range: there are {size} of them.",
        where=where,
        fix="look where the indices were computed; they count from 0.",
    )
