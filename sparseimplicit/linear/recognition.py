"""Stencils found in CSR: a guess from some rows, and then every entry compared."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..kernels import stencil
from .grids import CENTRE, Offset, half_offsets, three
from .stencil import StencilOperator

Array = NDArray[np.float64]

SAMPLED: Final = 64  # rows that are looked at to guess the grid


def stencil_of(entries: sparse.csr_array, grid: tuple[int, ...] | None) -> StencilOperator | None:
    """Return a symmetric matrix by its stencil, None where it is none on that grid.

    Without a grid, one is guessed from the distances of columns in some rows. Every entry is then
    compared: each has to couple neighbours, couplings that a border cuts off have to be missing or
    to go round it. Cost: one pass over the entries.
    """
    n = entries.shape[0]
    for shape in [three(grid)] if grid is not None else _guesses(entries):
        if int(np.prod(shape)) == n:
            found = _filled(entries, shape)
            if found is not None:
                kept = [size for size in shape if size > 1] if grid is None else list(grid)
                return _unchecked(found, kept)
    return None


def may_be_on_grid(entries: sparse.csr_array, grid: tuple[int, ...] | None) -> bool:
    """Tell from some rows whether `stencil_of` could find one; costs no pass over the entries."""
    few = entries.nnz <= 27 * entries.shape[0]
    return few and (grid is not None or bool(_guesses(entries)))


def _guesses(entries: sparse.csr_array) -> list[tuple[int, int, int]]:
    """Return shapes of grids that fit the distances of columns from the diagonal."""
    n, indptr = entries.shape[0], entries.indptr
    if n < 2:
        return []
    sampled = np.linspace(n // 3, 2 * n // 3, SAMPLED).astype(np.int64)
    found = [entries.indices[indptr[i] : indptr[i + 1]].astype(np.int64) - i for i in sampled]
    distances = np.unique(np.concatenate([d[d > 1] for d in found]))
    if not distances.size:
        return []
    # Distances come in clusters around multiples of a row and of a plane.
    width = [int(d) for d in distances[:3] if d > 2]
    widths = [w for w in dict.fromkeys([*width, *(w + 1 for w in width)]) if n % w == 0]
    largest = int(distances[-1])
    shapes: list[tuple[int, int, int]] = []
    for nx in widths:
        if largest <= nx + 1:
            shapes.append((1, n // nx, nx))
            continue
        planes = (largest, largest - nx, largest - nx - 1, largest - 1)
        shapes += [
            (n // plane, plane // nx, nx)
            for plane in planes
            if plane > 0 and plane % nx == 0 and n % plane == 0
        ]
    return shapes


def _filled(
    entries: sparse.csr_array, shape: tuple[int, int, int]
) -> tuple[Array, tuple[Offset, ...], tuple[int, int, int]] | None:
    """Fill the coefficients; offsets that the first look missed are added until none is left."""
    axes = (shape[0] > 1, shape[1] > 1, shape[2] > 1)
    every = half_offsets(axes)
    used = [CENTRE, *_sampled(entries, shape, every)]
    while True:
        slots = np.full(27, -1)
        for k, o in enumerate(used):
            slots[13 - _number(o)] = -2
            slots[13 + _number(o)] = k
        out = np.zeros((len(used), entries.shape[0]))
        row, number = stencil.fill(
            entries.indptr, entries.indices, entries.data, np.array(shape), slots, out
        )
        if row < 0:
            return out, tuple(used), shape
        other = 13 + abs(number - 13)
        missed = [o for o in every if 13 + _number(o) == other and o not in used]
        if number < 0 or not missed:
            return None
        used.append(missed[0])


def _sampled(
    entries: sparse.csr_array, shape: tuple[int, int, int], every: tuple[Offset, ...]
) -> list[Offset]:
    """Return those offsets, without the centre, that some rows have."""
    n, indptr = entries.shape[0], entries.indptr
    rows = np.linspace(0, n - 1, SAMPLED).astype(np.int64)
    found = set()
    for i in rows:
        columns = entries.indices[indptr[i] : indptr[i + 1]]
        here = np.array(np.unravel_index(i, shape))[:, None]
        there = np.array(np.unravel_index(columns, shape))
        found |= set(map(tuple, (there - here).T.tolist()))
    return [o for o in every[1:] if o in found]


def _number(offset: Offset) -> int:
    return 9 * offset[0] + 3 * offset[1] + offset[2]


def _unchecked(
    found: tuple[Array, tuple[Offset, ...], tuple[int, int, int]], grid: list[int]
) -> StencilOperator:
    """Make the operator of arrays that were just filled from a checked matrix."""
    coefficients, offsets, _ = found
    axes = len(grid)
    return StencilOperator(
        coefficients.reshape(len(offsets), *grid), [o[3 - axes :] for o in offsets],
        periodic=True, _checked=True,
    )  # fmt: skip
