"""A term with its index arrays checked against a problem, and its expression graph."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import NonFinite, ShapeError, SparseImplicitError
from ..tracing.refusals import check_arguments, refusal
from ..tracing.tape import Graph
from ..tracing.values import Value, local, node_of, vector
from .grids import Stencil
from .points import Points, points_of
from .terms import Block, Shared, Term, index_array

Array = NDArray[np.float64]


class BoundTerm:
    """One term of a problem: what its elements read, and φ (or the local residual) as nodes.

    Local inputs have names: "y" the unknowns (or, lifted, what the lift makes of them), "xs" shared
    parameters, "xm" parameters by index, "c" data, "q" and "e" those of points.
    """

    def __init__(self, term: Term, name: str, n_y: int, n_x: int, rows: Any = None) -> None:
        self.term, self.name = term, name
        self.stencil = term.y if isinstance(term.y, Stencil) else None
        if self.stencil is None:
            self._yi: NDArray[Any] | None = index_array(term.y, n_y, name, "y=")
            self.local_shape = self._yi.shape[1:]
            self.count = int(self._yi.shape[0])
        else:
            if self.stencil.size > n_y:
                index_array(term.y, n_y, name, "y=")
            self._yi = None
            self.local_shape = self.stencil.local_shape
            self.count = self.stencil.elements
        self.k = int(np.prod(self.local_shape))
        self._parameters(term.x, n_x)
        self.c = self._data(term.c)
        self._lift(term.lift, n_x)
        self.points: Points | None = points_of(term.points, self.count, name)
        if self.points is not None and (self.lifted or self.stencil is not None):
            raise ShapeError(
                "points= is for elements of an index array, without lift=.",
                where=name,
                fix="give y= as an integer array (elements, unknowns).",
            )
        self.rows = None if rows is None else self._rows(rows, n_y)
        self._trace()

    @cached_property
    def yi(self) -> NDArray[Any]:
        """Places of the unknowns, (E, k)."""
        array = self.stencil.indices() if self._yi is None and self.stencil else self._yi
        return np.ascontiguousarray(np.asarray(array).reshape(self.count, self.k))

    def _parameters(self, given: Any, n_x: int) -> None:
        """Split x= into shared parameters and parameters by index, in the order φ sees them."""
        parts = given if isinstance(given, list | tuple) else [] if given is None else [given]
        self.shared_places = np.empty(0, dtype=np.int64)
        self.x_parts = parts
        self.x_inputs: list[tuple[str, int]] = []
        maps: list[NDArray[Any]] = []
        columns = 0
        self.x_shape: tuple[int, ...] | None = None
        for part in parts:
            if isinstance(part, Shared):
                if part.first + part.m > n_x:
                    raise ShapeError(
                        f"the term reads x[{part.first}:{part.first + part.m}]; n_x is {n_x}.",
                        where=self.name,
                    )
                start = self.shared_places.size
                self.x_inputs += [("xs", start + j) for j in range(part.m)]
                self.shared_places = np.concatenate([self.shared_places, part.places])
                continue
            array = index_array(part, n_x, self.name, "x=")
            if array.shape[0] != self.count:
                raise ShapeError(
                    f"x= has {array.shape[0]} elements, y= has {self.count}.", where=self.name
                )
            if len(parts) == 1:
                self.x_shape = array.shape[1:]
            array = _flat(array)
            self.x_inputs += [("xm", columns + j) for j in range(array.shape[1])]
            columns += array.shape[1]
            maps.append(array)
        self.xi = np.ascontiguousarray(np.hstack(maps)) if maps else None

    def _data(self, given: Any) -> Array | None:
        if given is None:
            self.c_shape: tuple[int, ...] = (0,)
            return None
        c = np.asarray(given)
        if np.iscomplexobj(c) or c.dtype.kind not in "fiub" or c.ndim == 0:
            raise ShapeError(
                f"c= must be an array of real numbers, got {c.dtype}.", where=self.name
            )
        if c.shape[0] != self.count:
            raise ShapeError(
                f"c= has {c.shape[0]} elements, y= has {self.count}.",
                where=self.name,
                fix="give one row of data for each element, or use a closure for data of all.",
            )
        self.c_shape = c.shape[1:] if c.ndim > 1 else (1,)
        c = np.ascontiguousarray(_flat(c), dtype=np.float64)
        if not np.isfinite(c).all():
            e = int(np.argmin(np.isfinite(c).all(axis=1)))
            raise NonFinite(f"c= of element {e} is {c[e]}.", where=self.name)
        return c

    def _lift(self, given: Any, n_x: int) -> None:
        """Keep the filters: an array, or where they stand in x."""
        self.lift_places: NDArray[np.int64] | None = None
        self.lift_basis: Array | None = None
        self.lift: Array | None = None
        self.responses = 0
        if given is None:
            return
        if isinstance(given, Block):
            self.lift_places = given.places.reshape(given.places.shape[0], -1)
            self.lift_basis = given.basis
            wide = self.lift_places if given.basis is None else given.basis
            shape = (self.lift_places.shape[0], wide.shape[1])
            if int(self.lift_places.max()) >= n_x:
                raise ShapeError(f"lift= reads x beyond n_x = {n_x}.", where=self.name)
        else:
            array = np.asarray(given, dtype=np.float64)
            self.lift = np.ascontiguousarray(array.reshape(array.shape[0], -1))
            shape = self.lift.shape
            if not np.isfinite(self.lift).all():
                raise NonFinite("lift= holds NaN or inf.", where=self.name)
        if shape[1] != self.k:
            raise ShapeError(
                f"lift= has shape {shape}; an element has {self.k} unknowns.",
                where=self.name,
                fix=f"give shape (responses, {self.k}).",
            )
        self.responses = int(shape[0])

    @property
    def lifted(self) -> bool:
        """Whether φ is a function of linear combinations of the unknowns."""
        return self.responses > 0

    @property
    def weight(self) -> int:
        """The work of an element of many responses, in that of one of few unknowns: a quarter."""
        return max(self.responses // 4, 1)

    def filters(self, x: Array) -> Array:
        """Return F, (R, k); x may be complex."""
        if self.lift is not None:
            return self.lift
        found = x[self.lift_places]
        return np.ascontiguousarray(found if self.lift_basis is None else found @ self.lift_basis)

    def by_coefficients(self, by_filters: Array) -> Array:
        """Return the derivative by the parameters of the filters from that by the filters."""
        return by_filters if self.lift_basis is None else by_filters @ self.lift_basis.T

    def _rows(self, given: Any, n_y: int) -> NDArray[Any]:
        rows = index_array(given, n_y, self.name, "rows=")
        if rows.shape[0] != self.count:
            raise ShapeError(
                f"rows= has {rows.shape[0]} elements, y= has {self.count}.", where=self.name
            )
        return np.ascontiguousarray(_flat(rows))

    def _trace(self) -> None:
        self.graph = graph = Graph()
        inputs = self.responses or self.k
        y = vector(graph, "y", (inputs,) if self.lifted else self.local_shape)
        self.y_nodes = [graph.input("y", i) for i in range(inputs)]
        self.x_nodes = [graph.input(*where) for where in self.x_inputs]
        x = np.empty(len(self.x_nodes), dtype=object)
        for j, node in enumerate(self.x_nodes):
            x[j] = Value(graph, node)
        shaped = x if self.x_shape is None else x.reshape(self.x_shape)
        c = vector(graph, "c", self.c_shape)
        try:
            given = [local(y, "r" if self.lifted else "y"), local(shaped, "x"), local(c, "c")]
            if self.points is not None:
                p = np.empty(len(self.points.inputs), dtype=object)
                p[:] = [Value(graph, graph.input(*where)) for where in self.points.inputs]
                given.append(local(p, "p"))
            check_arguments(self.term.function, "yxcp"[: len(given)])
            result = self.term.function(*given)
            self.outputs = self._nodes(result)
        except SparseImplicitError as error:
            raise error.at(self.name) from error.__cause__
        except Exception as error:
            raise refusal(error).at(self.name) from error

    def _nodes(self, result: Any) -> list[int]:
        flat = np.asarray(result, dtype=object).reshape(-1)
        expected = 1 if self.rows is None else self.rows.shape[1]
        if result is None or flat.size != expected:
            size = None if result is None else np.shape(np.asarray(result, dtype=object))
            raise ShapeError(
                f"the function of a term returned {type(result).__name__} of shape {size}; "
                f"{expected} {'number is' if expected == 1 else 'numbers are'} needed.",
                fix="return the energy of one element." if self.rows is None
                else "return one number for each of the element's rows.",
            )  # fmt: skip
        return [node_of(self.graph, v) for v in flat]


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    """Return one row for each element, also where there are none."""
    return array.reshape(array.shape[0], int(np.prod(array.shape[1:], dtype=int)))
