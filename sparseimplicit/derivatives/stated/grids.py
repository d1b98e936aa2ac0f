"""Unknowns on a regular grid, named by their offsets from a pixel."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ...errors import ShapeError

BORDERS: Final = ("nearest", "inside", "periodic", "symmetric")


@dataclass(frozen=True)
class Stencil:
    """The unknowns at pixel + offset of every pixel of a grid; see `stencil`.

    ``points`` holds (field, offset) of each local unknown; field f of the state stands behind the
    f fields before it, each of one number a pixel.
    """

    shape: tuple[int, ...]
    points: tuple[tuple[int, tuple[int, ...]], ...]
    border: str
    local_shape: tuple[int, ...]

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return int(np.prod(self.shape))

    @property
    def size(self) -> int:
        """Number of unknowns of the grid that the stencil reaches: fields × pixels."""
        return (1 + max(field for field, _ in self.points)) * self.pixels

    @property
    def reach(self) -> tuple[tuple[int, int], ...]:
        """The smallest and the largest offset along each axis, 0 included."""
        columns = list(zip(*(offset for _, offset in self.points), strict=True))
        return tuple((min(0, *c), max(0, *c)) for c in columns)

    @property
    def box(self) -> tuple[tuple[int, int], ...]:
        """First and last-plus-one pixel along each axis for which all offsets stay on the grid."""
        return tuple(
            (-low, max(-low, n - high))
            for n, (low, high) in zip(self.shape, self.reach, strict=True)
        )

    @property
    def element_box(self) -> tuple[tuple[int, int], ...]:
        """The pixels that are elements: all, or with border "inside" those of `box`."""
        return self.box if self.border == "inside" else tuple((0, n) for n in self.shape)

    @property
    def elements(self) -> int:
        """Number of elements, row by row."""
        return int(np.prod([b - a for a, b in self.element_box]))

    def indices(self) -> NDArray[Any]:
        """Return the places in the state, (elements, points), int32 where that suffices."""
        dtype = np.int32 if self.size < 2**31 else np.int64
        out = np.empty((self.elements, len(self.points)), dtype=dtype)
        for k, (field, offset) in enumerate(self.points):
            place = np.full((1,) * len(self.shape), field * self.pixels, dtype=dtype)
            stride = self.pixels
            for axis, (n, (a, b), d) in enumerate(
                zip(self.shape, self.element_box, offset, strict=True)
            ):
                stride //= n
                line = on_grid(np.arange(a, b) + d, n, self.border)
                form = [1] * len(self.shape)
                form[axis] = b - a
                place = place + (stride * line).astype(dtype).reshape(form)
            out[:, k] = place.ravel()
        return out.reshape(self.elements, *self.local_shape)

    def indices_of(self, elements: NDArray[Any]) -> NDArray[Any]:
        """Return the rows of `indices` of these elements, (elements, points)."""
        dtype = np.int32 if self.size < 2**31 else np.int64
        sizes = tuple(b - a for a, b in self.element_box)
        pixel = np.unravel_index(elements, sizes)
        out = np.empty((elements.size, len(self.points)), dtype=dtype)
        for k, (field, offset) in enumerate(self.points):
            place = np.zeros(elements.size, dtype=np.int64)
            for n, (a, _), here, d in zip(self.shape, self.element_box, pixel, offset, strict=True):
                line = on_grid(here + (a + d), n, self.border)
                place = place * n + line
            out[:, k] = place + field * self.pixels
        return out

    def __add__(self, other: Stencil) -> Stencil:
        """Join the unknowns of two stencils of one grid into one element."""
        if not isinstance(other, Stencil):
            return NotImplemented
        if (self.shape, self.border) != (other.shape, other.border):
            raise ShapeError(
                f"stencils of grids {self.shape} ({self.border}) and {other.shape} "
                f"({other.border}) cannot be joined.",
                where="stencil",
                fix="give both the same shape and border.",
            )
        points = self.points + other.points
        return Stencil(self.shape, points, self.border, (len(points),))


def stencil(
    shape: Sequence[int],
    offsets: Sequence[Any],
    field: int = 0,
    border: str = "nearest",
) -> Stencil:
    """Return the unknowns at pixel + offset, for every pixel of a grid.

    Parameters
    ----------
    shape : tuple of 1 to 3 numbers
        Of the grid; its pixels are numbered row by row.
    offsets : sequence of tuples (of numbers on a line)
        The local unknowns, in the order in which the term sees them.
    field : int
        Of a state of several fields, stacked (fields, *shape): which. Stencils of several fields
        are joined by ``+``.
    border : {"nearest", "inside", "periodic", "symmetric"}
        Beyond the border stands the nearest pixel, so that differences vanish there; or only
        pixels whose offsets all lie on the grid are elements; or the grid is closed; or beyond the
        border stands the mirrored image, … u₁ u₀ | u₀ u₁ …, as often as offsets need it.

    Raises
    ------
    ShapeError
    """
    shape = whole_numbers(shape, "shape", "stencil")
    (field,) = whole_numbers(field, "field", "stencil")
    points = tuple((field, whole_numbers(o, "an offset", "stencil")) for o in offsets)
    if not 1 <= len(shape) <= 3 or min(shape) < 1 or not points or field < 0:
        raise ShapeError(
            f"a grid of 1 to 3 axes, offsets and a field ≥ 0 are needed, got shape {shape}, "
            f"{len(points)} offsets, field {field}.",
            where="stencil",
        )
    if any(len(offset) != len(shape) for _, offset in points):
        raise ShapeError(f"an offset has not {len(shape)} numbers.", where="stencil")
    if border not in BORDERS:
        raise ShapeError(
            f"there is no border '{border}'.", where="stencil", fix=f"choose one of {BORDERS}."
        )
    made = Stencil(shape, points, border, (len(points),))
    if made.elements == 0:
        raise ShapeError(f"no pixel of a grid {shape} has all of these offsets.", where="stencil")
    return made


def patches(
    shape: Sequence[int], size: Sequence[int], field: int = 0, border: str = "inside"
) -> Stencil:
    """Return the patches of this size, pixel by pixel and row by row.

    Parameters
    ----------
    shape, size : tuples of 1 to 3 numbers
    field : int
        As for `stencil`.
    border : {"inside", "symmetric", "periodic", "nearest"}
        Inside: all patches that fit into the grid. Else one patch a pixel, of any size, which
        begins ⌊size/2⌋ pixels before it, as `linear.FilterOperator` has it; see `stencil`.

    Raises
    ------
    ShapeError
    """
    shape = whole_numbers(shape, "shape", "patches")
    size = whole_numbers(size, "size", "patches")
    inside = border == "inside"
    fits = len(size) == len(shape) and all(
        b >= 1 and (b <= n or not inside) for b, n in zip(size, shape, strict=True)
    )
    if not fits:
        raise ShapeError(f"patches {size} do not fit into a grid {shape}.", where="patches")
    ranges = [range(b) if inside else range(-(b // 2), b - b // 2) for b in size]
    return stencil(shape, list(itertools.product(*ranges)), field, border)


def whole_numbers(given: Any, name: str, where: str) -> tuple[int, ...]:
    """Return whole numbers, of any type that holds them; others are refused, not cut off."""
    try:
        return tuple(index(n) for n in np.atleast_1d(np.asarray(given, dtype=object)))
    except TypeError:
        raise ShapeError(
            f"{name} = {given!r} is not of whole numbers.",
            where=where,
            fix="give integers: n // 2 in place of n / 2.",
        ) from None


def on_grid(place: NDArray[Any], n: int, border: str) -> NDArray[Any]:
    """Return where on a line of n pixels these places stand, which may lie beyond its ends."""
    if border == "periodic":
        return np.asarray(place % n)
    if border == "symmetric":  # … u₁ u₀ | u₀ u₁ … u₋₁ | u₋₁ …, of period 2n
        place = place % (2 * n)
        return np.asarray(np.where(place < n, place, 2 * n - 1 - place))
    return np.asarray(np.clip(place, 0, n - 1))


def lines_of(shape: tuple[int, ...], outer: tuple[int, ...]) -> int:
    """Return how many lines an offset of the axes but the last moves."""
    step = 0
    for n, d in zip(shape[:-1], outer, strict=True):
        step = step * n + d
    return step


def flat(shape: tuple[int, ...], offset: tuple[int, ...]) -> int:
    """Return how many pixels an offset moves."""
    return lines_of(shape, offset[:-1]) * shape[-1] + offset[-1]
