"""The expression graph of a local term: what plain numpy code did to traced numbers.

A node is an operation on older nodes; equal ones are one node. A node's number is larger than those
of its arguments, so that the numbers are an order of evaluation.
"""

from __future__ import annotations

import math
from typing import Any, Final

from ...errors import StructureError

NODES: Final = 400_000  # of one graph: beyond it tracing itself takes a minute

UNARY: Final[dict[str, Any]] = {
    "sqrt": math.sqrt, "exp": math.exp, "log": math.log, "log1p": math.log1p,
    "expm1": math.expm1, "sin": math.sin, "cos": math.cos, "tan": math.tan, "sinh": math.sinh,
    "cosh": math.cosh, "tanh": math.tanh, "arcsin": math.asin, "arccos": math.acos,
    "arctan": math.atan, "arcsinh": math.asinh, "arccosh": math.acosh, "arctanh": math.atanh,
    "cbrt": math.cbrt, "abs": abs, "sign": lambda a: float((a > 0) - (a < 0)),
    "expit": lambda a: 1.0 / (1.0 + math.exp(-a)),
}  # fmt: skip
CONDITIONS: Final = ("lt", "le", "eq", "ne", "and", "or", "not")


class Graph:
    """Nodes of one trace: ``operations[i]`` on ``arguments[i]``, numbers of older nodes.

    An "input" has a name and a place as arguments, a "const" its number.
    """

    def __init__(self) -> None:
        self.operations: list[str] = []
        self.arguments: list[tuple[Any, ...]] = []
        self._known: dict[tuple[Any, ...], int] = {}

    def node(self, operation: str, *arguments: Any) -> int:
        """Return the number of the node, made where there is none yet."""
        key = (operation, *arguments)
        if operation == "const":
            key = (operation, float(arguments[0]).hex())  # 0.0 and −0.0 differ, NaN equals itself
        found = self._known.get(key)
        if found is None:
            found = len(self.operations)
            if found >= NODES:
                raise StructureError(
                    f"a local term has more than {NODES} operations.",
                    where="tracing a term",
                    fix="split it into terms of few unknowns; if it is a function of few linear "
                    "combinations of y, pass lift=.",
                )
            self.operations.append(operation)
            self.arguments.append(arguments)
            self._known[key] = found
        return found

    def input(self, name: str, place: int) -> int:
        """Return the node of entry ``place`` of a local vector."""
        return self.node("input", name, place)

    def const(self, value: float) -> int:
        """Return the node of a number."""
        return self.node("const", float(value))

    def value(self, a: int) -> float | None:
        """Return the number that a node is, or None."""
        return float(self.arguments[a][0]) if self.operations[a] == "const" else None

    def condition(self, a: int) -> bool:
        """Tell whether a node is true or false rather than a number."""
        return self.operations[a] in CONDITIONS

    def add(self, a: int, b: int) -> int:
        """Return a + b; 0 + b is b, and two halves of a choice are one choice."""
        u, v = self.value(a), self.value(b)
        if u is not None and v is not None:
            return self.const(u + v)
        if u == 0.0:
            return b
        if v == 0.0:
            return a
        if a == b:
            return self.mul(self.const(2.0), a)
        if self.operations[b] == "neg":
            return self.sub(a, self.arguments[b][0])
        if self.operations[a] == "neg":
            return self.sub(b, self.arguments[a][0])
        merged = self._merged(a, b)
        return self.node("add", min(a, b), max(a, b)) if merged is None else merged

    def sub(self, a: int, b: int) -> int:
        """Return a − b."""
        u, v = self.value(a), self.value(b)
        if u is not None and v is not None:
            return self.const(u - v)
        if v == 0.0:
            return a
        if u == 0.0:
            return self.neg(b)
        if a == b:
            return self.const(0.0)
        if self.operations[b] == "neg":
            return self.add(a, self.arguments[b][0])
        if self.operations[a] == "neg":  # −a − b = −(a + b)
            return self.neg(self.add(self.arguments[a][0], b))
        return self.node("sub", a, b)

    def neg(self, a: int) -> int:
        """Return −a."""
        u = self.value(a)
        if u is not None:
            return self.const(-u)
        if self.operations[a] == "neg":
            return int(self.arguments[a][0])
        if self.operations[a] == "sub":
            return self.node("sub", *self.arguments[a][::-1])
        return self.node("neg", a)

    def mul(self, a: int, b: int) -> int:
        """Return a b; a choice with one half 0 stays one, so that the other half cannot spoil it.

        Without that ``where(y > 0, sqrt(y), 0)`` would have the slope 0 · inf = NaN at 0.
        """
        u, v = self.value(a), self.value(b)
        if u is not None and v is not None:
            return self.const(u * v)
        if v is not None:
            a, b, u, v = b, a, v, u
        if u is not None:
            return self._scaled(u, a, b)
        for p, q in ((a, b), (b, a)):
            if self.operations[p] == "neg":
                return self.neg(self.mul(self.arguments[p][0], q))
            if self.operations[p] == "where":
                c, yes, no = self.arguments[p]
                if self.value(no) == 0.0:
                    return self.where(c, self.mul(yes, q), no)
                if self.value(yes) == 0.0:
                    return self.where(c, yes, self.mul(no, q))
        return self.node("mul", min(a, b), max(a, b))

    def _scaled(self, u: float, a: int, b: int) -> int:
        if u in (0.0, 1.0, -1.0):
            return self.const(0.0) if u == 0.0 else b if u == 1.0 else self.neg(b)
        if self.operations[b] == "neg":
            return self.mul(self.const(-u), self.arguments[b][0])
        if self.operations[b] == "mul":
            inner = self.value(self.arguments[b][0])
            if inner is not None:
                return self.mul(self.const(u * inner), self.arguments[b][1])
        if self.operations[b] == "where":
            c, yes, no = self.arguments[b]
            if 0.0 in (self.value(yes), self.value(no)):
                return self.where(c, self.mul(a, yes), self.mul(a, no))
        return self.node("mul", a, b)  # a constant stands first

    def div(self, a: int, b: int) -> int:
        """Return a / b, IEEE: a number over 0 is infinite."""
        u, v = self.value(a), self.value(b)
        if u is not None and v is not None and v != 0.0:
            return self.const(u / v)
        if u == 0.0 and v is None:
            return a
        if v in (1.0, -1.0):
            return a if v == 1.0 else self.neg(a)
        if v is not None and v != 0.0 and math.frexp(v)[0] in (0.5, -0.5):
            return self.mul(self.const(1.0 / v), a)  # exact
        if self.operations[a] == "neg":
            return self.neg(self.div(self.arguments[a][0], b))
        if self.operations[a] == "where":
            c, yes, no = self.arguments[a]
            if self.value(no) == 0.0:
                return self.where(c, self.div(yes, b), no)
            if self.value(yes) == 0.0:
                return self.where(c, yes, self.div(no, b))
        return self.node("div", a, b)

    def power(self, a: int, b: int) -> int:
        """Return a ** b; small whole powers and the root are written out."""
        u, p = self.value(a), self.value(b)
        if p is None:
            if u is not None and u > 0.0:
                return self.call("exp", self.mul(self.call("log", a), b))
            return self.node("pow", a, b)
        if u is not None and (u > 0.0 or p == int(p)) and not (u == 0.0 and p < 0.0):
            return self.const(u**p)
        if p == 0.0:
            return self.const(1.0)
        if p == 0.5:
            return self.call("sqrt", a)
        if p == int(p) and abs(p) <= 16:
            positive = self._whole(a, int(abs(p)))
            return positive if p > 0 else self.div(self.const(1.0), positive)
        return self.node("pow", a, b)

    def _whole(self, a: int, p: int) -> int:
        if p == 1:
            return a
        half = self._whole(a, p // 2)
        square = self.mul(half, half)
        return self.mul(square, a) if p % 2 else square

    def call(self, name: str, a: int) -> int:
        """Return a function of one number; of a constant where it is defined there."""
        u = self.value(a)
        if u is not None:
            try:
                return self.const(UNARY[name](u))
            except (ValueError, OverflowError):
                pass  # NaN or infinite: left to the kernel, whose values are then named
        return self.node(name, a)

    def pair(self, name: str, a: int, b: int) -> int:
        """Return "arctan2", "hypot" or "logaddexp" of two numbers."""
        return self.node(name, a, b)

    def compare(self, name: str, a: int, b: int) -> int:
        """Return the condition a < b ("lt"), ≤ ("le"), = ("eq") or ≠ ("ne")."""
        return self.node(name, a, b)

    def where(self, c: int, a: int, b: int) -> int:
        """Return a where c holds, else b; both are computed."""
        if a == b:
            return a
        u = self.value(c)
        if u is not None:
            return a if u else b
        if self.operations[c] == "not":
            return self.where(self.arguments[c][0], b, a)
        return self.node("where", c, a, b)

    def _merged(self, a: int, b: int) -> int | None:
        """Return where(c, p, 0) + where(c, 0, q) as where(c, p, q), and the like."""
        if self.operations[a] != "where" or self.operations[b] != "where":
            return None
        (c, p, q), (d, r, s) = self.arguments[a], self.arguments[b]
        if c != d or 0.0 not in (self.value(p), self.value(q)):
            return None
        if 0.0 not in (self.value(r), self.value(s)):
            return None
        return self.where(c, self.add(p, r), self.add(q, s))

    def reached(self, outputs: list[int]) -> list[int]:
        """Return the nodes that the outputs need, in order of evaluation."""
        marked = set()
        stack = list(outputs)
        while stack:
            a = stack.pop()
            if a not in marked:
                marked.add(a)
                if self.operations[a] not in ("input", "const"):
                    stack.extend(self.arguments[a])
        return sorted(marked)
