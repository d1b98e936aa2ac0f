"""Parts of an image, each with a margin around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ..linear.operator import Array

Slices = tuple[slice, slice]


@dataclass(frozen=True)
class Tile:
    """A part of an image, and the part around it with which it is solved; rows and columns."""

    core: Slices
    whole: Slices

    @property
    def inner(self) -> Slices:
        """The core within the whole."""
        rows, columns = (
            slice(core.start - whole.start, core.stop - whole.start)
            for core, whole in zip(self.core, self.whole, strict=True)
        )
        return rows, columns


def tiles_of(shape: tuple[int, int], side: int, margin: int) -> list[Tile]:
    """Return tiles whose cores, about side × side and of almost one size, cover an image once."""
    spans = []
    for length in shape:
        edges = np.linspace(0, length, -(-length // side) + 1).round().astype(int).tolist()
        spans.append(
            [
                (slice(a, b), slice(max(a - margin, 0), min(b + margin, length)))
                for a, b in pairwise(edges)
            ]
        )
    return [
        Tile((r, c), (around_r, around_c)) for r, around_r in spans[0] for c, around_c in spans[1]
    ]


def widened(tile: Tile, distance: Array) -> Tile:
    """Return a tile with a margin of twice the way to a measured pixel, from anywhere in it."""
    while True:
        margin = 2 * int(np.ceil(distance[tile.whole].max()))
        rows, columns = (
            slice(
                max(min(whole.start, core.start - margin), 0),
                min(max(whole.stop, core.stop + margin), n),
            )
            for core, whole, n in zip(tile.core, tile.whole, distance.shape, strict=True)
        )
        if (rows, columns) == tile.whole:
            return tile
        tile = replace(tile, whole=(rows, columns))


def extent(slices: Slices) -> tuple[int, int]:
    """Return height and width."""
    return slices[0].stop - slices[0].start, slices[1].stop - slices[1].start
