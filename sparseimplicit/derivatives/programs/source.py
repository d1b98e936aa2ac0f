"""The text of a kernel that runs an expression graph for every element of a list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ...errors import StructureError
from ..tracing.tape import Graph

OPERATIONS: Final = 3000  # facts: 5 463 lines took numba 48 s, 3 000 about 20 s
CHUNK: Final = 256  # elements whose sum is taken at once
# Stores; more are written by a loop, which compiles sooner and runs a little slower.
MANY: Final = 10

TEMPLATES: Final[dict[str, str]] = {
    "add": "{} + {}", "sub": "{} - {}", "mul": "{} * {}", "div": "{} / {}", "neg": "-{}",
    "pow": "{} ** {}", "arctan2": "atan2({}, {})", "hypot": "hypot({}, {})",
    "logaddexp": "logaddexp({}, {})", "expit": "1.0 / (1.0 + exp(-{}))", "abs": "abs({})",
    "sign": "1.0 if {0} > 0.0 else (-1.0 if {0} < 0.0 else {0} * 0.0)", "cbrt": "np.cbrt({})",
    "arcsin": "asin({})", "arccos": "acos({})", "arctan": "atan({})", "arcsinh": "asinh({})",
    "arccosh": "acosh({})", "arctanh": "atanh({})",
    "lt": "{} < {}", "le": "{} <= {}", "eq": "{} == {}", "ne": "{} != {}",
    "and": "{} and {}", "or": "{} or {}", "not": "not {}", "where": "{1} if {0} else {2}",
    **{name: name + "({})" for name in
       ("sqrt", "exp", "log", "log1p", "expm1", "sin", "cos", "tan", "sinh", "cosh", "tanh")},
}  # fmt: skip

PRELUDE: Final = """\
from math import (
    acos, acosh, asin, asinh, atan, atan2, atanh, cos, cosh, exp, expm1, hypot, inf, log, log1p,
    nan, sin, sinh, sqrt, tan, tanh,
)

import numpy as np
from numba import njit

"""
LOGADDEXP: Final = """
@njit(cache=CACHE, nogil=True, error_model="numpy")
def logaddexp(a, b):
    return max(a, b) + log1p(exp(-abs(a - b)))

"""


@dataclass(frozen=True)
class Load:
    """How entry {i} of an input is written in a loop over elements e, and the arrays it reads."""

    text: str
    arrays: tuple[str, ...]
    varies: bool = True  # among elements
    by_point: bool = False  # among the points of an element


@dataclass(frozen=True)
class Program:
    """What to compute of each element, and where it goes.

    sums : nodes whose sums over all elements are wanted.
    stores : nodes; number a of element e is added to ``out[to[e, a]]``, or where ``scatter`` is
        False becomes ``out[a, e]``.
    loads : for each name of an input, how its entry i of element e, at its point q, is read.
    points : of an element, over which sums and stores are summed too; 0 without them.
    """

    graph: Graph
    loads: dict[str, Load]
    sums: tuple[int, ...] = ()
    stores: tuple[int, ...] = ()
    scatter: bool = True
    points: int = 0
    nodes: tuple[int, ...] = field(init=False)
    arrays: tuple[str, ...] = field(init=False)  # names of those that are read, in order

    def __post_init__(self) -> None:
        reached = tuple(self.graph.reached([*self.sums, *self.stores]))
        object.__setattr__(self, "nodes", reached)
        used = {self.graph.arguments[a][0] for a in reached if self.graph.operations[a] == "input"}
        names = {name for key in used for name in self.loads[key].arrays}
        object.__setattr__(self, "arrays", tuple(sorted(names)))

    @property
    def operations(self) -> int:
        """Number of operations of an element."""
        leaves = ("input", "const")
        return sum(self.graph.operations[a] not in leaves for a in self.nodes)


def check_size(program: Program, name: str, unknowns: int) -> None:
    """Refuse programs that numba would compile for minutes."""
    if program.operations > OPERATIONS:
        raise StructureError(
            f"this local term has k={unknowns} nodes and {program.operations} operations; unrolled "
            f"kernels above ~{OPERATIONS} operations compile for minutes.",
            where=name,
            fix="if it is a function of few linear combinations of y, pass lift=; else split it.",
        )


class Lines:
    """The statements of a program: the same for all elements, for an element, and for a point."""

    def __init__(self, program: Program, load: Callable[[str, int], tuple[str, int]]) -> None:
        """``load`` writes an entry, and says if it differs among elements (1) or points (2)."""
        self.hoisted: list[str] = []
        self.inner: list[str] = []
        self.point: list[str] = []
        self.names: dict[int, str] = {}
        self.kept: list[str] = []  # of the hoisted, in order
        graph = program.graph
        levels: dict[int, int] = {}
        for a in program.nodes:
            operation, arguments = graph.operations[a], graph.arguments[a]
            if operation == "const":
                value = float(arguments[0])
                self.names[a] = f"({value!r})" if value < 0 else repr(value)
                continue
            if operation == "input":
                text, level = load(*arguments)
            else:
                text = TEMPLATES[operation].format(*(self.names[b] for b in arguments))
                level = max(levels.get(b, 0) for b in arguments)
            name = f"v{len(self.hoisted) + len(self.inner) + len(self.point)}"
            self.names[a] = name
            levels[a] = level
            (self.hoisted, self.inner, self.point)[level].append(f"{name} = {text}")
            if level == 0:
                self.kept.append(name)


def indented(lines: list[str], depth: int) -> str:
    """Return statements indented by ``depth`` steps."""
    return "".join("    " * depth + line + "\n" for line in lines)


def uses(program: Program, operation: str) -> bool:
    """Tell whether a program has this operation."""
    return any(program.graph.operations[a] == operation for a in program.nodes)


def _over_points(program: Program, lines: Lines, *, many: bool) -> list[str]:
    """Return the loop over the points of an element, and the stores where they are few."""
    count = len(program.stores)
    own = [f"kept[{a}]" if many else f"s{a}" for a in range(count)]
    begin = [f"for a in range({count}):", "    kept[a] = 0.0"] if many else []
    begin += [] if many else [f"{name} = 0.0" for name in own]
    inside = [f"{name} += {lines.names[a]}" for name, a in zip(own, program.stores, strict=True)]
    inside += [f"t{j} += {lines.names[a]}" for j, a in enumerate(program.sums)]
    loop = [f"for q in range({program.points}):", *(f"    {s}" for s in lines.point + inside)]
    places = [] if many else [f"out[to[e, {a}]] += {name}" for a, name in enumerate(own)]
    return begin + loop + places


def list_source(program: Program) -> str:
    """Return a module with ``run(begin, end, bounds, elements, sums, out, to, *arrays)``.

    It takes chunks begin … end − 1; chunk n holds the elements from bounds[n] to bounds[n + 1] − 1,
    or what ``elements`` has there unless it is empty. ``sums[j, n]`` becomes sum j of chunk n.
    """

    def load(name: str, place: int) -> tuple[str, int]:
        how = program.loads[name]
        return how.text.format(i=place), how.varies + how.by_point

    lines = Lines(program, load)
    body, count = list(lines.inner), len(program.stores)
    many = program.scatter and count > MANY
    if program.points:
        body += _over_points(program, lines, many=many)
    for a, node in enumerate(program.stores if not program.points else ()):
        target = f"out[to[e, {a}]] +=" if program.scatter else f"out[{a}, e] ="
        body.append(f"{f'kept[{a}] =' if many else target} {lines.names[node]}")
    if many:
        body += [f"for a in range({count}):", "    out[to[e, a]] += kept[a]"]
        lines.hoisted.append(f"kept = np.empty({count})")
    if not program.points:
        body += [f"t{j} += {lines.names[node]}" for j, node in enumerate(program.sums)]
    arguments = ", ".join(["bounds, elements, sums, out, to", *program.arrays])
    return (
        PRELUDE + (LOGADDEXP if uses(program, "logaddexp") else "")
        + '\n@njit(cache=CACHE, nogil=True, error_model="numpy")\n'
        + f"def run(begin, end, {arguments}):\n"
        + indented(lines.hoisted, 1)
        + indented(["listed = elements.size > 0", "for n in range(begin, end):"], 1)
        + indented([*(f"t{j} = 0.0" for j in range(len(program.sums))),
                    "for q in range(bounds[n], bounds[n + 1]):"], 2)
        + indented(["e = q", "if listed:", "    e = elements[q]", *body], 3)
        + indented([f"sums[{j}, n] = t{j}" for j in range(len(program.sums))], 2)
    )  # fmt: skip
