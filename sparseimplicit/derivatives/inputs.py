"""What goes into a problem of local terms, checked; and which element spoiled what came out."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..errors import NonFinite, ShapeError
from ..kernels.vectors import finite
from .programs.lists import frozen
from .stated.bound import BoundTerm
from .tracing.differentiate import gradient
from .tracing.interpret import evaluate

Array = NDArray[np.float64]


class Inputs:
    """The sizes of a problem, and which of its parameters are shared."""

    def __init__(self, terms: Sequence[BoundTerm], n_y: int, n_x: int, name: str) -> None:
        self.terms, self.n_y, self.n_x, self.name = terms, n_y, n_x, name
        places = [t.shared_places for t in terms]
        places += [t.lift_places.ravel() for t in terms if t.lift_places is not None]
        self.shared = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *places]))
        self.maps = any(t.xi is not None for t in terms)
        self.lifted_maps = any(t.xi is not None and t.lifted for t in terms)

    @property
    def maps_alone(self) -> bool:
        """Whether no parameter is shared, so that the cross-Hessian is sparse."""
        return self.shared.size == 0 and not self.lifted_maps

    def checked(self, x: Any, y: Any) -> tuple[Array, Array]:
        """Return x and y as vectors of this problem, not to be written."""
        return self.direction(x, self.n_x, "x"), self.direction(y, self.n_y, "y")

    def direction(self, given: Any, size: int, name: str) -> Array:
        """Return a vector of this size, not to be written."""
        needed = f"a real vector of size {size} is needed."
        if given is None:
            fix = "give it." if size else "give []."
            raise ShapeError(f"{name} is missing; {needed}", where=self.name, fix=fix)
        array = np.asarray(given)
        if np.iscomplexobj(array) or array.size != size or array.ndim > 1:
            raise ShapeError(f"{name} has shape {array.shape}; {needed}", where=self.name)
        try:
            numbers = np.asarray(array, dtype=np.float64)
        except (TypeError, ValueError):
            raise ShapeError(f"{name} holds {array.dtype}; {needed}", where=self.name) from None
        return frozen(numbers.reshape(-1))

    def finite(self, out: Array, name: str, x: Array, y: Array) -> None:
        """Raise `NonFinite`, and name the element, unless all numbers are finite."""
        if not finite(out):
            self.explain(name, x, y)

    def explain(self, name: str, x: Array, y: Array) -> NoReturn:
        """Find the first term and element whose value or derivative is no number."""
        for term in map(flattened, self.terms):
            load = loader(term, x, y)
            outputs = list(term.outputs)
            for stage in range(3):
                values = evaluate(term.graph, outputs, load)
                for a in sorted(values):
                    bad = ~np.isfinite(np.broadcast_to(values[a], (term.count,)))
                    if a in outputs and bad.any():
                        raise self._error(name, term, int(np.argmax(bad)), values, stage, load)
                if stage < 2:
                    outputs = [
                        d for f in outputs for d in gradient(
                            term.graph, f, term.y_nodes + term.x_nodes)
                    ]  # fmt: skip
        raise NonFinite(
            f"{name}(x, y) is not finite, though the derivatives of each element are: a sum or a "
            "product with a direction overflows.",
            where=self.name,
        )

    def _error(
        self, name: str, term: BoundTerm, e: int, values: dict[int, Any], stage: int, load: Any
    ) -> NonFinite:
        first = next(
            a for a in sorted(values)
            if not np.isfinite(np.broadcast_to(values[a], (term.count,))[e])
        )  # fmt: skip
        what = ("value", "first derivative", "second derivative")[stage]
        local = {"y": [at(load, "y", i, e) for i in range(len(term.y_nodes))]}
        local["x"] = [at(load, n, j, e) for n, j in term.x_inputs]
        local["c"] = [] if term.c is None else list(term.c[e])
        told = ", ".join(
            f"{key} = [{', '.join(f'{float(v):.6g}' for v in entries[:12])}"
            f"{', …' if len(entries) > 12 else ''}]"
            for key, entries in local.items() if entries
        )  # fmt: skip
        found = float(np.broadcast_to(values[first], (term.count,))[e])
        return NonFinite(
            f"{name}(x, y): the {what} of '{term.name}' is not finite at {_named(term, e)}, where "
            f"{told}; the first operation to fail is {term.graph.operations[first]} = {found}.",
            where=self.name,
            fix="keep roots, logarithms and divisions away from 0 (an ε inside the root), or guard "
            "them with si.where.",
        )


def _named(term: BoundTerm, e: int) -> str:
    if term.points is None:
        return f"element {e}"
    return f"element {e // term.points.count}, point {e % term.points.count}"


def flattened(term: BoundTerm) -> BoundTerm:
    """Return the term with each point as an element of its own, for the loops of numpy."""
    if term.points is None:
        return term
    flat, times = copy(term), term.points.count
    flat.count = term.count * times
    flat.__dict__["yi"] = np.repeat(term.yi, times, axis=0)
    for name in ("xi", "rows", "c"):
        given = getattr(term, name)
        setattr(flat, name, None if given is None else np.repeat(given, times, axis=0))
    return flat


def at(load: Any, name: str, place: int, element: int) -> float:
    """Return one local value of one element."""
    value = np.asarray(load(name, place))
    return float(value if value.ndim == 0 else value[element])


def loader(term: BoundTerm, x: Any, y: Any, direction: Any = None, weight: Any = None) -> Any:
    """Return how numpy reads the local inputs of all elements; x and y may be complex.

    weight : of the rows of a residual.
    """
    local = y[term.yi]
    along = local if direction is None else direction[term.yi]
    if term.lifted:
        filters = term.filters(x).T
        local, along = local @ filters, along @ filters

    def load(name: str, place: int) -> Any:
        if name == "y":
            return local[:, place]
        if name == "d0y":
            return along[:, place]
        if name == "xs":
            return x[term.shared_places[place]]
        if name == "xm" and term.xi is not None:
            return x[term.xi[:, place]]
        if name == "weight" and term.rows is not None:
            return weight[term.rows[:, place]]
        if name in ("q", "e") and term.points is not None:
            return term.points.flat(name, place)
        assert term.c is not None  # noqa: S101 - traced inputs alone are asked for
        return term.c[:, place]

    return load
