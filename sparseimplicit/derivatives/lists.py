"""Running programs over lists of elements: blocks that share no rows in parallel, then the rest.

The blocks depend on the elements alone, never on the number of threads: the bits are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..kernels import incidence
from .compiled import compiled
from .source import CHUNK, Program, list_source
from .threads import spread

Array = NDArray[np.float64]

PARALLEL: Final = 100_000  # elements; a launch costs 0.05 ms, on a busy machine 10 to 20 ms
BLOCK: Final = 16_384  # elements of a block, at least
NOWHERE: Final = np.empty((0, 0), dtype=np.int32)
EVERYONE: Final = np.empty(0, dtype=np.int64)
ALL: Final = np.empty(0, dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class Blocks:
    """How a list of elements is run: the bounds of its blocks, and who must wait."""

    count: int
    starts: NDArray[np.int64]
    inside: NDArray[np.bool_]
    outside: NDArray[np.int64]


def blocks_of(count: int, rows: NDArray[Any] | None, n_rows: int) -> Blocks:
    """Return blocks for elements that write into these rows; None: each has places of its own."""
    if count < PARALLEL:
        nothing = np.empty(0, dtype=np.int64)
        return Blocks(count, np.array([0, count]), ALL, nothing)
    blocks = int(np.clip(count // BLOCK, 2, 64))
    chunks = -(-count // CHUNK)
    starts = np.minimum(CHUNK * (chunks * np.arange(blocks + 1) // blocks), count)
    if rows is None:
        return Blocks(count, starts, ALL, EVERYONE)
    inside = np.ones(count, dtype=np.bool_)
    owner = np.full(n_rows, -1, dtype=np.int32)
    incidence.mark_interior(rows, starts, owner, inside)
    return Blocks(count, starts, inside, np.flatnonzero(~inside))


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
        places = frozen(to)
        parts = np.zeros((sums, chunks(blocks.count)))
        starts = blocks.starts

        def share(first: int, last: int) -> None:
            run(
                int(starts[first]) // CHUNK, chunks(int(starts[last])), blocks.count, blocks.inside,
                EVERYONE, parts, out, places, *given,
            )  # fmt: skip

        spread(share, starts.size - 1)
        late = blocks.outside
        if not late.size:
            return np.asarray(parts.sum(axis=1))
        after = np.zeros((sums, chunks(late.size)))
        run(0, chunks(late.size), late.size, ALL, late, after, out, places, *given)
        return np.asarray(parts.sum(axis=1) + after.sum(axis=1))


def chunks(count: int) -> int:
    """Return how many chunks hold so many elements."""
    return -(-count // CHUNK)


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view that cannot be written, so that one compiled kernel serves all callers."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
