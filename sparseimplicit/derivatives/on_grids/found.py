"""Terms whose unknowns are the neighbours of a pixel: recognised, and split at the border."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..stated.bound import BoundTerm
from ..stated.grids import Stencil

Offset = tuple[int, ...]
Point = tuple[int, Offset]


@dataclass(frozen=True, eq=False)
class GridTerm:
    """A term on a grid: its elements are pixels, its unknowns stand at offsets from them.

    points : (base, offset) of each unknown, which is number base + pixel at the offset.
    x_points : the same for parameters by index; None where they stand anywhere.
    element_box : the pixels that are elements, numbered row by row.
    border : of the elements that reach beyond the grid.
    """

    term: BoundTerm
    number: int
    shape: tuple[int, ...]
    points: tuple[Point, ...]
    x_points: tuple[Point | None, ...]
    element_box: tuple[tuple[int, int], ...]

    @property
    def pixels(self) -> int:
        """Number of pixels of the grid."""
        return int(np.prod(self.shape))

    @property
    def zero(self) -> Offset:
        """The offset of the pixel itself."""
        return (0,) * len(self.shape)

    @property
    def reach(self) -> tuple[tuple[int, int], ...]:
        """The smallest and the largest offset along each axis, 0 included."""
        offsets = [o for _, o in self.points] + [p[1] for p in self.x_points if p is not None]
        return tuple((min(0, *c), max(0, *c)) for c in zip(*offsets, self.zero, strict=True))

    @cached_property
    def box(self) -> tuple[tuple[int, int], ...]:
        """First and last-plus-one pixel along each axis of the elements wholly on the grid."""
        pairs = zip(self.element_box, self.shape, self.reach, strict=True)
        return tuple((max(a, -low), min(b, n - high)) for (a, b), n, (low, high) in pairs)

    @property
    def empty(self) -> bool:
        """Whether no element is wholly on the grid."""
        return any(b <= a for a, b in self.box)

    @cached_property
    def rest(self) -> NDArray[np.int64]:
        """Numbers of the elements outside of the box: those that reach beyond the border."""
        sizes = [b - a for a, b in self.element_box]
        inside = np.zeros(sizes, dtype=np.bool_)
        inside[tuple(slice(p - a, q - a) for (p, q), (a, _) in
                     zip(self.box, self.element_box, strict=True))] = True  # fmt: skip
        return np.flatnonzero(~inside)

    @cached_property
    def rest_indices(self) -> NDArray[Any]:
        """Places of the unknowns of these elements, (rest, k)."""
        stencil = self.term.stencil
        if stencil is None:
            return self.term.yi[self.rest]
        return stencil.indices_of(self.rest)

    def line_starts(self) -> NDArray[np.int64]:
        """Return for each line of the grid the number of its element in column 0, or `ABSENT`.

        Virtual where column 0 is no element.
        """
        outer_shape = self.shape[:-1]
        (first, last) = self.element_box[-1]
        starts = np.full(outer_shape or (1,), -(2**62), dtype=np.int64)
        ranges = self.box[:-1]
        sizes = [b - a for a, b in self.element_box[:-1]]
        lines = np.arange(int(np.prod(sizes))).reshape(sizes or (1,)) * (last - first) - first
        if not ranges:
            return np.asarray(lines.reshape(-1))
        inner = tuple(slice(p - a, q - a) for (p, q), (a, _) in
                      zip(ranges, self.element_box[:-1], strict=True))  # fmt: skip
        starts[tuple(slice(p, q) for p, q in ranges)] = lines[inner]
        return starts.reshape(-1)


def grid_terms(terms: list[BoundTerm]) -> dict[int, GridTerm]:
    """Return the terms, by number, that stand on the grid of the first stencil among them.

    An index array that counts the pixels (or a field of them) is the offset 0 of that grid.
    """
    shapes = [t.stencil.shape for t in terms if t.stencil is not None and not t.lifted]
    if not shapes:
        return {}
    shape = shapes[0]
    found = {}
    for number, term in enumerate(terms):
        made = _grid_term(term, number, shape)
        if made is not None and not made.empty:
            found[number] = made
    return found


def _grid_term(term: BoundTerm, number: int, shape: tuple[int, ...]) -> GridTerm | None:
    if term.lifted or term.rows is not None or term.points is not None:
        return None
    pixels = int(np.prod(shape))
    stencil = term.stencil
    points: tuple[Point, ...]
    if stencil is None:
        bases = counted(term.yi, pixels)
        if bases is None:
            return None
        zero = (0,) * len(shape)
        points = tuple((base, zero) for base in bases)
        element_box = tuple((0, n) for n in shape)
    elif stencil.shape == shape:
        points = tuple((field * pixels, _within(shape, o)) for field, o in stencil.points)
        element_box = stencil.element_box
    else:
        return None
    x_points = _parameter_points(term, shape, element_box)
    return GridTerm(term, number, shape, points, x_points, element_box)


def _within(shape: tuple[int, ...], offset: Offset) -> Offset:
    """Return an offset that moves nothing along an axis of one pixel: no border leads elsewhere."""
    return tuple(d if n > 1 else 0 for n, d in zip(shape, offset, strict=True))


def _parameter_points(
    term: BoundTerm, shape: tuple[int, ...], element_box: tuple[tuple[int, int], ...]
) -> tuple[Point | None, ...]:
    pixels = int(np.prod(shape))
    whole = element_box == tuple((0, n) for n in shape)
    columns = 0
    found: list[Point | None] = []
    for part in term.x_parts:
        if isinstance(part, Stencil):
            fits = part.shape == shape and part.element_box == element_box
            found += [(f * pixels, _within(shape, o)) if fits else None for f, o in part.points]
            columns += len(part.points)
        elif not hasattr(part, "places"):
            width = int(np.prod(np.shape(part)[1:], dtype=int))
            own = None if term.xi is None else term.xi[:, columns : columns + width]
            bases = counted(own, pixels) if whole and own is not None else None
            zero = (0,) * len(shape)
            found += [None] * width if bases is None else [(base, zero) for base in bases]
            columns += width
    return tuple(found)


def counted(places: NDArray[Any] | None, pixels: int) -> list[int] | None:
    """Return the first place of each column if all columns count the pixels one by one."""
    if places is None or places.shape[0] != pixels or pixels == 0:
        return None
    line = np.arange(pixels, dtype=places.dtype)
    bases = []
    for column in places.T:
        base = int(column[0])
        if not np.array_equal(column, line + places.dtype.type(base)):
            return None
        bases.append(base)
    return bases


def difference(a: Offset, b: Offset) -> Offset:
    """Return a − b."""
    return tuple(p - q for p, q in zip(a, b, strict=True))


def border_pixels(shape: tuple[int, ...], box: tuple[tuple[int, int], ...]) -> NDArray[Any]:
    """Return the pixels outside of a box, in order, without making a mask of the whole grid."""
    if len(shape) == 1:
        (a, b), (n,) = box[0], shape
        return np.concatenate([np.arange(a), np.arange(b, n)])
    inner = int(np.prod(shape[1:]))
    a, b = box[0]
    within = border_pixels(shape[1:], box[1:])
    outer = itertools.chain(range(a), range(b, shape[0]))
    parts = [i * inner + np.arange(inner) for i in outer]
    middle = (np.arange(a, b)[:, None] * inner + within).ravel()
    return np.sort(np.concatenate([*parts, middle]))
