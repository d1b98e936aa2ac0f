"""The pattern of a matrix of listed terms, and the slots of their entries in it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels import incidence
from ..stated.bound import BoundTerm
from .contract import matrix_program
from .lists import ListKernel, blocks_of, frozen
from .source import Program

Ints = NDArray[Any]


class ListPattern:
    """The places of one matrix of a problem, and for each term its kernel and its slots.

    Rows of ``fixed`` unknowns are those of the identity; what elements owe them goes to a place
    behind the entries. ``parts`` holds (number of the term, kernel, slots).
    """

    def __init__(
        self, terms: list[BoundTerm], sizes: tuple[int, int], rows: str, columns: str,
        fixed: Ints | None,
    ) -> None:  # fmt: skip
        n_rows, n_columns = sizes
        made = [matrix_program(term, rows, columns) for term in terms]
        listed: list[tuple[Any, Any, Ints, Ints]] = [
            (
                masked(term.yi if rows == "y" else term.rows, n_rows, fixed),
                term.yi if columns == "y" else term.xi,
                np.array(program.first, dtype=np.int64),
                np.array(program.second, dtype=np.int64),
            )
            for term, program in zip(terms, made, strict=True)
        ]
        parts = [part for part in listed if part[2].size]
        square = columns == "y"
        if fixed is not None and square:
            one = np.zeros(1, dtype=np.int64)
            parts.append((fixed[:, None], fixed[:, None], one, one))
        # Row n_rows takes what is owed to fixed rows, and is cut off.
        indptr, indices = incidence.pattern(n_rows + 1, parts, n_columns)
        self.indptr = np.ascontiguousarray(indptr[:-1])
        self.nnz = int(self.indptr[-1])
        self.indices = np.ascontiguousarray(indices[: self.nnz])
        self.identity = self.indptr[fixed] if fixed is not None and square else None
        self.parts: list[tuple[int, ListKernel, Ints]] = []
        for t, (program, part) in enumerate(zip(made, listed, strict=True)):
            if part[2].size:
                written = terms[t].yi if rows == "y" else terms[t].rows
                kernel = ListKernel(program.program, blocks_of(terms[t].count, written, n_rows))
                self.parts.append((t, kernel, self._slots(part)))

    def replaced(self, programs: Mapping[int, Program]) -> ListPattern:
        """Return the same for other programs with the same entries."""
        other = copy(self)
        other.parts = [(t, ListKernel(programs[t], k.blocks), slots) for t, k, slots in self.parts]
        return other

    def _slots(self, part: tuple[Any, ...]) -> Ints:
        rows, columns, first, second = part
        wide = np.int32 if self.nnz < 2**31 - 1 else np.int64
        out = np.empty((rows.shape[0], first.size), dtype=wide)
        indptr = np.append(self.indptr, self.indptr[-1:])  # row n_rows is empty
        incidence.find_slots(rows, columns, first, second, indptr, self.indices, self.nnz, out)
        return frozen(out)


def masked(rows: Any, n_rows: int, fixed: Ints | None) -> Ints:
    """Return rows with those of fixed unknowns as a row n_rows behind all others."""
    if fixed is None:
        return np.asarray(rows)
    row = np.arange(n_rows, dtype=rows.dtype)
    row[fixed] = n_rows
    return np.ascontiguousarray(row[rows])
