"""Running grid terms: one pass over the lines of a grid for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..programs.compiled import compiled
from ..programs.lists import frozen
from ..programs.threads import spread
from ..stated.grids import lines_of
from .pattern import Rows
from .source import Layout, Piece, grid_text

Array = NDArray[np.float64]

PARALLEL: Final = 100_000  # pixels, as for lists
SCRATCH: Final = 24_576  # numbers that the tiles of a task may take: 192 KB, within a core's cache
BAND: Final = 64  # lines of a task, at least
NO_SUMS: Final = np.empty((0, 0, 0))


class GridKernel:
    """Programs of grid terms, compiled for one grid.

    Parameters
    ----------
    pieces : the terms, with their programs and where each store goes.
    rows : of a matrix, one for each base; of a vector, the bases of its rows alone.
    """

    def __init__(
        self, shape: tuple[int, ...], pieces: Sequence[Piece], rows: Sequence[Rows] | Sequence[int]
    ) -> None:
        self.shape, self.pieces = shape, tuple(pieces)
        self.rows = [r for r in rows if isinstance(r, Rows)]
        bases = tuple((r.base, len(r.slots)) if isinstance(r, Rows) else (r, 1) for r in rows)
        draft = Layout(self.pieces, bases, 1, bool(self.rows))
        outer = [lines_of(shape, o) for o in draft.outers]
        self.outer = np.array(outer, dtype=np.int64)
        self.depth = int(self.outer.max() - self.outer.min()) + 1
        self.tile = self._tile(bases)
        text = grid_text(Layout(self.pieces, bases, self.tile, bool(self.rows)))
        self.source, self.arrays, self.scratch = text.source, text.arrays, text.scratch
        self.places = np.array(
            [(base, lines_of(shape, o[:-1])) for base, o in text.places], dtype=np.int64
        ).reshape(-1, 2)
        self._geometry(bases)

    def _tile(self, bases: Sequence[tuple[int, int]]) -> int:
        entries = sum(len({*p.program.stores, *p.program.sums}) for p in self.pieces)
        inputs = sum(len(p.program.nodes) > 0 and p.grid.term.k + 4 for p in self.pieces)
        slots = max((s for _, s in bases), default=1)
        a_column = self.depth * entries + inputs + slots
        tile = 512
        while tile > 32 and (tile * a_column > SCRATCH or tile >= 2 * self.shape[-1]):
            tile //= 2
        return tile

    def _geometry(self, bases: Sequence[tuple[int, int]]) -> None:
        width = self.shape[-1]
        self.lines = int(np.prod(self.shape[:-1], dtype=int))
        self.strips = -(-width // self.tile)
        self.starts = np.stack([p.grid.line_starts() for p in self.pieces])
        self.boxes = np.array([p.grid.box[-1] for p in self.pieces], dtype=np.int64)
        line = np.arange(self.lines, dtype=np.int64) * width
        if self.rows:
            self.begins = np.stack([r.begins for r in self.rows])
            self.regular = np.array([r.regular for r in self.rows], dtype=np.int64)
        else:
            self.begins = np.array([base + line for base, _ in bases]).reshape(-1, self.lines)
            self.regular = np.array([(0, width)] * len(bases), dtype=np.int64).reshape(-1, 2)
        # Tasks depend on the grid alone; each warms its ring up with ``depth`` lines more.
        band = max(BAND, 8 * (self.depth - 1))
        bands = [(a, min(a + band, self.lines)) for a in range(0, self.lines, band)]
        self.tasks = np.array(
            [(a, b, s) for a, b in bands for s in range(self.strips)], dtype=np.int64
        ).reshape(-1, 3)

    def run(self, arrays: Mapping[str, Any], out: Array) -> None:
        """Write the stores of all terms to ``out``: entries of a matrix, or rows of a vector."""
        self._run(arrays, out, NO_SUMS)

    def totals(self, arrays: Mapping[str, Any]) -> Array:
        """Return the sums of all programs, one term's behind another's."""
        count = sum(len(p.program.sums) for p in self.pieces)
        sums = np.zeros((count, self.lines, self.strips))
        self._run(arrays, np.empty(0), sums)
        return np.asarray(sums.reshape(count, -1).sum(axis=1))

    def _run(self, arrays: Mapping[str, Any], out: Array, sums: Array) -> None:
        tables = {
            f"{name}{f}": getattr(r, name)
            for f, r in enumerate(self.rows) for name in ("few", "columns", "bounds", "table")
        }  # fmt: skip
        given = tables | dict(arrays)
        read = [frozen(given[name]) for name in self.arrays]
        run = compiled(self.source).run
        entries, staged, slots = self.scratch

        def share(first: int, last: int) -> None:
            ring, inp, sl = np.empty(self.depth * entries), np.empty(staged), np.empty(slots)
            run(
                first, last, self.tasks, ring, inp, sl, out, sums, self.lines, self.shape[-1],
                self.depth, int(self.outer.max()), int(self.outer.min()), self.outer, self.places,
                self.starts, self.boxes, self.begins, self.regular, *read,
            )  # fmt: skip

        if int(np.prod(self.shape)) < PARALLEL:
            share(0, len(self.tasks))
        else:
            spread(share, len(self.tasks))


def shared_arrays(
    pieces: Sequence[Piece], x: Array, y: Array, seeds: Mapping[str, Array],
    duals: Mapping[int, Array] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return by name what generated grid kernels read; each term's own with its number.

    duals : of each term by its number in the problem.
    """
    found: dict[str, Any] = {"x": x, "y": y, **seeds}
    for n, piece in enumerate(pieces):
        term = piece.grid.term
        found[f"c{n}"], found[f"xi{n}"] = term.c, term.xi
        found[f"xs{n}"] = x[term.shared_places]
        found[f"p{n}"] = (duals or {}).get(piece.grid.number)
        for name, seed in seeds.items():
            if seed.size == x.size:
                found[f"{name}s{n}"] = (
                    seed[term.shared_places] if term.shared_places.size else x[:0]
                )
    return found
