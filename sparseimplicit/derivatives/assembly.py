"""Sums over the elements of all terms: values, vectors, and matrices on one pattern."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..errors import StructureError
from ..linear import FilterOperator, StencilOperator
from ..linear.operator import csr_from_parts
from .lifted.hessian import FilterHessian
from .lifted.lines import responses_room
from .lifted.matrix import LiftedMatrix
from .lifted.products import Lifted
from .on_grids.assembly import GridMatrix, GridTerms
from .on_grids.coefficients import Coefficients, coefficients
from .programs.contract import (
    Contraction,
    dual_matrix_program,
    parameter_program,
    row_program,
    state_program,
    value_program,
)
from .programs.list_pattern import ListPattern
from .programs.lists import Blocks, ListKernel, blocks_of
from .programs.source import Program
from .stated.bound import BoundTerm

Array = NDArray[np.float64]
T = TypeVar("T")
Lifts = dict[int, dict[str, Any]]  # by term: what its filters make of the unknowns


@dataclass(frozen=True, eq=False)
class Duals:
    """Dual vectors of smoothed norms; see `tracing.roots`.

    before : by number of the term, how many components those before it have.
    grid : {"p": images} of all components, where matrices are filled on a grid; else empty.
    lists : else (components, elements) by number of the term.
    """

    before: dict[int, int]
    grid: dict[str, Array]
    lists: dict[int, Array]


class Assembly:
    """The terms of one problem, with what is made once for them: kernels, patterns, slots.

    ``fixed`` unknowns take part as numbers; nothing is added to their rows.
    """

    def __init__(
        self, terms: Sequence[BoundTerm], n_y: int, n_x: int, fixed: NDArray[Any] | None = None
    ) -> None:
        self.terms, self.n_y, self.n_x = list(terms), n_y, n_x
        self.fixed = fixed
        self.grid = GridTerms(self.terms, n_y, n_x)
        self.lifted = {t: Lifted(term) for t, term in enumerate(self.terms) if term.lifted}
        self._made: dict[Hashable, Any] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as terms alone: what is made of them holds addresses, of this process."""
        return type(self), (self.terms, self.n_y, self.n_x, self.fixed)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what is made once for this problem."""
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made

    def values(self, x: Array, y: Array) -> Array:
        """Return the energy of each term, (terms,)."""
        return self._sums("value", value_program, x, y, None, {}, {})

    def by_state(self, x: Array, y: Array, what: Contraction, **seeds: Array) -> Array:
        """Return the derivative by y along the directions ``d0``, ``d1``, (n_y,)."""
        out = np.zeros(self.n_y)
        self._stores(("y", what), lambda t: state_program(t, what), x, y, what, seeds, out, "y")
        return out

    def by_parameters(self, x: Array, y: Array, what: Contraction, **seeds: Array) -> Array:
        """Return the derivative by x along the directions, (n_x,)."""
        out = np.zeros(self.n_x)
        key = ("x", what)
        made: Lifts = {}  # shared by the programs of a term
        if any(t.xi is not None for t in self.terms):
            make = partial(parameter_program, what=what, shared=False)
            self._stores(key, make, x, y, what, seeds, out, "x")
        if any(t.shared_places.size for t in self.terms):
            make = partial(parameter_program, what=what, shared=True)
            sums = self._sums(key, make, x, y, what, seeds, made)
            at = 0
            for term in self.terms:
                count = term.shared_places.size
                out[term.shared_places] += sums[at : at + count]
                at += count
        for t, lifted in self.lifted.items():
            if lifted.learned:
                q = self._responses(t, what, x, y, seeds, made)
                lifted.to_filters(q, y, what, seeds, out)
        return out

    def both(
        self, x: Array, y: Array, what: Contraction, seeds: Mapping[str, Array],
        finite: Callable[[Array, str, Array, Array], None],
    ) -> tuple[Array, Array]:  # fmt: skip
        """Return the second order by x, (n_x,), and by y, (n_y,), looked at by ``finite``."""
        by_x = self.by_parameters(x, y, what, **seeds)
        by_y = self.by_state(x, y, what, **seeds)
        for part in (by_x, by_y):
            finite(part, "second_order", x, y)
        return by_x, by_y

    def _responses(
        self, t: int, what: Contraction, x: Array, y: Array, seeds: Mapping[str, Array],
        made: Lifts,
    ) -> Array:  # fmt: skip
        """Return the derivative by what a lift gives, element by element."""
        kernel = self.listed(t, ("r", what), partial(state_program, what=what), None, 0)
        q = responses_room(len(kernel.program.stores), self.terms[t].count)
        kernel.run(self.arrays(t, x, y, what, seeds, made=made), q)
        return q

    def _sums(
        self, key: Hashable, make: Callable[[BoundTerm], Program], x: Array, y: Array,
        what: Contraction | None, seeds: Mapping[str, Array], made: Lifts,
    ) -> Array:  # fmt: skip
        """Return the sums of all terms' programs, one term's behind another's."""
        on_grid = self.once(("grid sums", key), lambda: self.grid.sums(make))
        found = {} if on_grid is None else on_grid.run(x, y, seeds)
        all_sums = [np.empty(0)]
        for t, term in enumerate(self.terms):
            if what is not None and not term.shared_places.size:
                continue  # it has no sums by x
            if t not in found:
                listed = self.listed(t, ("sums", key), make, None, 0)
                found[t] = listed.run(self.arrays(t, x, y, what, seeds, made), np.empty(0))
            all_sums.append(found[t])
        return np.concatenate(all_sums)

    def _stores(
        self, key: Hashable, make: Callable[[BoundTerm], Program], x: Array, y: Array,
        what: Contraction, seeds: Mapping[str, Array], out: Array, by: str,
    ) -> None:  # fmt: skip
        """Add the stores of all terms' programs to the unknowns or the parameters by index."""
        on_grid = None
        if self.grid.found:
            on_grid = self.once(("grid", key), lambda: self.grid.vector(make, by))
        if on_grid is not None:
            on_grid.run(x, y, seeds, out)
        for t, term in enumerate(self.terms):
            if by == "x" and term.xi is None:
                continue
            if by == "y" and term.lifted:
                q = self._responses(t, what, x, y, seeds, {})
                self.lifted[t].to_state(q, x, what, seeds, out)
                continue
            if on_grid is None or t not in self.grid.found:
                to: Any = term.yi if by == "y" else term.xi
                listed = self.listed(t, key, make, to, out.size)
                listed.run(self.arrays(t, x, y, what, seeds), out, to)

    def listed(
        self, t: int, key: Hashable, make: Callable[[BoundTerm], Program],
        rows: NDArray[Any] | None, size: int,
    ) -> ListKernel:  # fmt: skip
        """Return a program of a term for the list of its elements."""
        term = self.terms[t]
        return self.once(
            ("list", t, key), lambda: ListKernel(make(term), self.blocks(t, rows, size))
        )

    def by_rows(self, x: Array, y: Array, what: Contraction, **seeds: Array) -> Array:
        """Return the residual, or its derivative along directions, in its rows, (n_y,)."""
        out = np.zeros(self.n_y)
        for t, term in enumerate(self.terms):
            rows: Any = term.rows
            kernel = self.listed(t, ("rows", what), partial(row_program, what=what), rows, self.n_y)
            kernel.run(self.arrays(t, x, y, what, seeds), out, rows)
        if self.fixed is not None:
            out[self.fixed] = 0.0
        return out

    def pattern(self, rows: str, columns: str) -> GridMatrix | ListPattern | LiftedMatrix:
        """Return what fills a matrix, with its pattern; made once."""
        return self.once(("matrix", rows, columns), lambda: self._matrix(rows, columns))

    def matrix(
        self, x: Array, y: Array, rows: str, columns: str, duals: Duals | None = None
    ) -> sparse.csr_array:
        """Return second derivatives or a Jacobian as CSR; its pattern is made once.

        rows : "y" or "rows"; columns : "y", or "xm" for the parameters by index.
        duals : for the curvature of smoothed norms, in second derivatives.
        """
        made = self._with(duals, self.pattern(rows, columns))
        shape = (self.n_y, self.n_y if columns == "y" else self.n_x)
        if isinstance(made, LiftedMatrix):
            return made.assemble(x, lambda t: self.arrays(t, x, y, None, {}, duals=duals))
        if isinstance(made, GridMatrix):
            pattern = made.pattern
            values = np.empty(pattern.indices.size)
            made.values.run(x, y, {} if duals is None else duals.grid, values)
            return csr_from_parts(values, pattern.indices, pattern.indptr, shape)
        values = np.zeros(made.nnz + 1)  # the last is for what goes nowhere
        for t, kernel, slots in made.parts:
            kernel.run(self.arrays(t, x, y, None, {}, duals=duals), values, slots)
        if made.identity is not None:
            values[made.identity] = 1.0
        return csr_from_parts(values[: made.nnz], made.indices, made.indptr, shape)

    def operator(
        self, x: Array, y: Array, share: float = 0.0, duals: Duals | None = None
    ) -> StencilOperator | FilterOperator:
        """Return the Hessian not assembled: as filters of one image, or coefficients on a grid.

        share : of secants in the curvatures of filters, see `FilterHessian`.
        """
        if self.lifted:
            filters = self.once("filters", lambda: FilterHessian(self.terms, self.n_y))
            filters = self._with(duals, filters)
            return filters.at(x, lambda t: self.arrays(t, x, y, None, {}, duals=duals), share)
        made = self.once("stencil", lambda: coefficients(self.grid))
        if made is None:
            raise StructureError(
                "the Hessian has no coefficients on a grid: its terms do not all stand on one, of "
                "one number a pixel, that is as wide as they reach.",
                where="Energy.hessian",
                fix="leave out assembled=False.",
            )
        return self._with(duals, made).fill(x, y, {} if duals is None else duals.grid)

    def _with(self, duals: Duals | None, made: T) -> T:
        """Return what fills second derivatives, with dual vectors in its programs if given."""
        if duals is None:
            return made

        def make() -> Any:
            programs = {t: dual_matrix_program(term).program for t, term in enumerate(self.terms)}
            if isinstance(made, GridMatrix | Coefficients):
                return replace(made, values=made.values.replaced(programs, duals.before))
            of: Any = made
            return of.replaced(programs)

        found: T = self.once(("with duals", id(made)), make)
        return found

    def _matrix(self, rows: str, columns: str) -> GridMatrix | ListPattern | LiftedMatrix:
        if self.lifted:
            if columns != "y":
                raise StructureError(
                    "the cross-Hessian of a lifted term with a map of parameters has no entries "
                    "here, products alone.",
                    where=self.terms[next(iter(self.lifted))].name,
                    fix="use cross_product and cross_adjoint.",
                )
            return LiftedMatrix(self.terms, self.lifted, self.n_y)
        made = self.grid.matrix(columns) if rows == "y" else None
        if made is not None:
            return made
        sizes = (self.n_y, self.n_y if columns == "y" else self.n_x)
        return ListPattern(self.terms, sizes, rows, columns, self.fixed)

    def arrays(
        self, t: int, x: Array, y: Array, what: Contraction | None, seeds: Mapping[str, Array],
        made: Lifts | None = None, duals: Duals | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Return by name the arrays that list programs of a term read."""
        term = self.terms[t]
        found: dict[str, Any] = {"x": x, "y": y, "xi": term.xi, "c": term.c}
        if t in self.lifted:
            made = {} if made is None else made
            if t not in made:
                made[t] = self.lifted[t].arrays(x, y, what, seeds)
            found |= made[t]
        else:
            found["yi"] = term.yi
        found["xs"] = x[term.shared_places]
        found["ri"] = term.rows
        if term.points is not None:
            found |= {"points": term.points.table, "each": term.points.each}
        found["p"] = None if duals is None else duals.lists.get(t)
        found |= seeds
        for n, direction in enumerate(what.directions if what else ()):
            if what and direction != "y":
                name = what.in_x(n)
                found[f"{name}s"] = seeds[name][term.shared_places]
        return found

    def blocks(self, t: int, rows: NDArray[Any] | None, size: int) -> Blocks:
        """Return how the elements of a term are run when they write into these rows."""
        term = self.terms[t]
        return self.once(
            ("blocks", t, id(rows)), lambda: blocks_of(term.count, rows, size, term.weight)
        )
