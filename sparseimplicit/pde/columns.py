"""The numbers of elements and points that a weak form reads, kept once each and only if read."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..derivatives.tracing.tape import Graph
from ..derivatives.tracing.values import Value

Array = NDArray[np.float64]


class Columns:
    """Numbers by name: constants, of a point ("q"), of an element ("c"), of both ("e").

    A form is run twice. First on a graph of its own, where every number that it asks for becomes a
    column; then, after `keep`, on the graph of its term, where only those are left that its result
    depends on.
    """

    def __init__(self, elements: int, points: int) -> None:
        self.elements, self.points = elements, points
        self._at: dict[Hashable, tuple[str, int]] = {}
        self._arrays: dict[str, list[Array]] = {"q": [], "c": [], "e": []}
        self._places: dict[tuple[str, int], int] = {}
        self._read: Callable[[str, int], Any] = self._missing

    def on(self, read: Callable[[str, int], Any]) -> None:
        """Take the numbers from here: ``read("c", column)``."""
        self._read = read

    def scratch(self, graph: Graph) -> None:
        """Take the numbers as inputs of a graph."""
        self.on(lambda name, column: Value(graph, graph.input(name, column)))

    def of_point(self, values: Array) -> Any:
        """Return a number of each point, (Q,), the same in all elements: folded if it is one."""
        if (values == values[0]).all():
            return float(values[0])
        return self._column("q", ("q", values.tobytes()), lambda: values)

    def of_element(self, key: Hashable, make: Callable[[], Array]) -> Any:
        """Return a number of each element, (E,), made if it is not known."""
        return self._column("c", key, make)

    def of_both(self, key: Hashable, make: Callable[[], Array]) -> Any:
        """Return a number of each point of each element, (E, Q); one an element if it is so."""

        def kind() -> tuple[str, Array]:
            values = np.broadcast_to(make(), (self.elements, self.points))
            same = values.strides[1] == 0 or bool((values == values[:, :1]).all())
            return ("c", values[:, 0]) if same else ("e", values)

        if key not in self._at:
            name, values = kind()
            self._at[key] = (name, len(self._arrays[name]))
            self._arrays[name].append(values)
        return self._value(key)

    def keep(self, graph: Graph, outputs: list[int]) -> None:
        """Keep what the outputs of a scratch graph depend on."""
        used = {
            graph.arguments[a] for a in graph.reached(outputs) if graph.operations[a] == "input"
        }
        for name, arrays in self._arrays.items():
            kept = [j for j in range(len(arrays)) if (name, j) in used]
            self._places |= {(name, j): place for place, j in enumerate(kept)}
            self._arrays[name] = [arrays[j] for j in kept]

    def table(self) -> Array:
        """Return what is known of the points, (Q, s)."""
        return self._stacked("q", (self.points,))

    def by_element(self) -> Array:
        """Return what is known of the elements, (E, r)."""
        return self._stacked("c", (self.elements,))

    def by_both(self) -> Array:
        """Return what is known of the points of elements, (E, Q, t)."""
        return self._stacked("e", (self.elements, self.points))

    def kept(self, c: Any, p: Any, graph: Graph) -> None:
        """Take the numbers kept from the data of a term and of its points."""
        first = len(self._arrays["q"])

        def read(name: str, column: int) -> Any:
            place = self._places.get((name, column))
            if place is None:
                return Value(graph, graph.input("unread", column))  # nothing depends on it
            return c[place] if name == "c" else p[place + (first if name == "e" else 0)]

        self.on(read)

    def _column(self, name: str, key: Hashable, make: Callable[[], Array]) -> Any:
        if key not in self._at:
            self._at[key] = (name, len(self._arrays[name]))
            self._arrays[name].append(make())
        return self._value(key)

    def _value(self, key: Hashable) -> Any:
        return self._read(*self._at[key])

    def _stacked(self, name: str, shape: tuple[int, ...]) -> Array:
        arrays = self._arrays[name]
        out = np.empty((*shape, len(arrays)))
        for j, values in enumerate(arrays):
            out[..., j] = values
        return out

    def _missing(self, name: str, column: int) -> Any:
        raise AssertionError((name, column))
