"""Traced numbers and vectors: numpy code runs on them and leaves an expression graph behind."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NoReturn

import numpy as np

from ...errors import StructureError
from .functions import builders
from .refusals import beyond, branched
from .tape import Graph


class Value:
    """A number of a trace; arithmetic and numpy functions of it make new nodes."""

    __array_priority__ = 1000.0
    __slots__ = ("graph", "index")

    def __init__(self, graph: Graph, index: int) -> None:
        self.graph = graph
        self.index = index

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return apply(ufunc, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return function(*_boxed(args), **{k: _boxed(v) for k, v in options.items()})

    def __bool__(self) -> bool:
        raise branched(self.graph, [self.index])

    def _number(self) -> NoReturn:
        raise StructureError(
            "a traced unknown was turned into a Python number.",
            where="tracing a term",
            fix="use numpy's functions (np.sqrt, not math.sqrt); unknowns are no indices.",
        )

    __float__ = __int__ = __index__ = __complex__ = __round__ = _number

    def __hash__(self) -> int:
        return hash((id(self.graph), self.index))

    def __eq__(self, other: Any) -> Any:
        return binary("equal", self, other)

    def __ne__(self, other: Any) -> Any:
        return binary("not_equal", self, other)

    def __pos__(self) -> Value:
        return self

    def __neg__(self) -> Any:
        return SCALAR["negative"](self)

    def __abs__(self) -> Any:
        return SCALAR["absolute"](self)

    def __invert__(self) -> Any:
        return SCALAR["logical_not"](self)

    def clip(self, low: Any = None, high: Any = None) -> Any:
        """Return the number kept between two others."""
        return SCALAR["clip"](self, low, high)

    def conjugate(self) -> Value:
        """Return the number itself: it is real."""
        return self

    @property
    def real(self) -> Value:
        """The number itself."""
        return self


class Vector(np.ndarray):
    """An array of traced numbers, so that slices, sums, products and functions of it are traced."""

    __array_priority__ = 1001.0
    name = ""  # of a term's own y, x or c

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return apply(ufunc, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function is np.where and len(args) == 3:
            return where(*args)
        if function is np.linalg.det:
            return determinant(*args)
        module = getattr(function, "__module__", None) or ""
        if module.startswith(("numpy.linalg", "numpy.fft")) and function not in LINEAR_ALGEBRA:
            raise unsupported(f"{module.removeprefix('numpy.')}.{function.__name__}")
        result = super().__array_function__(function, types, args, options)
        traced = isinstance(result, np.ndarray) and result.dtype == object
        return _wrapped(result) if traced else result

    def __getitem__(self, key: Any) -> Any:
        try:
            return super().__getitem__(key)
        except IndexError as error:
            if not self.name or "only integers" in str(error):
                raise
            raise beyond(self.name, key, self.shape) from None

    def __bool__(self) -> bool:
        traced = [v for v in self.view(np.ndarray).ravel() if isinstance(v, Value)]
        raise branched(_graph(*traced), [v.index for v in traced])


LINEAR_ALGEBRA: Final = (np.linalg.norm, np.linalg.outer, np.linalg.cross, np.linalg.multi_dot)


def vector(graph: Graph, name: str, shape: tuple[int, ...]) -> Vector:
    """Return the inputs of a name as an array of traced numbers."""
    size = math.prod(shape)
    flat = np.empty(size, dtype=object)
    for i in range(size):
        flat[i] = Value(graph, graph.input(name, i))
    return flat.reshape(shape).view(Vector)


def local(values: Any, name: str) -> Vector:
    """Return traced numbers as a term's own y, x or c: named, and not to be written."""
    own: Vector = np.asarray(values, dtype=object).view(Vector)
    own.name = name
    own.flags.writeable = False
    return own


def node_of(graph: Graph, value: Any) -> int:
    """Return the node of a traced or a plain number; conditions become 1 and 0."""
    if isinstance(value, Value):
        if value.graph is not graph:
            raise StructureError(
                "a local term uses a traced number of another term.",
                where="tracing a term",
                fix="let each term compute from its own y, x and c alone.",
            )
        if graph.condition(value.index):
            return graph.where(value.index, graph.const(1.0), graph.const(0.0))
        return value.index
    plain = np.asarray(value)
    if plain.dtype.kind not in "fiubO" or plain.size != 1:
        raise _no_number(value)
    try:
        return graph.const(float(plain.reshape(())))
    except (TypeError, ValueError):
        raise _no_number(value) from None


def _no_number(value: Any) -> StructureError:
    return StructureError(
        f"a local term met {value!r} where a real number is needed.",
        where="tracing a term",
        fix="let it compute with real numbers, and return them.",
    )


def where(condition: Any, a: Any, b: Any) -> Any:
    """Return a where the condition holds, else b: `numpy.where` for terms and for plain numbers.

    Both are computed; a half that is not chosen has no part in derivatives, also if it is NaN.
    """
    traced = [v for v in (condition, a, b) if isinstance(v, Value | Vector)]
    if not traced:
        return np.where(condition, a, b)
    return _elementwise(_where, (condition, a, b))


def determinant(matrix: Any) -> Any:
    """Return det of a 1 × 1, 2 × 2 or 3 × 3 matrix, or of a stack of them."""
    m = np.moveaxis(np.asarray(matrix, dtype=object).view(Vector), (-2, -1), (0, 1))
    n = m.shape[0]
    if m.shape[:2] not in ((1, 1), (2, 2), (3, 3)):
        raise unsupported("linalg.det", " beyond 3 × 3")
    if n == 1:
        return m[0, 0]
    if n == 2:
        return m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0]
    minors = [m[1, (i + 1) % 3] * m[2, (i + 2) % 3] - m[1, (i + 2) % 3] * m[2, (i + 1) % 3]
              for i in range(3)]  # fmt: skip
    return m[0, 0] * minors[0] + m[0, 1] * minors[1] + m[0, 2] * minors[2]


def _where(condition: Any, a: Any, b: Any) -> Any:
    graph = _graph(condition, a, b)
    if graph is None or not isinstance(condition, Value):
        return a if condition else b
    c = condition.index
    if not graph.condition(c):
        c = graph.compare("ne", c, graph.const(0.0))
    return Value(graph, graph.where(c, node_of(graph, a), node_of(graph, b)))


def _graph(*values: Any) -> Graph | None:
    return next((v.graph for v in values if isinstance(v, Value)), None)


def _boxed(value: Any) -> Any:
    """Return arguments with each traced number as an array of no dimensions."""
    if isinstance(value, Value):
        box = np.empty((), dtype=object)
        box[()] = value
        return box.view(Vector)
    if isinstance(value, list | tuple):
        return type(value)(_boxed(v) for v in value)
    return value


def _elementwise(function: Callable[..., Any], inputs: tuple[Any, ...]) -> Any:
    if not any(isinstance(v, np.ndarray | list | tuple) for v in inputs):
        return function(*inputs)
    plain = [np.asarray(v, dtype=object) for v in inputs]
    return _wrapped(np.frompyfunc(function, len(plain), 1)(*plain))


def _wrapped(result: Any) -> Any:
    if isinstance(result, np.ndarray):
        return result[()] if result.ndim == 0 else result.view(Vector)
    return result


def apply(ufunc: Any, method: str, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Apply a ufunc of numpy to traced numbers: element by element, a reduction, or a product."""
    out = options.pop("out", (None,))[0]
    name = ufunc.__name__
    if method == "__call__" and name in ("matmul", "vecdot"):
        result = _wrapped(ufunc(*(_plain(v) for v in inputs), **options))
    elif method == "__call__":
        options = {k: v for k, v in options.items() if k not in ("casting", "dtype", "subok")}
        if name not in SCALAR or options:
            raise unsupported(name)
        result = _elementwise(SCALAR[name], inputs)
    elif method in ("reduce", "accumulate", "outer") and name in ("add", "multiply", "subtract"):
        result = _wrapped(getattr(ufunc, method)(*(_plain(v) for v in inputs), **options))
    elif method == "reduce" and name in ("maximum", "minimum", "logical_and", "logical_or"):
        array, axis = _plain(inputs[0]), options.get("axis", 0)
        array = array.ravel() if axis is None else array
        result = _wrapped(np.frompyfunc(SCALAR[name], 2, 1).reduce(array, axis=axis or 0))
    else:
        raise unsupported(f"{name}.{method}")
    if out is None:
        return result
    _plain(out)[...] = result
    return out


def _plain(value: Any) -> Any:
    array = np.asarray(value, dtype=object)
    return array.view(np.ndarray)


def unsupported(name: str, detail: str = "") -> StructureError:
    """Return the error for a function that has no derivative here."""
    return StructureError(
        f"numpy function '{name}'{detail} is not differentiable in a local term; "
        f"supported: {', '.join(sorted(SCALAR))}.",
        where="tracing a term",
        fix="write it with these functions; or take the term out and give its gradient to "
        "si.from_gradient.",
    )


def binary(name: str, a: Any, b: Any) -> Any:
    """Return an operation of numpy's name on two numbers or arrays."""
    if name not in SCALAR:
        raise unsupported(name)
    if isinstance(a, np.ndarray | list | tuple) or isinstance(b, np.ndarray | list | tuple):
        return _elementwise(SCALAR[name], (a, b))
    return SCALAR[name](a, b)


def _lifted(name: str, build: Callable[..., int]) -> Callable[..., Any]:
    """Return a function of numbers that builds a node where one of them is traced."""
    plain = getattr(np, name, None)

    def function(*values: Any) -> Any:
        graph = _graph(*values)
        if graph is None:
            if plain is None:
                raise unsupported(name)
            return plain(*(float(v) for v in values))
        return Value(graph, build(graph, *(node_of(graph, v) for v in values)))

    return function


def _clip(value: Any, low: Any, high: Any) -> Any:
    value = value if low is None else SCALAR["maximum"](value, low)
    return value if high is None else SCALAR["minimum"](value, high)


SCALAR: Final[dict[str, Callable[..., Any]]] = {
    **{name: _lifted(name, build) for name, build in builders().items()},
    "clip": _clip,
}


def _operators() -> None:
    """Give `Value` Python's operators, and the methods that numpy calls in arrays of objects."""
    pairs = {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide",
             "pow": "power", "and": "logical_and", "or": "logical_or",
             "mod": "remainder", "floordiv": "floor_divide", "xor": "bitwise_xor"}  # fmt: skip
    for short, name in pairs.items():
        setattr(Value, f"__{short}__", lambda a, b, name=name: binary(name, a, b))
        setattr(Value, f"__r{short}__", lambda a, b, name=name: binary(name, b, a))
    for short, name in {"lt": "less", "le": "less_equal", "gt": "greater",
                        "ge": "greater_equal"}.items():  # fmt: skip
        setattr(Value, f"__{short}__", lambda a, b, name=name: binary(name, a, b))
    for name in SCALAR:
        if not hasattr(Value, name):
            setattr(Value, name, lambda *values, name=name: SCALAR[name](*values))


_operators()
