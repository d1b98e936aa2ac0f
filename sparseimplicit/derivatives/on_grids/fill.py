"""Running grid terms: one pass over the lines of a grid for all of them.

All terms of a grid are run in one pass. Of each line of elements the entries are computed into a
ring of lines, a tile of columns at a time; of each line of pixels every slot is then a sum of
entries of neighbouring elements, written where it stands in memory. Nothing is added to memory, so
that the order of tiles does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ...kernels import grid_tasks
from ..programs.compiled import compiled
from ..programs.threads import spread
from ..stated.bound import BoundTerm
from ..stated.grids import lines_of
from .pattern import Rows
from .source import SHARED, Piece, grid_text

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

PARALLEL: Final = 100_000  # pixels, as for lists
SCRATCH: Final = 24_576  # numbers that the tiles of a task may take: 192 KB, within a core's cache
BAND: Final = 64  # lines of a task, at least
NO_SUMS: Final = np.empty((0, 0, 0))
SOURCES: Final = ("y", "x", "d0", "d1", "dx")


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
        self.shape, self.pieces, self.rows = shape, tuple(pieces), rows
        offsets = [target[1] for p in self.pieces for _, target in p.stores]
        offsets = offsets or [self.pieces[0].grid.zero]
        outer = [lines_of(shape, o[:-1]) for o in offsets]
        right = max(o[-1] for o in offsets)
        reach = right - min(o[-1] for o in offsets)
        self.depth = max(outer) - min(outer) + 1
        bases = [(r.base, len(r.slots)) if isinstance(r, Rows) else (r, 1) for r in rows]
        self.tile = self._tile(bases)
        self.size = self.tile + reach
        self.text = grid_text(self.pieces, self.size)
        self.width = shape[-1]
        self.lines = int(np.prod(shape[:-1], dtype=int))
        self.strips = -(-self.width // self.tile)
        entries = sum(len(e) for e in self.text.entries)
        self.grid = whole(self.lines, self.width, self.depth, max(outer), min(outer), self.tile,
                          self.size, right, entries)  # fmt: skip
        self._terms()
        self._gather(bases, right)
        self._rows(rows, bases)
        # Tasks depend on the grid alone; each warms its ring up with ``depth`` lines more.
        band = max(BAND, 8 * (self.depth - 1))
        bands = [(a, min(a + band, self.lines)) for a in range(0, self.lines, band)]
        self.tasks = table([(a, b, s) for a, b in bands for s in range(self.strips)], 3)

    def _tile(self, bases: Sequence[tuple[int, int]]) -> int:
        entries = sum(len({*p.program.stores, *p.program.sums}) for p in self.pieces)
        inputs = sum(len(p.program.nodes) > 0 and p.grid.term.k + 4 for p in self.pieces)
        slots = max((s for _, s in bases), default=1)
        a_column = self.depth * entries + inputs + slots
        tile = 512
        while tile > 32 and (tile * a_column > SCRATCH or tile >= 2 * self.shape[-1]):
            tile //= 2
        return tile

    def _terms(self) -> None:
        """Say where entries, inputs and shared parameters of each term stand."""
        first = shared = 0
        rows, summed = [], []
        for n, (piece, entries) in enumerate(zip(self.pieces, self.text.entries, strict=True)):
            rows.append((first, len(entries), shared, *piece.grid.box[-1]))
            summed += [(n, entries[node]) for node in piece.program.sums]
            first += len(entries)
            shared += len(SHARED) * piece.grid.term.shared_places.size
        self.terms, self.summed = table(rows, 5), table(summed, 2)
        self.starts = np.stack([p.grid.line_starts() for p in self.pieces])
        terms = [p.grid.term for p in self.pieces]
        self.inputs = Inputs(
            [
                (source, at, offset) if n < 0 else indexed(source, at, terms[n].xi, terms[n].c)
                for n, source, at, offset in self.text.inputs
            ],
            self.shape,
            [(tile, n) for tile, (n, *_) in enumerate(self.text.inputs)],
        )

    def _gather(self, bases: Sequence[tuple[int, int]], right: int) -> None:
        """Say which entries make up each slot."""
        found: dict[tuple[int, int], list[tuple[int, int]]] = {
            (base, s): [] for base, slots in bases for s in range(slots)
        }
        for piece, entries in zip(self.pieces, self.text.entries, strict=True):
            for node, (base, offset, slot) in piece.stores:
                place = entries[node] * self.size + right - offset[-1]
                found[base, slot].append((lines_of(self.shape, offset[:-1]), place))
        self.gather = table([pair for pairs in found.values() for pair in pairs], 2)
        self.bounds = np.append(0, np.cumsum([len(pairs) for pairs in found.values()], dtype=int))

    def _rows(self, rows: Sequence[Rows] | Sequence[int], bases: Sequence[tuple[int, int]]) -> None:
        """Say where the slots of each line are written."""
        made = [r for r in rows if isinstance(r, Rows)]
        own = np.append(0, np.cumsum([slots for _, slots in bases], dtype=int))
        self.slots = max((slots for _, slots in bases), default=1)
        if not made:
            line = np.arange(self.lines, dtype=np.int64) * self.width
            self.begins = table([base + line for base, _ in bases], self.lines)
            self.few = np.zeros((len(bases), self.lines + 1), dtype=np.int64)
            self.columns, self.ends, self.table = whole(), table([], 2), whole()
            self.fields = table([(1, f, 0, self.width, 0) for f in range(len(bases))], 5)
            return
        sizes = np.append(0, np.cumsum([r.columns.size for r in made]))
        self.begins = np.stack([r.begins for r in made])
        self.few = np.stack([r.few + a for r, a in zip(made, sizes[:-1], strict=True)])
        self.columns = np.concatenate([r.columns for r in made])
        self.ends = np.concatenate([r.bounds for r in made])
        self.table = np.concatenate([r.table.reshape(-1) for r in made])
        places = np.append(0, np.cumsum([r.table.size for r in made]))
        # In put_irregular rows of all bases are counted on.
        self.fields = table(
            [
                (len(r.slots), own[f], *r.regular, places[f] - sizes[f] * len(r.slots))
                for f, r in enumerate(made)
            ],
            5,
        )

    @property
    def address(self) -> int:
        """Where the compiled function stands."""
        return int(compiled(self.text.source).run.address)

    def run(self, x: Array, y: Array, seeds: Mapping[str, Array], out: Array) -> None:
        """Write the stores of all terms to ``out``: entries of a matrix, or rows of a vector."""
        self._run(x, y, seeds, out, NO_SUMS)

    def totals(self, x: Array, y: Array, seeds: Mapping[str, Array]) -> Array:
        """Return the sums of all programs, one term's behind another's."""
        sums = np.zeros((len(self.summed), self.lines, self.strips))
        self._run(x, y, seeds, np.empty(0), sums)
        return np.asarray(sums.reshape(len(self.summed), -1).sum(axis=1))

    def _run(self, x: Array, y: Array, seeds: Mapping[str, Array], out: Array, sums: Array) -> None:
        address, inputs = self.address, self.inputs.at({"y": y, "x": x, **seeds})
        shared = np.concatenate([shared_of(p.grid.term, x, seeds) for p in self.pieces])

        def share(first: int, last: int) -> None:
            ring = np.empty(self.depth * int(self.grid[-1]) * self.size)
            inp, sl = np.zeros(len(inputs) * self.size), np.empty(self.slots * self.tile)
            grid_tasks.run(
                first, last, address, self.grid, self.tasks, self.terms, inputs, self.summed,
                self.starts, self.gather, self.bounds, self.fields, self.begins, self.few,
                self.columns, self.ends, self.table, ring, inp, sl, shared, out, sums,
            )  # fmt: skip

        if int(np.prod(self.shape)) < PARALLEL:
            share(0, len(self.tasks))
        else:
            spread(share, len(self.tasks))


class Inputs:
    """The rows of ``inputs`` in `grid_tasks.run`, whose sources are told at each run.

    Parameters
    ----------
    given : of each input its source (see ``SOURCES``), a base and an offset on the grid; or
        its source or an array of data, a column, and an array of indices or None.
    shape : of the grid.
    places : of each its tile, and its term or −1.
    """

    def __init__(
        self, given: Sequence[tuple[Any, int, Any]], shape: tuple[int, ...],
        places: Sequence[tuple[int, int]],
    ) -> None:  # fmt: skip
        self.sources = [source for source, *_ in given]
        self.kept = [at for *_, at in given]  # their addresses are in the table
        rows = []
        for (source, at, how), (tile, term) in zip(given, places, strict=True):
            if isinstance(how, tuple):
                move = (lines_of(shape, how[:-1]), how[-1], 0, 0)
                rows.append((grid_tasks.LINE, 0, at, *move, tile, term))
            elif how is None:
                rows.append((grid_tasks.DATA, 0, at, 0, 0, 0, source.shape[1], tile, term))
            else:
                kind = grid_tasks.INDEX32 if how.itemsize == 4 else grid_tasks.INDEX64
                rows.append((kind, 0, at, 0, 0, address_of(how), how.shape[1], tile, term))
        self.rows = table(rows, 9)

    def at(self, arrays: Mapping[str, Array]) -> Ints:
        """Return the table for these sources, which the caller keeps alive."""
        rows = self.rows.copy()
        found = {name: address_of(array) for name, array in arrays.items()}
        rows[:, 1] = [
            found[source] if isinstance(source, str) else address_of(source)
            for source in self.sources
        ]
        return rows


def indexed(source: str, place: int, indices: Any, c: Any) -> tuple[Any, int, Any]:
    """Return an input of a term of its own: data, or a source by index."""
    return (c, place, None) if source == "c" else (source.removesuffix("i"), place, indices)


def shared_of(term: BoundTerm, x: Array, seeds: Mapping[str, Array]) -> Array:
    """Return the shared parameters of a term, and what belongs to them in the directions."""
    places = term.shared_places
    vectors = [x, *(seeds.get(name, x) for name in SOURCES[2:])]
    # A direction in y is not read here.
    return np.concatenate([v[places] if v.size == x.size else x[places] for v in vectors])


def address_of(array: NDArray[Any]) -> int:
    """Return where the numbers of an array stand."""
    if not array.flags.c_contiguous:
        raise ValueError("the numbers of an array stand apart")
    address: int = array.__array_interface__["data"][0]
    return address


def whole(*numbers: int) -> Ints:
    """Return whole numbers as a vector."""
    return np.array(numbers, dtype=np.int64)


def table(rows: Sequence[Any], width: int) -> Ints:
    """Return whole numbers as a table."""
    return np.array(rows, dtype=np.int64).reshape(-1, width)
