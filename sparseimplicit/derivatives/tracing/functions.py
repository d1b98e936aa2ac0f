"""numpy's functions as nodes of an expression graph."""

from __future__ import annotations

import math
from collections.abc import Callable

from .tape import Graph


def _condition(graph: Graph, a: int) -> int:
    """Return a truth from what `node_of` made a number of."""
    if graph.operations[a] == "where" and graph.condition(graph.arguments[a][0]):
        c, yes, no = graph.arguments[a]
        if (graph.value(yes), graph.value(no)) == (1.0, 0.0):
            return int(c)
    return graph.compare("ne", a, graph.const(0.0))


def _logical(name: str) -> Callable[..., int]:
    return lambda g, *a: g.node(name, *(_condition(g, i) for i in a))


def _maximum(g: Graph, a: int, b: int) -> int:
    if g.value(a) is not None:
        a, b = b, a
    # Not (a < b), rather than a ≥ b: a NaN in the first must show.
    return g.where(g.node("not", g.compare("lt", a, b)), a, b)


def _minimum(g: Graph, a: int, b: int) -> int:
    if g.value(a) is not None:
        a, b = b, a
    return g.where(g.node("not", g.compare("lt", b, a)), a, b)


def _heaviside(g: Graph, a: int, half: int) -> int:
    zero = g.const(0.0)
    above = g.where(g.compare("lt", zero, a), g.const(1.0), half)
    return g.where(g.compare("lt", a, zero), zero, above)


def _scale(factor: float, name: str) -> Callable[..., int]:
    return lambda g, a: g.mul(g.const(factor), g.call(name, a))


def builders() -> dict[str, Callable[..., int]]:
    """Return by numpy's name what each function makes of nodes of a graph."""
    two = math.log(2.0)
    found: dict[str, Callable[..., int]] = {
        "add": Graph.add, "subtract": Graph.sub, "multiply": Graph.mul, "negative": Graph.neg,
        "divide": Graph.div, "true_divide": Graph.div, "power": Graph.power,
        "float_power": Graph.power, "positive": lambda g, a: a, "conjugate": lambda g, a: a,
        "square": lambda g, a: g.mul(a, a), "reciprocal": lambda g, a: g.div(g.const(1.0), a),
        "absolute": lambda g, a: g.call("abs", a), "fabs": lambda g, a: g.call("abs", a),
        "maximum": _maximum, "minimum": _minimum, "fmax": _maximum, "fmin": _minimum,
        "heaviside": _heaviside, "log2": _scale(1.0 / two, "log"),
        "log10": _scale(1.0 / math.log(10.0), "log"),
        "exp2": lambda g, a: g.call("exp", g.mul(g.const(two), a)),
        "deg2rad": lambda g, a: g.mul(g.const(math.pi / 180.0), a),
        "rad2deg": lambda g, a: g.mul(g.const(180.0 / math.pi), a),
        "less": lambda g, a, b: g.compare("lt", a, b),
        "less_equal": lambda g, a, b: g.compare("le", a, b),
        "greater": lambda g, a, b: g.compare("lt", b, a),
        "greater_equal": lambda g, a, b: g.compare("le", b, a),
        "equal": lambda g, a, b: g.compare("eq", a, b),
        "not_equal": lambda g, a, b: g.compare("ne", a, b),
        "logical_and": _logical("and"), "bitwise_and": _logical("and"),
        "logical_or": _logical("or"), "bitwise_or": _logical("or"),
        "logical_not": _logical("not"), "invert": _logical("not"),
    }  # fmt: skip
    for name in ("sqrt", "exp", "log", "log1p", "expm1", "sin", "cos", "tan", "sinh", "cosh",
                 "tanh", "arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh", "cbrt",
                 "sign", "expit"):  # fmt: skip
        found[name] = lambda g, a, name=name: g.call(name, a)
    for name in ("arctan2", "hypot", "logaddexp"):
        found[name] = lambda g, a, b, name=name: g.pair(name, a, b)
    return found
