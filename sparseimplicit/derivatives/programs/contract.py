"""Programs of a term: its value, its derivatives along directions, its second derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from ..stated.bound import BoundTerm
from ..tracing.differentiate import along, gradient
from ..tracing.roots import Root, dual_curvature, next_duals, roots
from .source import Load, Program, check_size

BY_ELEMENT = {
    "xs": Load("xs[{i}]", ("xs",), varies=False),
    "xm": Load("x[xi[e, {i}]]", ("x", "xi")),
    "c": Load("c[e, {i}]", ("c",)),
    "p": Load("p[{i}, e]", ("p",)),
    "q": Load("points[q, {i}]", ("points",), by_point=True),
    "e": Load("each[e, q, {i}]", ("each",), by_point=True),
    "weight": Load("weight[ri[e, {i}]]", ("weight", "ri")),
    **{f"d{n}xs": Load(f"d{n}s[{{i}}]", (f"d{n}s",), varies=False) for n in range(2)},
    **{f"d{n}xm": Load(f"d{n}[xi[e, {{i}}]]", (f"d{n}", "xi")) for n in range(2)},
    "dxxs": Load("dxs[{i}]", ("dxs",), varies=False),
    "dxxm": Load("dx[xi[e, {i}]]", ("dx", "xi")),
}
LISTED = {
    **BY_ELEMENT,
    "y": Load("y[yi[e, {i}]]", ("y", "yi")),
    **{f"d{n}y": Load(f"d{n}[yi[e, {{i}}]]", (f"d{n}", "yi")) for n in range(2)},
}
LIFTED = {
    **BY_ELEMENT,
    "y": Load("r[{i}, e]", ("r",)),
    **{f"d{n}y": Load(f"r{n}[{{i}}, e]", (f"r{n}",)) for n in range(2)},
    "d01y": Load("r01[{i}, e]", ("r01",)),
}


@dataclass(frozen=True)
class Contraction:
    """Derivatives of a term along directions, with respect to what is left.

    directions : for each, two at most, what it moves: "y", "x", or "both". Direction n is ``d{n}``;
        of the one that moves both, which is the last, ``d{n}`` is its part in y and ``dx`` in x.
    weighted : whether the local residual is first multiplied by weights of its rows.
    """

    directions: tuple[str, ...]
    weighted: bool = False

    def in_x(self, n: int) -> str:
        """Return the name of direction n's part in x."""
        return "dx" if self.directions[n] == "both" else f"d{n}"


def loads_of(term: BoundTerm) -> dict[str, Load]:
    """Return how the inputs of a term are read in a list of elements."""
    return LIFTED if term.lifted else LISTED


def contracted(term: BoundTerm, what: Contraction) -> tuple[list[int], list[list[int]]]:
    """Return the outputs of a term along directions, and the nodes of each direction's lift.

    A direction in y moves the local unknowns. A direction in x moves the local parameters, and
    where the filters are learned what they make of y: then both are one direction, and two
    directions together move it at second order too ("d01y").
    """
    graph = term.graph
    outputs = list(term.outputs)
    if what.weighted:
        total = graph.const(0.0)
        for i, output in enumerate(outputs):
            total = graph.add(total, graph.mul(output, graph.input("weight", i)))
        outputs = [total]
    learned = term.lift_places is not None
    lifts: list[list[int]] = []
    for n, direction in enumerate(what.directions):
        variables: list[int] = []
        seeds: list[int] = []
        lift = [graph.input(f"d{n}y", i) for i in range(len(term.y_nodes))]
        if direction != "x" or learned:
            variables += term.y_nodes
            seeds += lift
        if direction != "y":
            variables += term.x_nodes
            seeds += [graph.input(f"{what.in_x(n)}{name}", j) for name, j in term.x_inputs]
        if n == 1 and learned and what.directions != ("y", "y"):
            variables += lifts[0]
            seeds += [graph.input("d01y", i) for i in range(len(term.y_nodes))]
        outputs = [along(graph, output, variables, seeds) for output in outputs]
        lifts.append(lift)
    return outputs, lifts


def value_program(term: BoundTerm) -> Program:
    """Return the sum of φ over the elements."""
    return _checked(term, Program(term.graph, loads_of(term), sums=tuple(term.outputs)))


def row_program(term: BoundTerm, what: Contraction) -> Program:
    """Return the local residual, or its derivative along directions, added to its rows."""
    outputs, _ = contracted(term, what)
    return _checked(term, Program(term.graph, loads_of(term), stores=tuple(outputs)))


def state_program(term: BoundTerm, what: Contraction) -> Program:
    """Return the derivative by the local unknowns: added to them, or of a lift kept by element.

    Of learned filters also those by the lifts of the directions, behind one another.
    """
    (output,), lifts = contracted(term, what)
    nodes = gradient(term.graph, output, term.y_nodes)
    if term.lift_places is not None:
        for lift in lifts:
            nodes += gradient(term.graph, output, lift)
    program = Program(term.graph, loads_of(term), stores=tuple(nodes), scatter=not term.lifted)
    return _checked(term, program)


def parameter_program(term: BoundTerm, what: Contraction, *, shared: bool) -> Program:
    """Return the derivative by the parameters: sums for shared ones, or added to those by index."""
    (output,), _ = contracted(term, what)
    kind = "xs" if shared else "xm"
    wanted = [v for v, (name, _) in zip(term.x_nodes, term.x_inputs, strict=True) if name == kind]
    nodes = tuple(gradient(term.graph, output, wanted))
    loads = loads_of(term)
    if shared:
        return _checked(term, Program(term.graph, loads, sums=nodes))
    return _checked(term, Program(term.graph, loads, stores=nodes))


@dataclass(frozen=True)
class MatrixProgram:
    """A program that stores the entries of a matrix, with the local row and column of each."""

    program: Program
    first: tuple[int, ...]
    second: tuple[int, ...]


def matrix_program(term: BoundTerm, rows: str, columns: str) -> MatrixProgram:
    """Return the second derivatives (rows "y") or the Jacobian (rows "rows") of a term.

    ``columns`` is "y", "xm" for parameters by index, or "xs" for shared ones. Entries that are zero
    by structure are left out. Of a lifted term these are the entries of φ's own Hessian.
    """
    graph = term.graph
    functions: Sequence[int] = term.outputs
    if rows == "y":
        functions = gradient(graph, term.outputs[0], term.y_nodes)
    variables = term.y_nodes
    if columns != "y":
        variables = [v for v, (name, _) in zip(term.x_nodes, term.x_inputs, strict=True)
                     if name == columns]  # fmt: skip
    first, second, nodes = [], [], []
    for i, function in enumerate(functions):
        for j, node in enumerate(gradient(graph, function, variables)):
            if graph.value(node) != 0.0:
                first.append(i)
                second.append(j)
                nodes.append(node)
    if rows == columns == "y":  # one node for both triangles: the matrix is symmetric bit by bit
        known = dict(zip(zip(first, second, strict=True), nodes, strict=True))
        pairs = sorted({(min(p), max(p)) for p in known})
        both = sorted({q for i, j in pairs for q in ((i, j), (j, i))})
        nodes = [known.get((min(p), max(p)), known.get((max(p), min(p)), -1)) for p in both]
        first, second = [i for i, _ in both], [j for _, j in both]
    program = Program(graph, loads_of(term), stores=tuple(nodes), scatter=not term.lifted)
    return MatrixProgram(_checked(term, program), tuple(first), tuple(second))


def dual_matrix_program(term: BoundTerm) -> MatrixProgram:
    """Return second derivatives with dual vectors, on the same entries; see `tracing.roots`."""
    exact, graph, found = matrix_program(term, "y", "y"), term.graph, _roots(term)
    if not found:
        return exact
    nodes = dual_curvature(graph, term.outputs[0], term.y_nodes, found)
    stores = tuple(nodes[i][j] for i, j in zip(exact.first, exact.second, strict=True))
    program = Program(graph, loads_of(term), stores=stores, scatter=not term.lifted)
    return MatrixProgram(_checked(term, program), exact.first, exact.second)


def dual_bounds(term: BoundTerm) -> tuple[int, ...]:
    """Return where the dual vector of each root begins among those of an element; and the end."""
    return tuple(accumulate((len(root.parts) for root in _roots(term)), initial=0))


def dual_program(term: BoundTerm) -> Program:
    """Return the dual vectors after a step "d0", kept by element; no stores if it has no roots.

    They are still to be made no longer than 1, see `dual_bounds`.
    """
    graph, found = term.graph, _roots(term)
    step = [graph.input("d0y", i) for i in range(len(term.y_nodes))]
    stores = tuple(next_duals(graph, term.y_nodes, step, found))
    return _checked(term, Program(graph, loads_of(term), stores=stores, scatter=False))


def _roots(term: BoundTerm) -> list[Root]:
    if term.points is not None:
        return []  # their dual vectors would be those of points
    return roots(term.graph, term.outputs[0], term.y_nodes)


def _checked(term: BoundTerm, program: Program) -> Program:
    check_size(program, term.name, term.k)
    return program if term.points is None else replace(program, points=term.points.count)
