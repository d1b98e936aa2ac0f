"""Grid terms run tile by tile, and lists at the border, by a generated function of one tile.

The function is called by its address and reads and writes tiles alone, so that what is generated
and compiled for a term is small; all the rest is here and serves all terms. Arrays whose number
differs among terms come as addresses too: who calls keeps them alive.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from .grid_lines import ABSENT, clear, put_irregular, stage, stage_data, stage_indexed, within

LINE, DATA, INDEX32, INDEX64 = range(4)  # kinds of inputs


def _pointer(number: Any) -> Any:
    """Return a function of compiled code that takes an address for one of such numbers."""
    kind: Any = types.CPointer

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    @intrinsic
    def pointer(_typing, address):  # type: ignore[no-untyped-def]
        return kind(number)(address), generate

    return pointer


def _generate_call(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    data = [
        context.make_array(kind)(context, builder, value).data
        for kind, value in zip(signature.args[2:], arguments[2:], strict=True)
    ]
    kinds = [arguments[1].type, *(d.type for d in data)]
    pointer = ir.FunctionType(ir.VoidType(), kinds).as_pointer()
    builder.call(builder.inttoptr(arguments[0], pointer), [arguments[1], *data])
    return context.get_dummy_value()


@intrinsic
def _typed_call(_typing, function, piece, inputs, shared, entries):  # type: ignore[no-untyped-def]
    return types.void(function, piece, inputs, shared, entries), _generate_call


_call: Any = _typed_call  # of an address, with arrays as pointers
_doubles, _ints32, _ints64 = (_pointer(n) for n in (types.float64, types.int32, types.int64))


@njit(cache=True, nogil=True)
def _stage(
    inputs: Any, s: int, el: int, element: int, left: int, low: int, high: int, lines: int,
    width: int, out: Any, size: int,
) -> None:  # fmt: skip
    """Copy an input's tile, as `run` has it in row s of ``inputs``."""
    kind, source, first, k = inputs[s, 0], _doubles(inputs[s, 1]), inputs[s, 2], inputs[s, 6]
    at = inputs[s, 7] * size
    if kind == LINE:
        line, begin = el + inputs[s, 3], left + inputs[s, 4]
        stage(source, first, line, lines, width, begin, out, at, size)
    elif kind == DATA:
        stage_data(source, k, first, element, low, high, out, at, size)
    elif kind == INDEX32:
        places = _ints32(inputs[s, 5])
        stage_indexed(source, places, k, first, element, low, high, out, at, size)
    else:
        wide = _ints64(inputs[s, 5])
        stage_indexed(source, wide, k, first, element, low, high, out, at, size)


@njit(cache=True, nogil=True)
def run(
    begin: int, end: int, function: int, grid: Any, tasks: Any, pieces: Any, inputs: Any,
    summed: Any, starts: Any, gather: Any, bounds: Any, fields: Any, begins: Any, few: Any,
    columns: Any, ends: Any, table: Any, ring: Any, inp: Any, sl: Any, shared: Any, out: Any,
    sums: Any,
) -> None:  # fmt: skip
    """Run tasks begin … end − 1: a band of lines of one strip of columns each.

    grid : lines, width, depth of the ring, largest and smallest offset of lines, columns of a
        tile and of one of inputs, how far this begins before that, entries of a line.
    tasks : first and last-plus-one line, strip. pieces : of each term its first entry, their
        number, where its shared parameters begin, its first and last-plus-one column.
    inputs : kind, address of the source, base or column, offset of lines and of columns, address
        of the indices, width of a row, place among tiles, term or −1. summed : term, entry.
    gather : offset of lines, place in a line of entries; bounds[s] … bounds[s + 1] of slot s.
    fields : of each base its slots, the first among all, first and last-plus-one inner column,
        first number in ``table``. begins, few, columns, ends, table : see `Rows`.
    """
    lines, width, depth, ahead, behind = grid[0], grid[1], grid[2], grid[3], grid[4]
    tile, size, before, entries = grid[5], grid[6], grid[7], grid[8]
    line_size = entries * size
    for n in range(begin, end):
        first, last, part = tasks[n, 0], tasks[n, 1], tasks[n, 2]
        left = part * tile - before
        for el in range(first - ahead, last - behind):
            at = (el % depth) * line_size
            o = ring[at : at + line_size]
            for s in range(inputs.shape[0]):
                if inputs[s, 8] < 0:
                    _stage(inputs, s, el, 0, left, 0, 0, lines, width, inp, size)
            for p in range(pieces.shape[0]):
                e = ABSENT
                if 0 <= el < lines:
                    e = starts[p, el]
                if e == ABSENT:
                    clear(o, pieces[p, 0], pieces[p, 1], size, 0, 0)
                    continue
                low, high = within(pieces[p, 3], pieces[p, 4], left, size)
                for s in range(inputs.shape[0]):
                    if inputs[s, 8] == p:
                        _stage(inputs, s, el, e + left, left, low, high, lines, width, inp, size)
                _call(function, p, inp, shared[pieces[p, 2] :], o)
                clear(o, pieces[p, 0], pieces[p, 1], size, low, high)
                for j in range(summed.shape[0]):
                    if summed[j, 0] == p:
                        sums[j, el, part] = _total(o, summed[j, 1] * size, low, high)
            line = el + behind
            if line >= first:
                for f in range(fields.shape[0]):
                    _gather(line, depth, line_size, tile, fields[f], gather, bounds, ring, sl)
                    _put(part * tile, tile, fields[f], begins[f, line], sl, out)
                    put_irregular(
                        sl, fields[f, 0], tile, part * tile, few[f, line], few[f, line + 1],
                        columns, ends, table, fields[f, 4], out,
                    )  # fmt: skip


@njit(cache=True, nogil=True)
def _total(entries: Any, at: int, low: int, high: int) -> float:
    total = 0.0
    for t in range(low, high):
        total += entries[at + t]
    return total


@njit(cache=True, nogil=True)
def _gather(
    line: int, depth: int, line_size: int, tile: int, field: Any, gather: Any, bounds: Any,
    ring: Any, sl: Any,
) -> None:  # fmt: skip
    """Sum up the slots of one line of a tile, each from its entries in the ring, in order."""
    before = ring[:tile]
    for s in range(field[0]):
        first, last = bounds[field[1] + s], bounds[field[1] + s + 1]
        own = sl[s * tile : (s + 1) * tile]
        if first == last:
            for t in range(tile):
                own[t] = 0.0
        for g in range(first, last):
            at = ((line - gather[g, 0]) % depth) * line_size + gather[g, 1]
            entry = ring[at : at + tile]
            if g == first:
                before = entry  # not yet in ``own``: most slots have two entries or one
                if first + 1 == last:
                    for t in range(tile):
                        own[t] = entry[t]
            elif g == first + 1:
                for t in range(tile):
                    own[t] = before[t] + entry[t]
            else:
                for t in range(tile):
                    own[t] += entry[t]


@njit(cache=True, nogil=True)
def _put(j0: int, tile: int, field: Any, begin: int, sl: Any, out: Any) -> None:
    """Write the slots of the inner rows of a line, four at once where there are as many."""
    if begin < 0:
        return
    slots = field[0]
    low, high = within(field[2], field[3], j0, tile)
    count = high - low
    begin += (j0 + low - field[2]) * slots
    target = out[begin : begin + count * slots]
    step = np.uint64(slots)
    for s in range(0, slots - 3, 4):
        a, b, c, d = (
            sl[s * tile + low : s * tile + high],
            sl[(s + 1) * tile + low : (s + 1) * tile + high],
            sl[(s + 2) * tile + low : (s + 2) * tile + high],
            sl[(s + 3) * tile + low : (s + 3) * tile + high],
        )
        k = np.uint64(s)
        for t in range(count):
            target[k] = a[t]
            target[k + np.uint64(1)] = b[t]
            target[k + np.uint64(2)] = c[t]
            target[k + np.uint64(3)] = d[t]
            k += step
    for s in range(slots - slots % 4, slots):
        a = sl[s * tile + low : s * tile + high]
        k = np.uint64(s)
        for t in range(count):
            target[k] = a[t]
            k += step


@njit(cache=True, nogil=True)
def run_list(
    count: int, function: int, piece: int, size: int, inputs: Any, stores: Any, summed: Any,
    inp: Any, o: Any, shared: Any, to: Any, out: Any, sums: Any,
) -> None:  # fmt: skip
    """Run a term for a list of elements: add entry stores[a] of element e to out[to[e, a]].

    To sums[j] is added the sum of entry summed[j].
    """
    for q in range(0, count, size):
        high = min(size, count - q)
        for s in range(inputs.shape[0]):
            _stage(inputs, s, 0, q, 0, 0, high, 0, 0, inp, size)
        _call(function, piece, inp, shared, o)
        for t in range(high):
            for a in range(stores.size):
                out[to[q + t, a]] += o[stores[a] * size + t]
        for j in range(summed.size):
            sums[j] += _total(o, summed[j] * size, 0, high)
