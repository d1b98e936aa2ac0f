"""Smoothed norms in an expression graph, and their curvature with a dual vector.

A term c z with z = √(Σ_k d_k(y)² + ε²) has the second derivatives

    c (Σ_k (∂_i d_k ∂_j d_k + d_k ∂_ij d_k) − z_i z_j) / z,    z_i = Σ_k q_k ∂_i d_k,  q = d/z.

Newton's steps with them are too long where q turns. With a dual vector p, |p| ≤ 1, the place of
z_i z_j is taken by ½ (ζ_i z_j + z_i ζ_j), ζ_i = Σ_k p_k ∂_i d_k: positive semidefinite still where
d is linear, and the same where p = q.

Source: Chan, Golub, Mulet 1999, "A nonlinear primal-dual method for total variation-based image
restoration".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

from .differentiate import along, gradient
from .tape import Graph


@dataclass(frozen=True)
class Root:
    """A node z = √(Σ d_k² + …) with its parts d, the coefficient c of z, and ∂z/∂y."""

    node: int
    parts: tuple[int, ...]
    coefficient: int
    slopes: tuple[int, ...]


def roots(graph: Graph, output: int, y: Sequence[int]) -> list[Root]:
    """Return the smoothed norms that enter an output linearly, c being independent of y.

    c may choose among such coefficients by conditions on y, as Huber's does.
    """
    found: dict[int, tuple[int, ...]] = {}
    for a in graph.reached([output]):
        parts = _parts_of_root(graph, a, y)
        if parts:
            found[a] = parts
    inner = {b for a in found for b in graph.reached(list(graph.arguments[a]))}
    outer = [a for a in found if a not in inner]
    made = []
    for a, c in zip(outer, gradient(graph, output, outer), strict=True):
        value = graph.value(c)
        if _constant(graph, c, y, conditions=False) and (value is None or value > 0.0):
            made.append(Root(a, found[a], c, tuple(gradient(graph, a, y))))
    return made


def dual_curvature(
    graph: Graph, output: int, y: Sequence[int], found: Sequence[Root]
) -> list[list[int]]:
    """Return the second derivatives of an output with dual vectors, as nodes by row and column.

    The dual vectors are inputs "p", those of one root behind those of another. Where c is negative
    they are not read: second derivatives are exact there.
    """
    # With z held fixed, what is left out is −c z_i z_j / z.
    held = [
        gradient(graph, slope, [*y, *(r.node for r in found)])[: len(y)]
        for slope in gradient(graph, output, y)
    ]
    p = _duals(graph, found)
    for root, own in zip(found, p, strict=True):
        zeta = gradient(graph, _dot(graph, own, root.parts), y)
        if not _nonnegative(graph, root.coefficient):
            negative = graph.compare("lt", root.coefficient, graph.const(0.0))
            zeta = [graph.where(negative, s, t) for s, t in zip(root.slopes, zeta, strict=True)]
        factor = graph.div(graph.mul(graph.const(0.5), root.coefficient), root.node)
        moving = [i for i, slope in enumerate(root.slopes) if graph.value(slope) != 0.0]
        for i, j in combinations_with_replacement(moving, 2):
            crossed = _dot(graph, (zeta[i], root.slopes[i]), (root.slopes[j], zeta[j]))
            held[i][j] = graph.sub(held[i][j], graph.mul(factor, crossed))
    return [[held[min(i, j)][max(i, j)] for j in range(len(y))] for i in range(len(y))]


def next_duals(
    graph: Graph, y: Sequence[int], directions: Sequence[int], found: Sequence[Root]
) -> list[int]:
    """Return p⁺ = (d + ḋ)/z − ½ (p (q·ḋ) + q (p·ḋ))/z after a step in y.

    It may be longer than 1, and no number where z = 0. What makes it shorter would be branches
    here, which take long to compile.
    """
    nodes = []
    half = graph.const(0.5)
    for root, p in zip(found, _duals(graph, found), strict=True):
        z, new = root.node, []
        moved = [along(graph, d, y, directions) for d in root.parts]
        turns = [graph.div(graph.mul(half, _dot(graph, a, moved)), z) for a in (root.parts, p)]
        for d, v, old in zip(root.parts, moved, p, strict=True):
            turned = _dot(graph, turns, (old, d))
            new.append(graph.div(graph.sub(graph.add(d, v), turned), z))
        nodes += new
    return nodes


def _duals(graph: Graph, found: Sequence[Root]) -> list[list[int]]:
    made: list[list[int]] = []
    for root in found:
        first = sum(map(len, made))
        made.append([graph.input("p", first + k) for k in range(len(root.parts))])
    return made


def _dot(graph: Graph, a: Sequence[int], b: Sequence[int]) -> int:
    total = graph.const(0.0)
    for u, v in zip(a, b, strict=True):
        total = graph.add(total, graph.mul(u, v))
    return total


def _parts_of_root(graph: Graph, a: int, y: Sequence[int]) -> tuple[int, ...] | None:
    if graph.operations[a] == "hypot":
        return tuple(b for b in graph.arguments[a] if not _constant(graph, b, y))
    if graph.operations[a] == "sqrt":
        return _parts(graph, graph.arguments[a][0], y)
    return None


def _parts(graph: Graph, a: int, y: Sequence[int]) -> tuple[int, ...] | None:
    """Return d where a = Σ d_k² + something independent of y, else None."""
    if _constant(graph, a, y):
        return ()
    operation, arguments = graph.operations[a], graph.arguments[a]
    if operation == "add":
        first, second = (_parts(graph, b, y) for b in arguments)
        return None if first is None or second is None else first + second
    if operation == "sub" and _constant(graph, arguments[1], y):
        return _parts(graph, arguments[0], y)
    if operation == "mul" and arguments[0] == arguments[1]:
        return (arguments[0],)
    if operation in ("mul", "div"):
        pairs = [arguments] if operation == "div" else [arguments, arguments[::-1]]
        for inner, scale in pairs:
            if _constant(graph, scale, y) and _nonnegative(graph, scale):
                parts, root = _parts(graph, inner, y), graph.call("sqrt", scale)
                make = graph.mul if operation == "mul" else graph.div
                return None if parts is None else tuple(make(d, root) for d in parts)
    return None


def _constant(graph: Graph, a: int, y: Sequence[int], *, conditions: bool = True) -> bool:
    """Tell whether a node is independent of y; but for conditions, if these do not count."""
    seen, stack, moving = set(), [a], set(y)
    while stack:
        b = stack.pop()
        if b in moving:
            return False
        if b not in seen and graph.operations[b] not in ("input", "const"):
            seen.add(b)
            skip = graph.operations[b] == "where" and not conditions
            stack.extend(graph.arguments[b][skip:])
    return True


def _nonnegative(graph: Graph, a: int) -> bool:
    """Tell whether a node is ≥ 0 by its form."""
    operation, arguments = graph.operations[a], graph.arguments[a]
    if operation == "const":
        return float(arguments[0]) >= 0.0
    if operation in ("exp", "sqrt", "abs", "cosh", "expit", "hypot"):
        return True
    if operation == "mul" and arguments[0] == arguments[1]:
        return True
    if operation in ("add", "mul", "div"):
        return all(_nonnegative(graph, b) for b in arguments)
    return operation == "where" and all(_nonnegative(graph, b) for b in arguments[1:])
