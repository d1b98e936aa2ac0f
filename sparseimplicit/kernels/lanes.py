"""Elimination on `LANES` systems at once: the same operation on a vector of numbers, one a system.

LLVM does not see that the rows of a band do not overlap, and so leaves its loops scalar: here the
vector is written out. Arrays are flat; a row of lanes begins at the offset given.

Arrays of uint16 hold numbers of float16: three digits, and nothing above 65504.
"""

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

LARGEST_HALF: Final = 65504.0
LANES: Final = 16  # two AVX or four SSE registers: sums that do not wait for one another


def eliminate(
    out: Any,
    o: int,
    scale: Any,
    s: int,
    a: Any,
    i: int,
    a_step: int,
    b: Any,
    j: int,
    b_step: int,
    count: int,
) -> None:
    """out[o] = out[o] scale[s] − Σ_{k < count} a[i + k a_step] b[j + k b_step], lane by lane.

    a may hold halves. Compiled code does it with vectors; this body says what, and is what tests
    compare with.
    """
    lanes = slice(0, LANES)
    a = whole(a)
    total = out[o:][lanes] * scale[s:][lanes]
    for k in range(count):
        total = total - a[i + k * a_step :][lanes] * b[j + k * b_step :][lanes]
    out[o : o + LANES] = total


def halves(a: Any) -> Any:
    """Return numbers in float16, as uint16; what is too large for it as its largest."""
    near = np.clip(np.asarray(a, dtype=np.float32), -LARGEST_HALF, LARGEST_HALF)
    return near.astype(np.float16).view(np.uint16)


def whole(a: Any) -> Any:
    """Return the numbers of which an array holds the halves; other numbers as they are."""
    return a.view(np.float16).astype(np.float32) if a.dtype == np.uint16 else a


def converts_halves(context: Any) -> bool:
    """Whether the processor that is compiled for has instructions for float16."""
    triple, _, features = context.codegen().magic_tuple()
    return triple.startswith(("aarch64", "arm64")) or "+f16c" in features


def as_floats(context: Any, builder: Any, place: Any, vector: Any) -> Any:
    """Return the vector of the numbers whose halves stand at a pointer, in compiled code.

    Without an instruction for it: their bits as those of a float32 are 2¹¹² times too small.
    """
    floats, words = (ir.VectorType(kind, LANES) for kind in (ir.FloatType(), ir.IntType(32)))
    if converts_halves(context):
        stored = ir.VectorType(ir.HalfType(), LANES)
        numbers = builder.load(builder.bitcast(place, stored.as_pointer()), align=2)
        return builder.fpext(numbers, vector)
    stored = ir.VectorType(ir.IntType(16), LANES)
    bits = builder.zext(builder.load(builder.bitcast(place, stored.as_pointer()), align=2), words)
    size = builder.shl(builder.and_(bits, all_lanes(words, 0x7FFF)), all_lanes(words, 13))
    sign = builder.shl(builder.and_(bits, all_lanes(words, 0x8000)), all_lanes(words, 16))
    size = builder.fmul(builder.bitcast(size, floats), all_lanes(floats, 2.0**112))
    numbers = builder.bitcast(builder.or_(builder.bitcast(size, words), sign), floats)
    return numbers if floats == vector else builder.fpext(numbers, vector)


def all_lanes(kind: Any, value: Any) -> Any:
    """Return a constant of the same number in all lanes."""
    return ir.Constant(kind, [value] * LANES)


@intrinsic
def _eliminate(_typing, out, o, scale, s, a, i, a_step, b, j, b_step, count):  # type: ignore[no-untyped-def]
    whole = types.intp
    signature = types.void(
        out, whole, scale, whole, a, whole, whole, b, whole, whole, whole
    )  # fmt: skip

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        out, o, scale, s, a, i, a_step, b, j, b_step, count = arguments
        number = signature.args[0].dtype
        vector = ir.VectorType(context.get_value_type(number), LANES)
        align = number.bitwidth // 8

        def data(place, value):  # type: ignore[no-untyped-def]
            kind = signature.args[place]
            return context.make_array(kind)(context, builder, value).data

        def pointer(base, offset):  # type: ignore[no-untyped-def]
            return builder.bitcast(builder.gep(base, [offset]), vector.as_pointer())

        def load(base, offset):  # type: ignore[no-untyped-def]
            return builder.load(pointer(base, offset), align=align)

        def load_left(offset):  # type: ignore[no-untyped-def]
            if signature.args[4].dtype != types.uint16:
                return load(left, offset)
            return as_floats(context, builder, builder.gep(left, [offset]), vector)

        target, left, right = data(0, out), data(4, a), data(7, b)
        first = builder.fmul(load(target, o), load(data(2, scale), s))
        zero, four = (ir.Constant(count.type, value) for value in (0, 4))

        def less(total, at_a, at_b):  # type: ignore[no-untyped-def]
            product = builder.fmul(load_left(at_a), load(right, at_b), flags=("contract",))
            return builder.fsub(total, product, flags=("contract",))

        # Four sums side by side: one alone would wait for each product to end.
        before = builder.block
        fours, rest, single, done = (
            builder.append_basic_block(name) for name in ("fours", "rest", "single", "done")
        )
        whole_count = builder.and_(count, ir.Constant(count.type, -4))
        builder.cbranch(builder.icmp_signed(">", whole_count, zero), fours, rest)
        builder.position_at_end(fours)
        sums = [builder.phi(vector) for _ in range(4)]
        k, at_a, at_b = (builder.phi(count.type) for _ in range(3))
        made, next_a, next_b = [], at_a, at_b
        for total in sums:
            made.append(less(total, next_a, next_b))
            next_a, next_b = builder.add(next_a, a_step), builder.add(next_b, b_step)
        turned = builder.add(k, four)
        nothing = ir.Constant(vector, [0.0] * LANES)
        for phi, start, following in (
            *zip(sums, [first, nothing, nothing, nothing], made, strict=True),
            (k, zero, turned), (at_a, i, next_a), (at_b, j, next_b),
        ):  # fmt: skip
            phi.add_incoming(start, before)
            phi.add_incoming(following, fours)
        # The last that was stored, b[j], is in the first sum, which is therefore added last.
        others = builder.fadd(builder.fadd(made[1], made[2]), made[3])
        all_four = builder.fadd(made[0], others)
        builder.cbranch(builder.icmp_signed("<", turned, whole_count), fours, rest)
        builder.position_at_end(rest)
        total, at, rest_a, rest_b = (builder.phi(t) for t in (vector, k.type, i.type, j.type))
        for phi, start, following in (
            (total, first, all_four), (at, zero, turned), (rest_a, i, next_a), (rest_b, j, next_b),
        ):  # fmt: skip
            phi.add_incoming(start, before)
            phi.add_incoming(following, fours)
        builder.cbranch(builder.icmp_signed("<", at, count), single, done)
        builder.position_at_end(single)
        sum_, step, one_a, one_b = (builder.phi(t) for t in (vector, k.type, i.type, j.type))
        ended, stepped = less(sum_, one_a, one_b), builder.add(step, ir.Constant(count.type, 1))
        for phi, start, following in (
            (sum_, total, ended), (step, at, stepped),
            (one_a, rest_a, builder.add(one_a, a_step)),
            (one_b, rest_b, builder.add(one_b, b_step)),
        ):  # fmt: skip
            phi.add_incoming(start, rest)
            phi.add_incoming(following, single)
        builder.cbranch(builder.icmp_signed("<", stepped, count), single, done)
        builder.position_at_end(done)
        value = builder.phi(vector)
        value.add_incoming(total, rest)
        value.add_incoming(ended, single)
        builder.store(value, pointer(target, o), align=align)
        return context.get_dummy_value()

    return signature, generate


@overload(eliminate, inline="always")
def _eliminate_compiled(out, o, scale, s, a, i, a_step, b, j, b_step, count):  # type: ignore[no-untyped-def]
    def compiled(out, o, scale, s, a, i, a_step, b, j, b_step, count):  # type: ignore[no-untyped-def]
        _eliminate(out, o, scale, s, a, i, a_step, b, j, b_step, count)  # type: ignore[call-arg]

    return compiled
