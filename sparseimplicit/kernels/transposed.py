"""Blocks of `LANES` × `LANES` numbers between lines of a grid and lanes, transposed in registers.

As in `vectorized`, the bodies say what is done, and compiled code does the same. Either side may
be in float32. A start of −1 stands for a line that is not there: of zeros, and never written.
"""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

from .lanes import LANES
from .vectorized import mask


def gather(r: Any, starts: Any, line: int, at: int, t: Any, to: int, step: int) -> None:
    """t[to + k step + v] = r[starts[line, v] + at + k] for all v and k below `LANES`."""
    there = starts[line] >= 0
    for k in range(LANES):
        piece = np.zeros(LANES)
        piece[there] = r[starts[line, there] + at + k]
        t[to + k * step : to + k * step + LANES] = piece


def scatter(t: Any, to: int, step: int, x: Any, starts: Any, line: int, at: int) -> None:
    """x[starts[line, v] + at + k] = t[to + k step + v] for all v and k below `LANES`."""
    there = starts[line] >= 0
    for k in range(LANES):
        x[starts[line, there] + at + k] = t[to + k * step : to + k * step + LANES][there]


def scatter_add(t: Any, to: int, step: int, x: Any, starts: Any, line: int, at: int) -> None:
    """x[starts[line, v] + at + k] += t[to + k step + v] for all v and k below `LANES`."""
    there = starts[line] >= 0
    for k in range(LANES):
        x[starts[line, there] + at + k] += t[to + k * step : to + k * step + LANES][there]


@type_callable(gather)
def _type_of_gathering(_context):  # type: ignore[no-untyped-def]
    return lambda r, starts, line, at, t, to, step: types.none


for _write in (scatter, scatter_add):

    @type_callable(_write)
    def _type_of_scattering(_context):  # type: ignore[no-untyped-def]
        return lambda t, to, step, x, starts, line, at: types.none


def _transposed(builder, rows):  # type: ignore[no-untyped-def]
    """Return `LANES` vectors, the k-th of the k-th lanes: halves, quarters, … are exchanged."""
    rows, half = list(rows), LANES // 2
    while half:
        low = [v if not v & half else v - half + LANES for v in range(LANES)]
        high = [v + half if not v & half else v + LANES for v in range(LANES)]
        for k in range(LANES):
            if not k & half:
                a, b = rows[k], rows[k + half]
                rows[k] = builder.shuffle_vector(a, b, mask(low))
                rows[k + half] = builder.shuffle_vector(a, b, mask(high))
        half //= 2
    return rows


def _block(context, builder, kinds, arguments, names):  # type: ignore[no-untyped-def]
    """Return pointers to the pieces of `LANES` grid lines, and to as many vectors of t.

    What is not there is read from zeros of its own, and written to them.
    """
    value, kind = dict(zip(names, arguments, strict=True)), dict(zip(names, kinds, strict=True))

    def whole(name):  # type: ignore[no-untyped-def]
        return context.cast(builder, value[name], kind[name], types.intp)

    def data(name):  # type: ignore[no-untyped-def]
        return context.make_array(kind[name])(context, builder, value[name]).data

    vector, piece_vector = (
        ir.VectorType(context.get_data_type(kind[name].dtype), LANES) for name in ("t", "grid")
    )
    lanes = ir.Constant(whole("at").type, LANES)
    starts = builder.gep(data("starts"), [builder.mul(whole("line"), lanes)])
    nowhere = cgutils.alloca_once_value(builder, ir.Constant(piece_vector, None))
    pieces, vectors, place = [], [], whole("to")
    for v in range(LANES):
        start = builder.load(builder.gep(starts, [ir.Constant(lanes.type, v)]))
        there = builder.icmp_signed(">=", start, ir.Constant(start.type, 0))
        piece = builder.gep(data("grid"), [builder.add(start, whole("at"))])
        piece = builder.bitcast(piece, nowhere.type)
        pieces.append(builder.select(there, piece, nowhere))
        vectors.append(builder.bitcast(builder.gep(data("t"), [place]), vector.as_pointer()))
        place = builder.add(place, whole("step"))
    return pieces, vectors


def _converted(builder, value, pointer):  # type: ignore[no-untyped-def]
    """Return a vector in the precision of what the pointer points to."""
    wanted = pointer.type.pointee
    if value.type == wanted:
        return value
    longer = isinstance(wanted.element, ir.DoubleType)
    return (builder.fpext if longer else builder.fptrunc)(value, wanted)


def _load(builder, pointer):  # type: ignore[no-untyped-def]
    return builder.load(pointer, align=_alignment(pointer))


def _store(builder, value, pointer):  # type: ignore[no-untyped-def]
    builder.store(_converted(builder, value, pointer), pointer, align=_alignment(pointer))


def _alignment(pointer):  # type: ignore[no-untyped-def]
    return 8 if isinstance(pointer.type.pointee.element, ir.DoubleType) else 4


@lower_builtin(
    gather, types.Array, types.Array, types.Integer, types.Integer, types.Array, types.Integer,
    types.Integer,
)  # fmt: skip
def _gather(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
    names = ("grid", "starts", "line", "at", "t", "to", "step")
    pieces, vectors = _block(context, builder, signature.args, arguments, names)
    rows = _transposed(builder, [_load(builder, piece) for piece in pieces])
    for row, place in zip(rows, vectors, strict=True):
        _store(builder, row, place)
    return context.get_dummy_value()


def _lower_scatter(function, *, add):  # type: ignore[no-untyped-def]
    @lower_builtin(
        function, types.Array, types.Integer, types.Integer, types.Array, types.Array,
        types.Integer, types.Integer,
    )  # fmt: skip
    def _scatter(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        names = ("t", "to", "step", "grid", "starts", "line", "at")
        pieces, vectors = _block(context, builder, signature.args, arguments, names)
        rows = _transposed(builder, [_load(builder, place) for place in vectors])
        for row, piece in zip(rows, pieces, strict=True):
            total = _converted(builder, row, piece)
            _store(builder, builder.fadd(total, _load(builder, piece)) if add else total, piece)
        return context.get_dummy_value()


_lower_scatter(scatter, add=False)
_lower_scatter(scatter_add, add=True)
