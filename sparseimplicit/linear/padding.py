"""Images with copies of their pixels around them, and the transpose: the copies folded back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Place = tuple[Any, ...]

ABSENT: Final = -1  # the pixel that zero padding copies


class Padding:
    """P: an image (…, *shape) in the middle of one that is wider by ``margins``; and Pᵀ.

    Parameters
    ----------
    shape : tuple of int
    margins : sequence of (before, after), one an axis
    mode : {"symmetric", "edge", "wrap", "constant"}
        What stands in the margins, as `numpy.pad` has it; "constant" is zero. Margins may be wider
        than the image.

    Attributes
    ----------
    copies : for each axis the pixel that each line is a copy of, `ABSENT` for zero.
    padded_shape : tuple of int

    Notes
    -----
    Cost: one pass over the image, and over the margins line by line, in a fixed order.
    """

    def __init__(self, shape: Sequence[int], margins: Sequence[tuple[int, int]], mode: str) -> None:
        self.shape, self.margins, self.mode = tuple(shape), tuple(margins), mode
        how: Any = {"mode": mode} | ({"constant_values": ABSENT} if mode == "constant" else {})
        self.copies: tuple[NDArray[np.int64], ...] = tuple(
            np.pad(np.arange(n), margin, **how)
            for n, margin in zip(self.shape, self.margins, strict=True)
        )
        self.padded_shape = tuple(c.size for c in self.copies)
        self.inner: Place = tuple(
            slice(before, before + n)
            for n, (before, _) in zip(self.shape, self.margins, strict=True)
        )
        self._moves = self._ordered()

    def _ordered(self) -> list[tuple[Place, Place]]:
        """Return (line of a margin, line that it copies): the last axis first, of inner lines."""
        moves = []
        for axis in reversed(range(len(self.shape))):
            (before, _), n, after = self.margins[axis], self.shape[axis], len(self.shape) - axis - 1
            rest = (slice(None),) * after
            for i, copied in enumerate(self.copies[axis].tolist()):
                if copied != ABSENT and not before <= i < before + n:
                    there = self.inner[:axis]
                    moves.append(((..., *there, i, *rest), (..., *there, before + copied, *rest)))
        return moves

    def spread(self, image: Array, out: Array | None = None) -> Array:
        """Return P u; into ``out``, whose margins are zero where the padding is."""
        if out is None:
            empty = np.zeros if self.mode == "constant" else np.empty
            out = empty((*image.shape[: -len(self.shape)], *self.padded_shape))
        out[(..., *self.inner)] = image
        for to, source in self._moves:
            out[to] = out[source]
        return out

    def fold(self, padded: Array) -> Array:
        """Return Pᵀ v as a view of v, whose margins are added to what they copy, in place."""
        for to, source in reversed(self._moves):
            padded[source] += padded[to]
        return padded[(..., *self.inner)]
