"""Derivatives of an expression graph, as nodes of the same graph: reverse accumulation.

Applied again to what it returned it gives second and third derivatives. What does not depend on the
variables is never visited, and zeros of the structure come out as the constant 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .tape import Graph


def gradient(graph: Graph, output: int, variables: Sequence[int]) -> list[int]:
    """Return ∂output/∂v for each input node v, as nodes; the constant 0 where there is none.

    Cost: a few nodes for each node between the variables and the output.
    """
    order = graph.reached([output])
    wanted = set(variables)
    depends = set()
    for a in order:
        if a in wanted or (
            graph.operations[a] not in ("input", "const")
            and any(b in depends for b in graph.arguments[a])
        ):
            depends.add(a)
    slopes: dict[int, int] = {output: graph.const(1.0)}
    for a in reversed(order):
        if a not in depends or a not in slopes or a in wanted:
            continue
        for b, slope in _terms(graph, a, slopes[a]):
            if b in depends and graph.value(slope) != 0.0:
                slopes[b] = graph.add(slopes[b], slope) if b in slopes else slope
    zero = graph.const(0.0)
    return [slopes.get(v, zero) for v in variables]


def along(graph: Graph, output: int, variables: Sequence[int], directions: Sequence[int]) -> int:
    """Return Σ_i ∂output/∂v_i d_i, as a node."""
    total = graph.const(0.0)
    for slope, direction in zip(gradient(graph, output, variables), directions, strict=True):
        total = graph.add(total, graph.mul(slope, direction))
    return total


def _terms(g: Graph, a: int, s: int) -> list[tuple[int, int]]:
    """Return (argument, share of the slope s of node a) for each argument."""
    operation, arguments = g.operations[a], g.arguments[a]
    if operation in UNARY:
        return [(arguments[0], UNARY[operation](g, a, arguments[0], s))]
    if operation in BINARY:
        first, second = BINARY[operation](g, a, arguments[0], arguments[1], s)
        return [(arguments[0], first), (arguments[1], second)]
    if operation == "where":
        c, yes, no = arguments
        zero = g.const(0.0)
        return [(yes, g.where(c, s, zero)), (no, g.where(c, zero, s))]
    return []  # conditions and signs are constant between their jumps


def _one_plus_square(g: Graph, a: int) -> int:
    return g.add(g.const(1.0), g.mul(a, a))


def _power(g: Graph, a: int, u: int, p: int, s: int) -> tuple[int, int]:
    less = g.sub(p, g.const(1.0))
    by_base = g.mul(s, g.mul(p, g.power(u, less)))
    return by_base, g.mul(s, g.mul(a, g.call("log", u)))


def _arctan2(g: Graph, _: int, u: int, v: int, s: int) -> tuple[int, int]:
    square = g.add(g.mul(u, u), g.mul(v, v))
    return g.mul(s, g.div(v, square)), g.neg(g.mul(s, g.div(u, square)))


def _logaddexp(g: Graph, _: int, u: int, v: int, s: int) -> tuple[int, int]:
    difference = g.sub(u, v)
    return (g.mul(s, g.call("expit", difference)), g.mul(s, g.call("expit", g.neg(difference))))


def _root(g: Graph, u: int, sign: float) -> int:
    return g.call("sqrt", g.add(g.const(1.0), g.mul(g.const(sign), g.mul(u, u))))


# Of node a = f(u) with slope s. expit and tanh in forms that keep their digits in the tails.
UNARY: dict[str, Callable[[Graph, int, int, int], int]] = {
    "neg": lambda g, a, u, s: g.neg(s),
    "sqrt": lambda g, a, u, s: g.div(g.mul(g.const(0.5), s), a),
    "exp": lambda g, a, u, s: g.mul(s, a),
    "log": lambda g, a, u, s: g.div(s, u),
    "log1p": lambda g, a, u, s: g.div(s, g.add(g.const(1.0), u)),
    "expm1": lambda g, a, u, s: g.mul(s, g.call("exp", u)),
    "sin": lambda g, a, u, s: g.mul(s, g.call("cos", u)),
    "cos": lambda g, a, u, s: g.neg(g.mul(s, g.call("sin", u))),
    "tan": lambda g, a, u, s: g.mul(s, _one_plus_square(g, a)),
    "sinh": lambda g, a, u, s: g.mul(s, g.call("cosh", u)),
    "cosh": lambda g, a, u, s: g.mul(s, g.call("sinh", u)),
    "tanh": lambda g, a, u, s: g.div(s, g.power(g.call("cosh", u), g.const(2.0))),
    "arcsin": lambda g, a, u, s: g.div(s, _root(g, u, -1.0)),
    "arccos": lambda g, a, u, s: g.neg(g.div(s, _root(g, u, -1.0))),
    "arctan": lambda g, a, u, s: g.div(s, _one_plus_square(g, u)),
    "arcsinh": lambda g, a, u, s: g.div(s, _root(g, u, 1.0)),
    "arccosh": lambda g, a, u, s: g.div(s, g.call("sqrt", g.sub(g.mul(u, u), g.const(1.0)))),
    "arctanh": lambda g, a, u, s: g.div(s, g.sub(g.const(1.0), g.mul(u, u))),
    "cbrt": lambda g, a, u, s: g.div(g.mul(s, a), g.mul(g.const(3.0), u)),
    "abs": lambda g, a, u, s: g.mul(s, g.call("sign", u)),
    "expit": lambda g, a, u, s: g.mul(s, g.mul(a, g.call("expit", g.neg(u)))),
}
BINARY: dict[str, Callable[[Graph, int, int, int, int], tuple[int, int]]] = {
    "add": lambda g, a, u, v, s: (s, s),
    "sub": lambda g, a, u, v, s: (s, g.neg(s)),
    "mul": lambda g, a, u, v, s: (g.mul(s, v), g.mul(s, u)),
    "div": lambda g, a, u, v, s: (g.div(s, v), g.neg(g.mul(s, g.div(a, v)))),
    "pow": _power,
    "arctan2": _arctan2,
    "hypot": lambda g, a, u, v, s: (g.mul(s, g.div(u, a)), g.mul(s, g.div(v, a))),
    "logaddexp": _logaddexp,
}
