"""Sums of shifted rows, a tile of them in registers: Σ_t c[t, r] u[place[t] + j].

This is what correlations, their transposes and derivatives are made of. LLVM keeps no tile of sums
in registers, and loads and stores each sum for every few products: here the vectors are written
out. Two shapes: two rows of 24 numbers along an image, six rows of 8 numbers along a filter. Both
have 12 sums of AVX vectors, which wait for one another no longer than a product takes.
"""

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

WIDE: Final = (2, 24)  # rows, lanes
TALL: Final = (6, 8)
VECTOR: Final = 4


def add_wide(
    c: Any, at: int, step: int, apart: int, places: Any, count: int, u: Any, base: int, out: Any,
    o: int, below: int,
) -> None:  # fmt: skip
    """out[o + r below + j] += Σ_{t < count} c[at + t step + r apart] u[base + places[t] + j].

    Of r < 2, j < 24; all arrays flat. Compiled code does it with vectors; this body says what, and
    is what tests compare with. All 24 numbers are read, wanted or not.
    """
    _add(WIDE, c, at, step, apart, places, count, u, base, out, o, below)


def add_tall(
    c: Any, at: int, step: int, apart: int, places: Any, count: int, u: Any, base: int, out: Any,
    o: int, below: int,
) -> None:  # fmt: skip
    """Do the same for r < 6, j < 8."""
    _add(TALL, c, at, step, apart, places, count, u, base, out, o, below)


def _add(
    shape: tuple[int, int], c: Any, at: int, step: int, apart: int, places: Any, count: int, u: Any,
    base: int, out: Any, o: int, below: int,
) -> None:  # fmt: skip
    rows, lanes = shape
    for r in range(rows):
        target = out[o + r * below : o + r * below + lanes]
        for t in range(count):
            begin = base + places[t]
            target += c[at + t * step + r * apart] * u[begin : begin + lanes]


def _generator(shape: tuple[int, int]) -> Callable[..., Any]:
    """Return what writes the code of one shape."""
    rows, vectors = shape[0], shape[1] // VECTOR

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        c, at, step, apart, places, count, u, base, out, o, below = arguments
        vector = ir.VectorType(ir.DoubleType(), VECTOR)
        lane, size = ir.IntType(32), at.type

        def data(place, value):  # type: ignore[no-untyped-def]
            return context.make_array(signature.args[place])(context, builder, value).data

        def pointer(array, offset, v):  # type: ignore[no-untyped-def]
            there = builder.add(offset, ir.Constant(size, VECTOR * v))
            return builder.bitcast(builder.gep(array, [there]), vector.as_pointer())

        def splat(number):  # type: ignore[no-untyped-def]
            nothing = ir.Constant(vector, ir.Undefined)
            one = builder.insert_element(nothing, number, ir.Constant(lane, 0))
            return builder.shuffle_vector(
                one, nothing, ir.Constant(ir.VectorType(lane, VECTOR), [0] * VECTOR)
            )

        coefficients, shifts = data(0, c), data(4, places)
        source, target = data(6, u), data(8, out)
        zero, one = ir.Constant(size, 0), ir.Constant(size, 1)
        tile = [(r, v) for r in range(rows) for v in range(vectors)]
        row = [builder.mul(below, ir.Constant(size, r)) for r in range(rows)]
        beside = [builder.mul(apart, ir.Constant(size, r)) for r in range(rows)]
        ends = {(r, v): pointer(target, builder.add(o, row[r]), v) for r, v in tile}
        first = {key: builder.load(ends[key], align=8) for key in tile}
        before = builder.block
        loop, done = (builder.append_basic_block(name) for name in ("loop", "done"))
        builder.cbranch(builder.icmp_signed(">", count, zero), loop, done)
        builder.position_at_end(loop)
        sums = {key: builder.phi(vector) for key in tile}
        t, here = builder.phi(size), builder.phi(size)
        begin = builder.add(base, builder.load(builder.gep(shifts, [t])))
        scales = [
            splat(builder.load(builder.gep(coefficients, [builder.add(here, beside[r])])))
            for r in range(rows)
        ]
        made = {}
        for v in range(vectors):
            numbers = builder.load(pointer(source, begin, v), align=8)
            for r in range(rows):
                product = builder.fmul(scales[r], numbers, flags=("contract",))
                made[r, v] = builder.fadd(sums[r, v], product, flags=("contract",))
        turned, following = builder.add(t, one), builder.add(here, step)
        for phi, start, more in (
            *((sums[key], first[key], made[key]) for key in tile),
            (t, zero, turned), (here, at, following),
        ):  # fmt: skip
            phi.add_incoming(start, before)
            phi.add_incoming(more, loop)
        builder.cbranch(builder.icmp_signed("<", turned, count), loop, done)
        builder.position_at_end(done)
        for key in tile:
            total = builder.phi(vector)
            total.add_incoming(first[key], before)
            total.add_incoming(made[key], loop)
            sums[key] = total
        for key in tile:
            builder.store(sums[key], ends[key], align=8)
        return context.get_dummy_value()

    return generate


def _signature(c, places, u, out):  # type: ignore[no-untyped-def]
    size = types.intp
    return types.void(c, size, size, size, places, size, u, size, out, size, size)


@intrinsic
def _wide(_typing, c, at, step, apart, places, count, u, base, out, o, below):  # type: ignore[no-untyped-def]
    return _signature(c, places, u, out), _generator(WIDE)


@intrinsic
def _tall(_typing, c, at, step, apart, places, count, u, base, out, o, below):  # type: ignore[no-untyped-def]
    return _signature(c, places, u, out), _generator(TALL)


@overload(add_wide, inline="always")
def _add_wide(c, at, step, apart, places, count, u, base, out, o, below):  # type: ignore[no-untyped-def]
    def compiled(c, at, step, apart, places, count, u, base, out, o, below):  # type: ignore[no-untyped-def]
        _wide(c, at, step, apart, places, count, u, base, out, o, below)  # type: ignore[call-arg]

    return compiled


@overload(add_tall, inline="always")
def _add_tall(c, at, step, apart, places, count, u, base, out, o, below):  # type: ignore[no-untyped-def]
    def compiled(c, at, step, apart, places, count, u, base, out, o, below):  # type: ignore[no-untyped-def]
        _tall(c, at, step, apart, places, count, u, base, out, o, below)  # type: ignore[call-arg]

    return compiled
