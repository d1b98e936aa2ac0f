"""Geometry of multigrid on regular grids: tables of integers that the kernels follow.

Grids have three axes, (z, y, x); those of one or two dimensions have a single plane or row. A
symmetric stencil is told by half of its offsets, the first of them zero: the other half is their
mirror image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import ShapeError
from ..kernels.lanes import LANES

Offset = tuple[int, int, int]
Shape = tuple[int, int, int]
Table = NDArray[np.int64]

CENTRE: Final[Offset] = (0, 0, 0)


def three(shape: tuple[int, ...]) -> Shape:
    """Return a grid's shape with three axes."""
    full = (1,) * (3 - len(shape)) + tuple(int(s) for s in shape)
    return full[0], full[1], full[2]


@lru_cache(maxsize=64)
def half_offsets(axes: tuple[bool, bool, bool]) -> tuple[Offset, ...]:
    """Return half of a box stencil along the given axes: 2, 5 or 14 offsets, the centre first."""
    ranges = [(-1, 0, 1) if axis else (0,) for axis in axes]
    return tuple(o for o in product(*ranges) if o >= CENTRE)  # type: ignore[misc]


def both_ways(offsets: tuple[Offset, ...]) -> list[tuple[int, Offset, Offset]]:
    """Return each coupling of a point: coefficient array, offset, and where that stands."""
    found = []
    for k, o in enumerate(offsets):
        found.append((k, o, CENTRE))
        if o != CENTRE:
            mirrored = _negative(o)
            found.append((k, mirrored, mirrored))
    return found


@dataclass(frozen=True)
class Transfer:
    """The tables of one step from fine to coarse; see `kernels.transfers` for their columns.

    interpolation: (odd, reach, parts) for each kind of fine points, in the order in which they can
    be interpolated.
    """

    steps: Table
    reached: Table
    interpolation: tuple[tuple[Table, Table, Table], ...]
    spread: Table
    gather: Table
    places: int
    coarse_offsets: tuple[Offset, ...]


@lru_cache(maxsize=64)
def transfer(offsets: tuple[Offset, ...], steps: Shape, axes: tuple[bool, bool, bool]) -> Transfer:
    """Return the tables for a stencil on a grid that extends along ``axes``."""
    reached = [q for q in product(*[(-1, 0, 1) if s == 2 else (0,) for s in steps]) if q != CENTRE]
    number = {q: w for w, q in enumerate(reached)} | {CENTRE: -1}
    couplings = both_ways(offsets)
    coarse_offsets = half_offsets(axes)
    # A periodic axis with an odd number of points has two coarse ones side by side at its ends.
    near = [_short(steps, meet) for meet in product((0, 1), repeat=3)]
    wanted = {_sum(_product(step, o), q) for step in near for o in coarse_offsets for q in number}
    made: dict[Offset, int] = {}
    spread = []
    for q, w in number.items():
        for k, o, stands in couplings:
            place = _sum(q, o)
            if place in wanted:
                at = made.setdefault(place, len(made))
                spread.append((at, w, k, *_sum(q, stands)))
    gather = [
        (k, w, *o, *(made.get(_sum(_product(step, o), q), -1) for step in near))
        for k, o in enumerate(coarse_offsets)
        for q, w in number.items()
    ]
    return Transfer(
        np.array(steps),
        np.array(reached, dtype=np.int64).reshape(-1, 3),
        tuple(_interpolation(couplings, odd, number) for odd in _kinds(steps)),
        np.array(sorted(spread)),
        np.array(gather),
        len(made),
        coarse_offsets,
    )


def _short(steps: Shape, meet: tuple[int, ...]) -> Offset:
    """Return the fine steps to the next coarse point, 1 on the axes where two of them meet."""
    short = [1 if m else s for s, m in zip(steps, meet, strict=True)]
    return short[0], short[1], short[2]


def _kinds(steps: Shape) -> list[Offset]:
    """Return which axes fine points are odd along: one axis first, then two, then three."""
    kinds = [o for o in product(*[(0, 1) if s == 2 else (0,) for s in steps]) if o != CENTRE]
    return sorted(kinds, key=sum)  # type: ignore[arg-type]


def _interpolation(
    couplings: list[tuple[int, Offset, Offset]], odd: Offset, number: dict[Any, int]
) -> tuple[Table, Table, Table]:
    patterns: dict[Offset, int] = {CENTRE: 0}
    reach = []
    for k, o, stands in couplings:
        pattern = _product(o, odd)  # the other axes are summed over
        reach.append((k, *stands, patterns.setdefault(pattern, len(patterns))))
    parts = []
    for sign in product(*[(-1, 1) if axis else (0,) for axis in odd]):
        for pattern, p in patterns.items():
            fits = all(a in (0, b) for a, b in zip(pattern, sign, strict=True))
            if p == 0 or not fits:
                continue
            # f + p is odd along the axes where p is 0, and has a weight of its own there.
            rest = tuple(-b if a == 0 else 0 for a, b in zip(pattern, sign, strict=True))
            parts.append((p, number[_negative(sign)], *sign, number[rest]))
    return (
        np.array(odd),
        np.array(reach, dtype=np.int64),
        np.array(parts, dtype=np.int64).reshape(-1, 6),
    )


@dataclass(frozen=True)
class Tiling:
    """Blocks of lines that cover a grid once; see `kernels.lines` for the tables."""

    lines: Table
    links: Table
    points: int
    stride: int
    band: int

    @property
    def rows(self) -> int:
        """Unknowns of a block."""
        return self.points * int(self.lines.shape[1])

    @property
    def groups(self) -> int:
        """Groups of blocks that are solved side by side."""
        return int(self.lines.shape[0])


@lru_cache(maxsize=256)
def tiling(
    shape: Shape, offsets: tuple[Offset, ...], axis: int, size: Shape, shift: Shape
) -> Tiling:
    """Return the blocks of lines along ``axis`` with ``size`` lines across, begun at −shift.

    A shifted block that lies inside one of those without a shift is left out: it would add nothing.
    """
    strides = (shape[1] * shape[2], shape[2], 1)
    across = [a for a in range(3) if a != axis]
    blocks = [-(-(shape[a] + shift[a]) // size[a]) for a in across]
    inside = [np.arange(size[a]) for a in across]
    starts, seams = [], []
    for a, count, within in zip(across, blocks, inside, strict=True):
        at = np.arange(count)[:, None] * size[a] - shift[a] + within
        starts.append(np.where((at >= 0) & (at < shape[a]), at * strides[a], -1))
        ends = np.clip(at[:, [0, -1]], 0, shape[a] - 1) // size[a]
        seams.append(ends[:, 0] < ends[:, 1])
    first, second = starts[0][:, None, :, None], starts[1][None, :, None, :]
    lines = np.where((first >= 0) & (second >= 0), first + second, -1)
    m = size[across[0]] * size[across[1]]
    lines = lines.reshape(-1, m)
    if any(shift):
        lines = lines[(seams[0][:, None] | seams[1]).ravel()]
    groups = -(-lines.shape[0] // LANES)
    padded = np.full((groups * LANES, m), -1, dtype=np.int64)
    padded[: lines.shape[0]] = lines
    grouped = np.ascontiguousarray(padded.reshape(groups, LANES, m).transpose(0, 2, 1))
    links = _links(offsets, axis, across, size)
    band = int(links[:, 1].max()) if links.size else 0
    return Tiling(grouped, links, shape[axis], strides[axis], band)


@dataclass(frozen=True)
class Seams:
    """Where the blocks of two tilings of a plane meet; see `kernels.seams` for starts and links.

    starts : of the seams of the first tiling, and of those of the shifted one.
    alongs : how far along its line the point behind a seam lies, for each coupling.
    first_own : the lines of the first tiling, −1 for those that are not at its own seams.
    second_own, second_other, second_both : those of the shifted one at its own seams, at those of
        the first, at either.
    along_rows : lines are rows of the grid.
    """

    starts: tuple[Table, Table]
    links: Table
    alongs: Table
    first_own: Table
    second_own: Table
    second_other: Table
    second_both: Table
    along_rows: bool


@lru_cache(maxsize=256)
def seams(
    shape: Shape, offsets: tuple[Offset, ...], axis: int, size: Shape, shift: Shape
) -> Seams | None:
    """Return the seams of both tilings; None where blocks meet along two axes."""
    beside = [a for a in range(3) if a != axis and size[a] > 1]
    if len(beside) != 1:
        return None
    across, strides = beside[0], (shape[1] * shape[2], shape[2], 1)

    def borders(first: int) -> Table:
        behind = np.arange(first, shape[across], size[across])
        return strides[across] * np.stack([behind - 1, behind], axis=1)

    starts = borders(size[across]), borders(shift[across])
    links = [(k, int(o[across] < 0), o[axis]) for k, o in enumerate(offsets) if o[across]]
    lines = [tiling(shape, offsets, axis, size, at).lines for at in (CENTRE, shift)]

    def at_seams(tiling: int, *of: int) -> Table:
        wanted = np.concatenate([starts[k] for k in of])
        return np.where(np.isin(lines[tiling], wanted), lines[tiling], -1)

    return Seams(
        starts,
        np.array(links, dtype=np.int64).reshape(-1, 3),
        np.array([-along if behind else along for _, behind, along in links], dtype=np.int64),
        first_own=at_seams(0, 0),
        second_own=at_seams(1, 1),
        second_other=at_seams(1, 0),
        second_both=at_seams(1, 0, 1),
        along_rows=axis == 2,
    )


def _links(offsets: tuple[Offset, ...], axis: int, across: list[int], size: Shape) -> Table:
    first, second = across
    m = size[first] * size[second]
    found = []
    for line in range(m):
        at = divmod(line, size[second])
        for k, o, stands in both_ways(offsets):
            other = at[0] + o[first], at[1] + o[second]
            if not (0 <= other[0] < size[first] and 0 <= other[1] < size[second]):
                continue
            column = other[0] * size[second] + other[1]
            below = -(o[axis] * m + column - line)
            if below > 0:  # the half below the diagonal
                found.append((line, below, k, column, int(o[axis] < 0), int(stands != CENTRE)))
    return np.array(found, dtype=np.int64).reshape(-1, 6)


def _sum(a: Any, b: Any) -> Offset:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def _product(a: Any, b: Any) -> Offset:
    return a[0] * b[0], a[1] * b[1], a[2] * b[2]


def _negative(a: Any) -> Offset:
    return -a[0], -a[1], -a[2]


def checked_grid(grid: Any, n: int) -> tuple[int, ...]:
    """Return a grid of one to three axes with n points as a tuple."""
    told = tuple(grid) if isinstance(grid, tuple | list | np.ndarray) else ()
    counts = all(isinstance(size, int | np.integer) and size >= 0 for size in told)
    if not (1 <= len(told) <= 3 and counts):
        raise ShapeError(
            f"a grid is told by one to three integers, got {grid!r}.",
            where="Operator",
            fix=f"give ({n},), (ny, nx) or (nz, ny, nx), with row-major points as the unknowns.",
        )
    if math.prod(told) != n:
        raise ShapeError(
            f"the grid {told} has {math.prod(told)} points, the matrix {n} unknowns.",
            where="Operator",
            fix="give the grid whose row-major points are the unknowns.",
        )
    return tuple(int(size) for size in told)
