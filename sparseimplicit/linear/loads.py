"""A vector over the unknowns, in words: which of them it loads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Blocks = Mapping[str, slice | tuple[int, int]]
NEGLIGIBLE: Final = 1e-6  # of the largest load
NAMED: Final = 6  # unknowns that are listed one by one
MOST_LOADED: Final = 3  # those named of many
SHOWN: Final = 4  # vectors that are told of one by one
FREE_CONSTANT: Final = "a constant is free: pin one unknown of each part, or fix its mean value."


def loads(
    vector: NDArray[np.float64], blocks: Blocks | None = None, grid: tuple[int, ...] | None = None
) -> str:
    """Say where a vector is not zero: ``"constant over all 4096 unknowns"``, ``"unknown 5"``.

    Parameters
    ----------
    vector : array, shape (n,)
    blocks : mapping of names to slices or (start, stop), optional
        Named parts of the unknowns.
    grid : tuple of int, optional
        Shape of the grid whose points, row by row, are the unknowns; they are then named so.
    """
    size = np.abs(vector)
    loaded = np.flatnonzero(size > NEGLIGIBLE * size.max(initial=0.0))
    n = vector.size
    if loaded.size == 0:
        return "nothing"
    values = vector[loaded]
    even = float(np.ptp(values)) <= 1e-6 * float(np.abs(values).max())
    names = [_name(int(i), grid) for i in loaded[np.argsort(-size[loaded], kind="stable")][:NAMED]]
    inside = _blocks(loaded, blocks)
    most = "" if even else f", most {', '.join(names[:MOST_LOADED])}"
    if loaded.size == n and n > 1:
        return f"{'constant over' if even else 'spread over'} all {n} unknowns{most}"
    if loaded.size <= NAMED:
        return f"unknown{'s' if loaded.size > 1 else ''} {', '.join(names)}{inside}"
    kind = "constant on" if even else "spread over"
    span = f"{_name(int(loaded[0]), grid)} to {_name(int(loaded[-1]), grid)}"
    return f"{kind} {loaded.size} of {n} unknowns, from {span}{most}{inside}"


def _name(i: int, grid: tuple[int, ...] | None) -> str:
    if grid is None:
        return str(i)
    return str(tuple(int(k) for k in np.unravel_index(i, grid)))


def _blocks(loaded: NDArray[Any], blocks: Blocks | None) -> str:
    held = []
    for name, part in (blocks or {}).items():
        start, stop = (part.start or 0, part.stop) if isinstance(part, slice) else part
        count = int(((loaded >= start) & (loaded < stop)).sum())
        if count:
            held.append(f"'{name}' ({count})" if count < loaded.size else f"'{name}'")
    return f", in {', '.join(held)}" if held else ""
