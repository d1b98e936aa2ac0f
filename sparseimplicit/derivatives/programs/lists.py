"""Running programs over lists of elements: blocks that share no rows in parallel, then the rest.

The blocks depend on the elements alone, never on the number of threads: the bits are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ...kernels import incidence
from .compiled import compiled
from .source import CHUNK, Program, list_source
from .threads import spread

Array = NDArray[np.float64]

PARALLEL: Final = 100_000  # elements; a launch costs 0.05 ms, on a busy machine 10 to 20 ms
BLOCK: Final = 16_384  # elements of a block, at least
NOWHERE: Final = np.empty((0, 0), dtype=np.int32)
EVERYONE: Final = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Blocks:
    """How a list of elements is run.

    bounds : of chunks, whose sums are taken apart; elements : in this order, empty for 0, 1, 2, ….
    blocks : bounds of blocks, in chunks. They run side by side; chunks behind them come afterwards.
    """

    count: int
    bounds: NDArray[np.int64]
    elements: NDArray[np.int64]
    blocks: NDArray[np.int64]

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return int(self.bounds.size - 1)


def blocks_of(count: int, rows: NDArray[Any] | None, n_rows: int, weight: int = 1) -> Blocks:
    """Return blocks for elements that write into these rows; None: each has places of its own.

    weight : the work of an element, in that of one of few numbers.
    """
    blocks = int(np.clip(count * weight // BLOCK, 2, 64))
    alone = count * weight < PARALLEL
    if alone or rows is None:
        bounds = _chunked(np.array([0, count]))
        apart = 1 if alone else blocks
        return Blocks(count, bounds, EVERYONE, (bounds.size - 1) * np.arange(apart + 1) // apart)
    starts, order = np.empty(blocks + 2, dtype=np.int64), np.empty(count, dtype=np.int64)
    incidence.group_elements(rows, n_rows, blocks, starts, order)
    bounds = _chunked(starts)
    return Blocks(count, bounds, order, np.searchsorted(bounds, starts[:-1]))


def _chunked(starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the bounds of chunks of `CHUNK` elements; no chunk reaches beyond a start."""
    pieces = [np.arange(a, b, CHUNK) for a, b in pairwise(starts)]
    return np.concatenate([*pieces, starts[-1:]]).astype(np.int64)


class ListKernel:
    """A program, compiled for a list of elements."""

    def __init__(self, program: Program, blocks: Blocks) -> None:
        self.program, self.blocks = program, blocks
        self.source = list_source(program)

    def run(
        self, arrays: Mapping[str, Any], out: NDArray[Any], to: NDArray[Any] = NOWHERE
    ) -> Array:
        """Add to ``out`` (or fill it) and return the sums.

        ``to[e, a]`` is where store a of element e goes.
        """
        blocks, sums = self.blocks, len(self.program.sums)
        if not blocks.count:
            return np.zeros(sums)
        run = compiled(self.source).run
        given = [frozen(arrays[name]) for name in self.program.arrays]
        parts = np.zeros((sums, blocks.chunks))
        places = frozen(to)

        def chunks(first: int, last: int) -> None:
            run(first, last, blocks.bounds, blocks.elements, parts, out, places, *given)

        bounds = blocks.blocks
        spread(lambda a, b: chunks(int(bounds[a]), int(bounds[b])), bounds.size - 1)
        if bounds[-1] < blocks.chunks:
            chunks(int(bounds[-1]), blocks.chunks)
        return np.asarray(parts.sum(axis=1))


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view that cannot be written, so that one compiled kernel serves all callers."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
