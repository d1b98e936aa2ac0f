"""`LANES` numbers side by side as one value in compiled code: loads, products, stores.

numba leaves it to LLVM to find vectors in loops, which gives up where loops are short or many
arrays might overlap, as with 27 points on short rows. The bodies say what is done, and are what
tests compare with; compiled code does the same in registers. Indices are not checked.
"""

# mypy: disable-error-code="no-untyped-call"
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import lower_builtin, models, register_model, type_callable

from .lanes import LANES, LARGEST_HALF, all_lanes, converts_halves, halves

# Of two vectors side by side; for even places the second begins one earlier, to read no further.
EVEN: Final = tuple(lane + lane // LANES for lane in range(0, 2 * LANES, 2))
ODD: Final = tuple(range(1, 2 * LANES, 2))


def load(a: Any, i: int) -> Any:
    """Return a[i], a[i + 1], …"""
    return a[i : i + LANES].copy()


def load_like(a: Any, i: int, b: Any) -> Any:
    """Return a[i], a[i + 1], … in the precision of the array b."""
    return a[i : i + LANES].astype(b.dtype)


def load_even(a: Any, i: int) -> Any:
    """Return a[i], a[i + 2], …"""
    return a[i : i + 2 * LANES - 1 : 2].copy()


def load_odd(a: Any, i: int) -> Any:
    """Return a[i + 1], a[i + 3], …"""
    return a[i + 1 : i + 2 * LANES : 2].copy()


def store(value: Any, a: Any, i: int) -> None:
    """a[i], a[i + 1], … = value, in the precision of a; in uint16 as float16, see `lanes`."""
    a[i : i + LANES] = halves(value) if a.dtype == np.uint16 else value


def store_pairs(even: Any, odd: Any, a: Any, i: int) -> None:
    """a[i], a[i + 2], … = even; a[i + 1], a[i + 3], … = odd; in the precision of a."""
    a[i : i + 2 * LANES : 2] = even
    a[i + 1 : i + 2 * LANES : 2] = odd


def product(a: Any, b: Any) -> Any:
    """Return a b."""
    return a * b


def plus(a: Any, b: Any) -> Any:
    """Return a + b."""
    return a + b


def minus(a: Any, b: Any) -> Any:
    """Return a − b."""
    return a - b


def ratio(a: Any, b: Any) -> Any:
    """Return a / b."""
    with np.errstate(divide="ignore", invalid="ignore"):  # as compiled code does
        return a / b


def larger(a: Any, b: Any) -> Any:
    """Return the larger one, lane by lane."""
    return np.where(a > b, a, b)


def where_above(a: Any, b: Any, x: Any, y: Any) -> Any:
    """Return x where a > b, else y."""
    return np.where(a > b, x, y)


def nothing(a: Any) -> Any:
    """Return zeros of the kind of numbers in the array ``a``."""
    return np.zeros(LANES, a.dtype)


class Lanes(types.Type):
    """The type of such a value."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


@register_model(Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        number = ir.FloatType() if kind.dtype == types.float32 else ir.DoubleType()
        super().__init__(manager, kind, ir.VectorType(number, LANES))


for _read in (load, load_even, load_odd):

    @type_callable(_read)
    def _type_of_reading(_context):  # type: ignore[no-untyped-def]
        return lambda a, i: Lanes(a.dtype)


for _combine in (product, plus, minus, ratio, larger):

    @type_callable(_combine)
    def _type_of_combining(_context):  # type: ignore[no-untyped-def]
        return lambda a, b: a if isinstance(a, Lanes) and a == b else None


@type_callable(where_above)
def _type_of_choosing(_context):  # type: ignore[no-untyped-def]
    return lambda a, b, x, y: x


@type_callable(load_like)
def _type_of_reading_like(_context):  # type: ignore[no-untyped-def]
    return lambda a, i, b: Lanes(b.dtype)


@type_callable(nothing)
def _type_of_nothing(_context):  # type: ignore[no-untyped-def]
    return lambda a: Lanes(a.dtype)


@type_callable(store)
def _type_of_storing(_context):  # type: ignore[no-untyped-def]
    return lambda value, a, i: types.none


@type_callable(store_pairs)
def _type_of_storing_pairs(_context):  # type: ignore[no-untyped-def]
    return lambda even, odd, a, i: types.none


def _pointers(context, builder, kinds, arguments, array, further=LANES):  # type: ignore[no-untyped-def]
    """Return pointers to the vectors that begin at an index and some further, and their align.

    array : the place of the array among the arguments; the index follows it.
    """
    data = context.make_array(kinds[array])(context, builder, arguments[array]).data
    vector = ir.VectorType(context.get_data_type(kinds[array].dtype), LANES)
    at = context.cast(builder, arguments[array + 1], kinds[array + 1], types.intp)
    first = builder.gep(data, [at])
    second = builder.gep(first, [ir.Constant(at.type, further)])
    both = [builder.bitcast(place, vector.as_pointer()) for place in (first, second)]
    return both, kinds[array].dtype.bitwidth // 8


def mask(places):  # type: ignore[no-untyped-def]
    """Return which lanes of two vectors a shuffle takes."""
    return ir.Constant(ir.VectorType(ir.IntType(32), len(places)), list(places))


@lower_builtin(load, types.Array, types.Integer)
def _load(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
    (place, _), align = _pointers(context, builder, signature.args, arguments, 0)
    return builder.load(place, align=align)


def _converted(context, builder, value, kind, wanted):  # type: ignore[no-untyped-def]
    """Return lanes of one kind of numbers as those of another."""
    if kind.bitwidth == wanted.bitwidth:
        return value
    vector = ir.VectorType(context.get_data_type(wanted), LANES)
    narrow = kind.bitwidth > wanted.bitwidth
    return builder.fptrunc(value, vector) if narrow else builder.fpext(value, vector)


def _halved(context, builder, floats):  # type: ignore[no-untyped-def]
    """Return a vector of float32 as the bits of float16, the largest of that where it is none."""
    for name, bound in ((">", LARGEST_HALF), ("<", -LARGEST_HALF)):
        limit = all_lanes(floats.type, bound)
        floats = builder.select(builder.fcmp_ordered(name, floats, limit), limit, floats)
    halves_, words = (ir.VectorType(ir.IntType(bits), LANES) for bits in (16, 32))
    if converts_halves(context):
        narrow = builder.fptrunc(floats, ir.VectorType(ir.HalfType(), LANES))
        return builder.bitcast(narrow, halves_)
    # 2¹¹² times smaller, its bits are those of the float16 and thirteen more, which are rounded.
    bits = builder.bitcast(floats, words)
    size = builder.bitcast(builder.and_(bits, all_lanes(words, 0x7FFFFFFF)), floats.type)
    size = builder.bitcast(builder.fmul(size, all_lanes(floats.type, 2.0**-112)), words)
    last = builder.and_(builder.lshr(size, all_lanes(words, 13)), all_lanes(words, 1))
    size = builder.add(size, builder.add(last, all_lanes(words, 0x0FFF)))
    sign = builder.and_(builder.lshr(bits, all_lanes(words, 16)), all_lanes(words, 0x8000))
    return builder.trunc(builder.or_(builder.lshr(size, all_lanes(words, 13)), sign), halves_)


@lower_builtin(load_like, types.Array, types.Integer, types.Array)
def _load_like(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
    kinds = signature.args
    (place, _), align = _pointers(context, builder, kinds, arguments, 0)
    value = builder.load(place, align=align)
    return _converted(context, builder, value, kinds[0].dtype, kinds[2].dtype)


def _lower_every_other(function, places, further):  # type: ignore[no-untyped-def]
    @lower_builtin(function, types.Array, types.Integer)
    def _load_every_other(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        both, align = _pointers(context, builder, signature.args, arguments, 0, further)
        low, high = (builder.load(place, align=align) for place in both)
        return builder.shuffle_vector(low, high, mask(places))


_lower_every_other(load_even, EVEN, LANES - 1)
_lower_every_other(load_odd, ODD, LANES)


@lower_builtin(store, Lanes, types.Array, types.Integer)
def _store(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
    kinds = signature.args
    (place, _), align = _pointers(context, builder, kinds, arguments, 1)
    if kinds[1].dtype == types.uint16:
        floats = _converted(context, builder, arguments[0], kinds[0].dtype, types.float32)
        value = _halved(context, builder, floats)
        place = builder.bitcast(place, value.type.as_pointer())
    else:
        value = _converted(context, builder, arguments[0], kinds[0].dtype, kinds[1].dtype)
    builder.store(value, place, align=align)
    return context.get_dummy_value()


@lower_builtin(store_pairs, Lanes, Lanes, types.Array, types.Integer)
def _store_pairs(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
    kinds = signature.args
    both, align = _pointers(context, builder, kinds, arguments, 2)
    half = LANES // 2
    for place, start in zip(both, (0, half), strict=True):
        mixed = [lane + side for lane in range(start, start + half) for side in (0, LANES)]
        pairs = builder.shuffle_vector(arguments[0], arguments[1], mask(mixed))
        value = _converted(context, builder, pairs, kinds[0].dtype, kinds[2].dtype)
        builder.store(value, place, align=align)
    return context.get_dummy_value()


def _lower_arithmetic(function, name, *flags):  # type: ignore[no-untyped-def]
    @lower_builtin(function, Lanes, Lanes)
    def _arithmetic(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        return getattr(builder, name)(*arguments, flags=flags)


_lower_arithmetic(product, "fmul", "contract")
_lower_arithmetic(plus, "fadd", "contract")
_lower_arithmetic(minus, "fsub", "contract")
_lower_arithmetic(ratio, "fdiv")


@lower_builtin(larger, Lanes, Lanes)
def _larger(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
    return builder.select(builder.fcmp_ordered(">", *arguments), *arguments)


@lower_builtin(where_above, Lanes, Lanes, Lanes, Lanes)
def _where_above(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
    a, b, x, y = arguments
    return builder.select(builder.fcmp_ordered(">", a, b), x, y)


@lower_builtin(nothing, types.Array)
def _nothing(context, _builder, signature, _arguments):  # type: ignore[no-untyped-def]
    vector = context.get_value_type(signature.return_type)
    return ir.Constant(vector, [0.0] * LANES)
