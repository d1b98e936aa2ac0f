"""The elements of a grid term that reach beyond the border: a list, run by the grid's function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ...kernels import grid_tasks
from .fill import GridKernel, Inputs, indexed, shared_of, table, whole
from .found import GridTerm
from .source import source_of

Array = NDArray[np.float64]
NOWHERE: Final = table([], 1)


class Rest:
    """The elements of a grid term that reach beyond the border."""

    def __init__(self, grid: GridTerm) -> None:
        term = grid.term
        self.grid, self.count = grid, int(grid.rest.size)
        self.yi = np.ascontiguousarray(grid.rest_indices)
        self.xi = None if term.xi is None else np.ascontiguousarray(term.xi[grid.rest])
        self.c = None if term.c is None else np.ascontiguousarray(term.c[grid.rest])

    def images(self, first: int, count: int) -> NDArray[np.int64]:
        """Return where these elements stand in images from ``first`` on, (elements, count)."""
        box = self.grid.element_box
        pixel = np.unravel_index(self.grid.rest, tuple(b - a for a, b in box))
        place = [p + a for p, (a, _) in zip(pixel, box, strict=True)]
        flat = np.ravel_multi_index(place, self.grid.shape).astype(np.int64)
        return flat[:, None] + self.grid.pixels * np.arange(first, first + count)


class BorderKernel:
    """One term of a grid kernel for the elements at the border.

    ``to[e, a]`` is where store a of element e is added; None where sums alone are wanted.
    """

    def __init__(
        self, kernel: GridKernel, number: int, rest: Rest, to: NDArray[Any] | None
    ) -> None:
        self.kernel, self.number, self.rest = kernel, number, rest
        self.piece = kernel.pieces[number]
        entries, program = kernel.text.entries[number], self.piece.program
        self.to = NOWHERE if to is None else np.ascontiguousarray(to, dtype=np.int64)
        self.stores = whole(*([] if to is None else [entries[a] for a in program.stores]))
        self.summed = whole(*(entries[a] for a in program.sums))
        tiles = kernel.text.numbers[number]
        given = []
        for name, place in tiles:
            source = source_of(name)
            indices = rest.yi if name.endswith("y") else rest.xi
            if name == "p":
                indices, place = rest.images(self.piece.duals + place, 1), 0
            given.append(indexed(source, place, indices, rest.c))
        self.inputs = Inputs(given, kernel.shape, [(tile, 0) for tile in tiles.values()])

    def run(self, x: Array, y: Array, seeds: Mapping[str, Array], out: Array) -> Array:
        """Add to ``out`` and return the sums."""
        size, text = self.kernel.size, self.kernel.text
        sums = np.zeros(self.summed.size)
        inp = np.zeros(len(text.inputs) * size)
        o = np.empty(sum(len(e) for e in text.entries) * size)
        grid_tasks.run_list(
            self.rest.count, self.kernel.address, self.number, size,
            self.inputs.at({"y": y, "x": x, **seeds}), self.stores, self.summed, inp, o,
            shared_of(self.piece.grid.term, x, seeds), self.to, out, sums,
        )  # fmt: skip
        return sums
