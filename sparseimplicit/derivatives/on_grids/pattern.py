"""Sparse patterns of grid terms: one list of shifts for all inner rows, tables at the border."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels import grid_lines
from ..stated.grids import flat
from .found import GridTerm, Offset, border_pixels, difference

Ints = NDArray[Any]
Slot = tuple[int, Offset]  # column base, offset of the column's pixel from the row's


@dataclass(frozen=True)
class Pair:
    """An entry of the Hessian of a grid term's element: its row and its column."""

    grid: GridTerm
    row: tuple[int, Offset]
    column: tuple[int, Offset]

    @property
    def slot(self) -> Slot:
        """Where it stands in its row."""
        return self.column[0], difference(self.column[1], self.row[1])


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one base: which are inner, and where the others have their entries.

    begins : for each line the place of its first inner row, −1 where it has none.
    few, columns, bounds, table : for each line its other rows; of each its column, the bounds of
        its entries, and the places of the slots, −1 where it lacks one.
    """

    base: int
    slots: tuple[Slot, ...]
    regular: tuple[int, int]
    begins: Ints
    few: Ints
    columns: Ints
    bounds: Ints
    table: Ints


@dataclass(frozen=True, eq=False)
class GridPattern:
    """The pattern of a matrix of grid terms."""

    indptr: Ints
    indices: Ints
    rows: tuple[Rows, ...]


def grid_pattern(
    shape: tuple[int, ...],
    bases: list[int],
    pairs: list[Pair],
    rest: list[tuple[Ints, Ints]],
    margin: tuple[tuple[int, int], ...],
) -> GridPattern | None:
    """Return the pattern of these pairs, and of the ``rest`` as rows and columns one by one.

    ``bases`` are the row bases, in order and without gaps; ``margin`` is how far from the border
    rows of the rest may stand. None where no row of some base is inner.
    """
    pixels = int(np.prod(shape))
    slots = {base: _slots(shape, [p for p in pairs if p.row[0] == base]) for base in bases}
    boxes = {base: _inner(shape, [p for p in pairs if p.row[0] == base], margin) for base in bases}
    if any(b <= a for box in boxes.values() for a, b in box):
        return None
    counts = np.empty(len(bases) * pixels, dtype=np.int64)
    borders = []
    for n, base in enumerate(bases):
        own = [p for p in pairs if p.row[0] == base]
        outside = border_pixels(shape, boxes[base])
        borders.append(_border(shape, base, outside, own, rest))
        here = counts[n * pixels : (n + 1) * pixels]
        here[:] = len(slots[base])
        here[outside] = np.diff(borders[-1][0])
    total = int(counts.sum())
    dtype = np.int32 if max(total, _highest(pairs, pixels)) < 2**31 - 1 else np.int64
    indptr = np.zeros(counts.size + 1, dtype=dtype)
    np.cumsum(counts, out=indptr[1:])
    indices = np.empty(total, dtype=dtype)
    rows = []
    for n, base in enumerate(bases):
        outside = border_pixels(shape, boxes[base])
        starts = indptr[n * pixels : (n + 1) * pixels + 1]
        rows.append(
            _rows(shape, base, slots[base], boxes[base], starts, outside, borders[n], indices)
        )
    return GridPattern(indptr, indices, tuple(rows))


def _highest(pairs: list[Pair], pixels: int) -> int:
    return max((p.column[0] for p in pairs), default=0) + pixels


def _slots(shape: tuple[int, ...], pairs: list[Pair]) -> tuple[Slot, ...]:
    found = {p.slot for p in pairs}
    return tuple(sorted(found, key=lambda s: (s[0], flat(shape, s[1]))))


def _inner(
    shape: tuple[int, ...], pairs: list[Pair], margin: tuple[tuple[int, int], ...]
) -> tuple[tuple[int, int], ...]:
    """Return the box of pixels that all pairs reach from whole elements, clear of the margins."""
    box = []
    for axis, n in enumerate(shape):
        ends = [(p.grid.box[axis], p.row[1][axis]) for p in pairs]
        low = max([margin[axis][0], *(a + d for (a, _), d in ends)])
        high = min([n - margin[axis][1], *(b + d for (_, b), d in ends)])
        box.append((low, high))
    return tuple(box)


def _border(
    shape: tuple[int, ...],
    base: int,
    outside: Ints,
    pairs: list[Pair],
    rest: list[tuple[Ints, Ints]],
) -> tuple[Ints, Ints]:
    """Return starts and sorted columns of the rows at these pixels."""
    place = np.unravel_index(outside, shape)
    numbers, columns = [], []
    for pair in pairs:
        within = np.ones(outside.size, dtype=np.bool_)
        for here, d, (a, b) in zip(place, pair.row[1], pair.grid.box, strict=True):
            within &= (here - d >= a) & (here - d < b)
        numbers.append(np.flatnonzero(within))
        column_base, shift = pair.slot
        columns.append(outside[within] + (column_base + flat(shape, shift)))
    pixels = int(np.prod(shape))
    for rows, others in rest:
        mine = (rows >= base) & (rows < base + pixels)
        numbers.append(np.searchsorted(outside, rows[mine] - base))
        columns.append(others[mine].astype(np.int64))
    number = np.concatenate([np.empty(0, dtype=np.int64), *numbers])
    column = np.concatenate([np.empty(0, dtype=np.int64), *columns])
    order = np.lexsort((column, number))
    number, column = number[order], column[order]
    fresh = np.ones(number.size, dtype=np.bool_)
    fresh[1:] = (number[1:] != number[:-1]) | (column[1:] != column[:-1])
    number, column = number[fresh], column[fresh]
    starts = np.searchsorted(number, np.arange(outside.size + 1))
    return starts, column


def _rows(
    shape: tuple[int, ...], base: int, slots: tuple[Slot, ...], box: tuple[tuple[int, int], ...],
    starts: Ints, outside: Ints, border: tuple[Ints, Ints], indices: Ints,
) -> Rows:  # fmt: skip
    """Return the rows of a base, and fill their indices."""
    width = shape[-1]
    lines = int(np.prod(shape[:-1], dtype=int))
    inner = np.zeros(shape[:-1] or (1,), dtype=np.bool_)
    inner[tuple(slice(a, b) for a, b in box[:-1]) if box[:-1] else slice(None)] = True
    first_rows = np.arange(lines) * width + box[-1][0]
    begins = np.where(inner.ravel(), starts[first_rows].astype(np.int64), -1)
    shifts = np.array([b + flat(shape, d) for b, d in slots], dtype=np.int64)
    count = box[-1][1] - box[-1][0]
    grid_lines.fill_columns(begins, first_rows, count, shifts, indices)
    own_starts, own = border
    begin = starts[outside].astype(np.int64)
    lengths = np.diff(own_starts)
    indices[np.repeat(begin - own_starts[:-1], lengths) + np.arange(own.size)] = own
    table = np.full((outside.size, len(slots)), -1, dtype=np.int64)
    number = np.repeat(np.arange(outside.size), lengths)
    span = np.int64(max(own.max(initial=0), 1)) + 1
    keys = number * span + own
    place = np.unravel_index(outside, shape)
    for s, shift in enumerate(shifts):
        column = outside + shift
        on_grid = np.ones(outside.size, dtype=np.bool_)
        for here, d, n in zip(place, slots[s][1], shape, strict=True):
            on_grid &= (here + d >= 0) & (here + d < n)
        wanted = np.arange(outside.size) * span + column
        at = np.minimum(np.searchsorted(keys, wanted), max(keys.size - 1, 0))
        known = (keys[at] == wanted) & on_grid if keys.size else np.zeros(0, np.bool_)
        table[known, s] = begin[known] + at[known] - own_starts[:-1][known]
    few = np.searchsorted(outside, np.arange(lines + 1) * width)
    bounds = np.stack([begin, begin + lengths], axis=1)
    return Rows(base, slots, box[-1], begins, few, outside % width, bounds, table)
