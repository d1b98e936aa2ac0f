"""A graph evaluated by numpy for all elements at once, also along complex steps.

The twin of the generated kernels: slower, with all intermediate values at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .tape import Graph

Values = NDArray[Any]


def evaluate(
    graph: Graph, outputs: Sequence[int], load: Callable[[str, int], Any]
) -> dict[int, Any]:
    """Return the values of all nodes that the outputs need.

    ``load(name, place)`` gives an input, a number or an array over elements, real or complex.
    """
    values: dict[int, Any] = {}
    with np.errstate(all="ignore"):
        for a in graph.reached(list(outputs)):
            operation, arguments = graph.operations[a], graph.arguments[a]
            if operation == "const":
                values[a] = np.float64(arguments[0])
            elif operation == "input":
                values[a] = load(*arguments)
            else:
                values[a] = FUNCTIONS[operation](*(values[b] for b in arguments))
    return values


def _signed(a: Any) -> Any:
    return np.sign(np.real(a))


def _logaddexp(a: Any, b: Any) -> Any:
    first = np.where(np.real(a) >= np.real(b), a, b)
    second = np.where(np.real(a) >= np.real(b), b, a)
    return first + np.log1p(np.exp(second - first))


def _arctan2(a: Any, b: Any) -> Any:
    if not (np.iscomplexobj(a) or np.iscomplexobj(b)):
        return np.arctan2(a, b)
    # Along a small imaginary step: the value, and its slope times the step.
    u, v = np.real(a), np.real(b)
    return np.arctan2(u, v) + 1j * (v * np.imag(a) - u * np.imag(b)) / (u * u + v * v)


def _complex_safe(name: str, slope: Callable[[Any], Any]) -> Callable[[Any], Any]:
    function: Any = getattr(np, name)

    def run(a: Any) -> Any:
        if not np.iscomplexobj(a):
            return function(a)
        u = np.real(a)
        return function(u) + 1j * slope(u) * np.imag(a)

    return run


FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b, "neg": lambda a: -a, "pow": lambda a, b: a**b,
    "arctan2": _arctan2, "hypot": lambda a, b: np.sqrt(a * a + b * b), "logaddexp": _logaddexp,
    "expit": lambda a: 1.0 / (1.0 + np.exp(-a)),
    "abs": lambda a: np.where(np.real(a) < 0, -a, a), "sign": _signed,
    "cbrt": _complex_safe("cbrt", lambda u: 1.0 / (3.0 * np.cbrt(u) ** 2)),
    "lt": lambda a, b: np.real(a) < np.real(b), "le": lambda a, b: np.real(a) <= np.real(b),
    "eq": lambda a, b: np.real(a) == np.real(b), "ne": lambda a, b: np.real(a) != np.real(b),
    "and": np.logical_and, "or": np.logical_or, "not": np.logical_not, "where": np.where,
    **{name: getattr(np, name) for name in
       ("sqrt", "exp", "log", "log1p", "expm1", "sin", "cos", "tan", "sinh", "cosh", "tanh",
        "arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh")},
}  # fmt: skip
