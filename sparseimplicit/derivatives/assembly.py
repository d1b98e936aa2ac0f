"""Sums over the elements of all terms of a problem: values, vectors, and matrices on one pattern."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..kernels import incidence
from ..linear.operator import csr_from_parts
from .bound import BoundTerm
from .contract import (
    Contraction,
    matrix_program,
    parameter_program,
    row_program,
    state_program,
    value_program,
)
from .lists import Blocks, ListKernel, blocks_of, frozen
from .source import Program

Array = NDArray[np.float64]
T = TypeVar("T")


class Assembly:
    """The terms of one problem, with what is made once for them: kernels, patterns, slots.

    ``fixed`` unknowns take part as numbers; nothing is added to their rows.
    """

    def __init__(
        self, terms: Sequence[BoundTerm], n_y: int, n_x: int, fixed: NDArray[Any] | None = None
    ) -> None:
        self.terms, self.n_y, self.n_x = list(terms), n_y, n_x
        self.fixed = fixed
        self._made: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what is made once for this problem."""
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made

    def values(self, x: Array, y: Array) -> Array:
        """Return the energy of each term, (terms,)."""
        out = np.zeros(len(self.terms))
        for t, term in enumerate(self.terms):
            kernel = self._kernel(t, "value", None, lambda term=term: value_program(term))
            out[t] = kernel.run(self.arrays(term, x, y), np.empty(0))[0]
        return out

    def by_state(self, x: Array, y: Array, what: Contraction, **seeds: Array) -> Array:
        """Return the derivative by y along the directions ``d0``, ``d1``, (n_y,)."""
        out = np.zeros(self.n_y)
        for t, term in enumerate(self.terms):
            kernel = self._kernel(
                t, ("y", what), term.yi, lambda term=term: state_program(term, what)
            )
            kernel.run(self.arrays(term, x, y, what, **seeds), out, term.yi)
        return out

    def by_rows(self, x: Array, y: Array, what: Contraction, **seeds: Array) -> Array:
        """Return the residual, or its derivative along directions, in its rows, (n_y,)."""
        out = np.zeros(self.n_y)
        for t, term in enumerate(self.terms):
            rows = rows_of(term)
            kernel = self._kernel(
                t, ("rows", what), rows, lambda term=term: row_program(term, what)
            )
            kernel.run(self.arrays(term, x, y, what, **seeds), out, rows)
        if self.fixed is not None:
            out[self.fixed] = 0.0
        return out

    def by_parameters(self, x: Array, y: Array, what: Contraction, **seeds: Array) -> Array:
        """Return the derivative by x along the directions, (n_x,)."""
        out = np.zeros(self.n_x)
        for t, term in enumerate(self.terms):
            if not term.x_nodes:
                continue
            kernel = self._kernel(
                t, ("x", what), term.xi, lambda term=term: parameter_program(term, what),
                size=self.n_x,
            )  # fmt: skip
            to = {} if term.xi is None else {"to": term.xi}
            sums = kernel.run(self.arrays(term, x, y, what, **seeds), out, **to)
            out[term.shared_places] += sums
        return out

    def matrix(self, x: Array, y: Array, rows: str, columns: str) -> sparse.csr_array:
        """Return second derivatives or a Jacobian as CSR; its pattern is made once.

        rows : "y" or "rows"; columns : "y", or "xm" for the parameters by index.
        """
        pattern = self.once((rows, columns), lambda: _Pattern(self, rows, columns))
        values = np.zeros(pattern.nnz + 1)  # the last is for what goes nowhere
        for t, kernel, slots in pattern.parts:
            kernel.run(self.arrays(self.terms[t], x, y), values, slots)
        if pattern.identity is not None:
            values[pattern.identity] = 1.0
        n = self.n_y if columns == "y" else self.n_x
        shape = (self.n_y, n)
        return csr_from_parts(values[: pattern.nnz], pattern.indices, pattern.indptr, shape)

    def arrays(
        self, term: BoundTerm, x: Array, y: Array, what: Contraction | None = None, **seeds: Array
    ) -> dict[str, Any]:
        """Return by name the arrays that programs of a term read."""
        found: dict[str, Any] = {"x": x, "y": y, "yi": term.yi, "xi": term.xi, "c": term.c}
        found["xs"] = x[term.shared_places]
        found["ri"] = term.rows
        found |= seeds
        for n, direction in enumerate(what.directions if what else ()):
            if direction == "x":
                found[f"d{n}s"] = seeds[f"d{n}"][term.shared_places]
        return found

    def _kernel(
        self, t: int, key: Hashable, rows: NDArray[Any] | None, make: Callable[[], Program],
        size: int | None = None,
    ) -> ListKernel:  # fmt: skip
        def build() -> ListKernel:
            return ListKernel(make(), self.blocks(t, rows, self.n_y if size is None else size))

        return self.once((t, key), build)

    def blocks(self, t: int, rows: NDArray[Any] | None, size: int) -> Blocks:
        """Return how the elements of a term are run when they write into these rows."""
        count = self.terms[t].count
        return self.once(("blocks", t, id(rows)), lambda: blocks_of(count, rows, size))


class _Pattern:
    """The places of one matrix of a problem, and for each term its kernel and its slots."""

    def __init__(self, assembly: Assembly, rows: str, columns: str) -> None:
        programs = [matrix_program(term, rows, columns) for term in assembly.terms]
        listed = []
        for term, made in zip(assembly.terms, programs, strict=True):
            first = np.array(made.first, dtype=np.int64)
            second = np.array(made.second, dtype=np.int64)
            other = term.yi if columns == "y" else term.xi
            own = masked(rows_of(term, rows), assembly.n_y, assembly.fixed)
            listed.append((own, other, first, second))
        parts = [part for part in listed if part[2].size]
        n = assembly.n_y if columns == "y" else assembly.n_x
        fixed = assembly.fixed
        if fixed is not None:
            # Row n_y takes what is added to fixed rows, and is cut off; these rows are identity.
            if columns == "y":
                one = np.zeros(1, dtype=np.int64)
                parts.append((fixed[:, None], fixed[:, None], one, one))
        self.indptr, self.indices = incidence.pattern(assembly.n_y + (fixed is not None), parts, n)
        if fixed is not None:
            self.indptr = np.ascontiguousarray(self.indptr[:-1])
            self.indices = np.ascontiguousarray(self.indices[: self.indptr[-1]])
        self.nnz = int(self.indptr[-1])
        self.identity = None
        if fixed is not None and columns == "y":
            self.identity = self.indptr[fixed]
        self.parts = []
        for t, (made, part) in enumerate(zip(programs, listed, strict=True)):
            if part[2].size:
                slots = self._slots(part, assembly.n_y)
                blocks = assembly.blocks(t, rows_of(assembly.terms[t], rows), assembly.n_y)
                self.parts.append((t, ListKernel(made.program, blocks), slots))

    def _slots(self, part: tuple[Any, ...], n_y: int) -> NDArray[Any]:
        rows, columns, first, second = part
        wide = np.int32 if self.nnz < 2**31 - 1 else np.int64
        out = np.empty((rows.shape[0], first.size), dtype=wide)
        indptr = np.append(self.indptr, self.indptr[-1:])  # row n_y is empty
        incidence.find_slots(rows, columns, first, second, indptr, self.indices, self.nnz, out)
        return frozen(out)


def rows_of(term: BoundTerm, rows: str = "") -> NDArray[Any]:
    """Return the rows that the elements of a term write."""
    return term.yi if rows == "y" or term.rows is None else term.rows


def masked(rows: NDArray[Any], n_y: int, fixed: NDArray[Any] | None) -> NDArray[Any]:
    """Return rows with those of fixed unknowns as a row n_y behind all others."""
    if fixed is None:
        return rows
    row = np.arange(n_y, dtype=rows.dtype)
    row[fixed] = n_y
    return np.ascontiguousarray(row[rows])
