"""An integral as the local term that it is: a function of the numbers of an element, at a point."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from ..derivatives import shared
from ..derivatives.tracing.differentiate import gradient
from ..derivatives.tracing.interpret import evaluate
from ..derivatives.tracing.refusals import refusal
from ..derivatives.tracing.tape import Graph
from ..derivatives.tracing.values import Value, node_of, vector
from ..errors import ShapeError, SparseImplicitError, StructureError
from .columns import Columns
from .fields import Field
from .fields import field as field_of
from .integral import OWN, Integral, is_number
from .shapes import Place, Shapes


class PointData:
    """What a weak form knows at a point beside its fields: x, h, n, and data by name."""

    def __init__(self, place: Place, data: Mapping[str, Any]) -> None:
        self._place, self._data = place, data

    def __getitem__(self, name: str) -> Any:
        """Return data by name."""
        return getattr(self, name)

    def __getattr__(self, name: str) -> Any:
        """Return data, or the coordinates x, the size h, the normal n."""
        if name in self._data:
            return self._place.data(name, self._data[name])
        if name in OWN:
            return getattr(self._place, name)
        known = ", ".join([*OWN, *self._data])
        raise StructureError(
            f"a weak form asks for w.{name}; known are {known}.",
            where="weak form",
            fix=f"give data={{'{name}': …}}.",
        )


EVERY: Final = slice(None)
PART: Final = 2000  # operations of an element's Jacobian; numba takes about 10 s for 3000


class LocalForm:
    """An integral as a function of the local vectors of an element, at one point.

    rows : slice
        Which test functions' rows of the local residual it returns.
    """

    def __init__(
        self, of: Integral, *, tested: bool, name: str, present: Mapping[str, Any],
        rows: slice = EVERY,
    ) -> None:  # fmt: skip
        first = of.state[0]
        self.of, self.tested, self.name, self.rows = of, tested, name, rows
        self.columns = Columns(int(first.nelems), len(first.W))
        self.place = Place(first, self.columns)
        self.state = [Shapes(basis, self.place) for basis in of.state]
        self.controls = {
            key: int(given) if is_number(given) else Shapes(given, self.place, present[key])
            for key, given in of.control.items()
        }
        self._arity()
        graph = Graph()
        k = sum(s.count for s in self.state)
        m = sum(s if isinstance(s, int) else s.count for s in self.controls.values())
        self.columns.scratch(graph)
        try:
            outputs = self._run(vector(graph, "y", (k,)), vector(graph, "x", (m,)), graph)
            nodes = [node_of(graph, value) for value in outputs]
            self.columns.keep(graph, nodes)
            self.parts = _parts(graph, nodes) if tested and rows == EVERY else 1
        except SparseImplicitError as error:
            raise error.at(name) from error.__cause__
        except Exception as error:
            raise refusal(error).at(name) from error

    def __call__(self, y: Any, x: Any, c: Any, p: Any) -> Any:
        """Return the share of one point in the local residual, or in the energy."""
        graph = y[0].graph if isinstance(y[0], Value) else Graph()
        self.columns.kept(c, p, graph)
        if not isinstance(y[0], Value):  # plain numbers, held against what was traced
            y = [Value(graph, graph.const(float(number))) for number in y]
            nodes = [node_of(graph, value) for value in self._run(y, x, graph)]
            values = evaluate(graph, nodes, _nothing)
            return np.array([values[a] for a in nodes])
        outputs = self._run(y, x, graph)
        return np.array([*outputs, None], dtype=object)[:-1]

    def data(self) -> dict[str, Any]:
        """Return c= and points= of the term."""
        c = self.columns.by_element()
        return {
            "c": c if c.shape[1] else None,
            "points": [self.columns.table(), self.columns.by_both()],
        }

    def places(self, blocks: Mapping[str, Any]) -> list[Any]:
        """Return x= of the term: where each control's numbers stand in the parameter."""
        return [
            shared(s, first=int(blocks[key])) if isinstance(s, int)
            else blocks[key][s.basis.element_dofs.T]
            for key, s in self.controls.items()
        ]  # fmt: skip

    def _run(self, y: Any, x: Any, graph: Graph) -> list[Any]:
        fields, at = [], 0
        for shapes in self.state:
            fields.append(shapes.field(y[at : at + shapes.count]))
            at += shapes.count
        given, at = [], 0
        for shapes_or_count in self.controls.values():
            count = shapes_or_count if isinstance(shapes_or_count, int) else shapes_or_count.count
            local = x[at : at + count]
            at += count
            if isinstance(shapes_or_count, int):
                given.append(field_of(local[0] if count == 1 else local, {}))
            else:
                given.append(shapes_or_count.field(local))
        more = [PointData(self.place, self.of.data)] if self.takes_data else []
        u = fields[0] if len(fields) == 1 else tuple(fields)
        if not self.tested:
            return [_number(self.of.function(u, *given, *more)) * self.place.weight]
        tests = [_Test(shapes, graph, number) for number, shapes in enumerate(self.state)]
        v = tests[0].field if len(tests) == 1 else tuple(t.field for t in tests)
        density = _number(self.of.function(u, v, *given, *more))
        node = node_of(graph, density)
        inputs = [a for test in tests for a in test.inputs]
        slopes = gradient(graph, node, inputs)
        _check_linear(graph, node, inputs, slopes)
        factors = iter([Value(graph, a) for a in slopes])
        weight = self.place.weight
        return [r for test in tests for r in test.rows(factors, weight)][self.rows]

    def _arity(self) -> None:
        """Find out whether the integrand takes w, and refuse any other number of arguments."""
        least = 1 + self.tested + len(self.controls)
        told = ["u", *(["v"] if self.tested else []), *self.controls]
        try:
            signature = inspect.signature(self.of.function)
        except (TypeError, ValueError):
            self.takes_data = True
            return
        for takes in (False, True):
            try:
                signature.bind(*range(least + takes))
            except TypeError:
                continue
            self.takes_data = takes
            self._check_names(signature, told)
            return
        raise StructureError(
            f"the integrand takes {signature}; it is called with ({', '.join(told)}) or "
            f"({', '.join([*told, 'w'])}).",
            where=self.name,
            fix="give it one argument for each control, in their order.",
        )

    def _check_names(self, signature: inspect.Signature, told: list[str]) -> None:
        """Refuse an argument that has the name of another control than stands in its place."""
        for argument, name in zip(signature.parameters, told, strict=False):
            if argument != name and argument in self.controls and name in self.controls:
                raise StructureError(
                    f"the integrand calls control '{name}' {argument}, which is that of another "
                    f"control: it takes {signature}, the controls are {', '.join(self.controls)}.",
                    where=self.name,
                    fix=f"controls are given in their order: write ({', '.join(told)}), or state "
                    "control= in the order of the arguments.",
                )


class _Test:
    """The test function of one field: inputs of the graph, by which the form is differentiated."""

    def __init__(self, shapes: Shapes, graph: Graph, number: int) -> None:
        self.shapes = shapes
        self.inputs: list[int] = []
        made: dict[str, Field] = {}
        for name, shape in shapes.attributes:
            array = np.empty(shape, dtype=object)
            for at in np.ndindex(shape):
                node = graph.input(f"v{number}", len(self.inputs))
                self.inputs.append(node)
                array[at] = Value(graph, node)
            made[name] = field_of(array, {})
        value = made.pop("value")
        self.field = field_of(np.asarray(value), made)

    def rows(self, factors: Any, weight: Any) -> list[Any]:
        """Return the local residual: factors of the inputs, tested with all shape functions."""
        by: dict[str, Any] = {}
        for name, shape in self.shapes.attributes:
            array = np.empty(shape, dtype=object)
            for at in np.ndindex(shape):
                factor = next(factors)
                zero = factor.graph.value(factor.index) == 0.0
                array[at] = 0.0 if zero else factor * weight
            by[name] = array
        return self.shapes.tested(by)


def _parts(graph: Graph, outputs: list[int]) -> int:
    """Return into how many groups of rows a form is best split, so that each compiles soon."""
    if len(outputs) <= 15:
        return 1
    inputs = [graph.input("y", j) for j in range(len(outputs))]
    entries = [a for output in outputs for a in gradient(graph, output, inputs)]
    operations = sum(graph.operations[a] not in ("input", "const") for a in graph.reached(entries))
    return min(len(outputs), -(-operations // PART))


def _check_linear(graph: Graph, node: int, inputs: list[int], slopes: list[int]) -> None:
    """Refuse forms that are not linear in v: slopes that depend on v, or do not add up to them."""
    if any(graph.operations[a] == "input" and a in set(inputs) for a in graph.reached(slopes)):
        raise StructureError(
            "the weak form is not linear in v.",
            where="weak form",
            fix="let every term have v, or a derivative of it, once as a factor.",
        )
    total = graph.const(0.0)
    for a, slope in zip(inputs, slopes, strict=True):
        total = graph.add(total, graph.mul(a, slope))
    rng = np.random.default_rng(0)
    numbers: dict[tuple[str, int], float] = {}

    def load(of: str, place: int) -> float:
        return numbers.setdefault((of, place), float(rng.uniform(0.5, 1.5)))

    values = evaluate(graph, [node, total], load)
    whole, linear = float(np.real(values[node])), float(np.real(values[total]))
    if abs(whole - linear) > 1e-9 * max(abs(whole), abs(linear)):
        raise StructureError(
            "the weak form has a part without v.",
            where="weak form",
            fix="multiply every term with v or a derivative of it, loads too: − f * v.",
        )


def _number(value: Any) -> Any:
    if np.size(np.asarray(value, dtype=object)) != 1:
        raise ShapeError(
            f"the integrand returned shape {np.shape(value)}; it must be one number.",
            where="weak form",
            fix="contract vectors with dot, matrices with inner.",
        )
    return np.asarray(value, dtype=object).reshape(-1)[0]


def _nothing(name: str, place: int) -> float:
    raise AssertionError((name, place))
