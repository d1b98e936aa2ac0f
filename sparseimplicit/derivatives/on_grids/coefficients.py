"""The Hessian of grid terms as coefficient arrays: nothing is assembled, no index is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...linear import StencilOperator
from ..programs.contract import MatrixProgram, matrix_program
from .assembly import GridTerms, GridVector
from .border import BorderKernel
from .fill import GridKernel
from .found import Offset, difference
from .source import Piece

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Coefficients:
    """Array k holds of each pixel the coupling with the one at ``offsets[k]``.

    That is a vector of as many fields, which a kernel for vectors fills.
    """

    shape: tuple[int, ...]
    offsets: tuple[Offset, ...]
    values: GridVector
    periodic: tuple[bool, ...]

    def fill(self, x: Array, y: Array, seeds: Mapping[str, Array]) -> StencilOperator:
        """Return the Hessian at (x, y); seeds : the dual vectors "p", if it has them."""
        # The last number is for the other triangle at the border.
        out = np.zeros(len(self.offsets) * int(np.prod(self.shape)) + 1)
        self.values.run(x, y, seeds, out)
        arrays = out[:-1].reshape(len(self.offsets), *self.shape)
        return StencilOperator(arrays, self.offsets, periodic=self.periodic, _checked=True)


def coefficients(terms: GridTerms) -> Coefficients | None:
    """Return what fills the Hessian; None unless all terms stand on one grid of one field."""
    fits = terms.found and len(terms.found) == terms.all and terms.n_y == terms.pixels
    if not fits or any(base for g in terms.found.values() for base, _ in g.points):
        return None
    made = {n: matrix_program(g.term, "y", "y") for n, g in terms.found.items()}
    rests = {n: _differences(terms, n, m) for n, m in made.items() if terms.found[n].rest.size}
    zero = (0,) * len(terms.shape)
    found = {zero}
    for n, program in made.items():
        found |= {o for o in _offsets(terms, n, program) if o > zero}
    for _, apart in rests.values():
        found |= {o for o in map(tuple, np.unique(apart, axis=0).tolist()) if o > zero}
    offsets = tuple(sorted(found))
    pieces = [_piece(terms, n, program, offsets) for n, program in made.items()]
    kernel = GridKernel(terms.shape, pieces, [k * terms.pixels for k in range(len(offsets))])
    borders = {}
    for number, piece in enumerate(kernel.pieces):
        n = piece.grid.number
        if n in rests:
            places = _places(*rests[n], offsets, terms.pixels)
            borders[n] = BorderKernel(kernel, number, terms.rest(n), places)
    values = GridVector(kernel, borders)
    return Coefficients(terms.shape, offsets, values, _periodic(terms))


def _offsets(terms: GridTerms, n: int, program: MatrixProgram) -> list[Offset]:
    points = terms.found[n].points
    pairs = zip(program.first, program.second, strict=True)
    return [difference(points[j][1], points[i][1]) for i, j in pairs]


def _piece(terms: GridTerms, n: int, program: MatrixProgram, offsets: tuple[Offset, ...]) -> Piece:
    """Return a term with the entries of one triangle, each for the array of its offset."""
    grid, targets = terms.found[n], []
    for i, offset in zip(program.first, _offsets(terms, n, program), strict=True):
        array = offsets.index(offset) if offset in offsets else None
        base = None if array is None else array * terms.pixels
        targets.append(None if base is None else (base, grid.points[i][1], 0))
    return Piece(grid, program.program, tuple(targets))


def _differences(
    terms: GridTerms, n: int, program: MatrixProgram
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the rows of a term's entries at the border, and how far off their columns stand."""
    places = terms.rest(n).yi
    rows, columns = places[:, list(program.first)], places[:, list(program.second)]
    here, there = (np.unravel_index(p.ravel(), terms.shape) for p in (rows, columns))
    apart = np.stack([b - a for a, b in zip(here, there, strict=True)], axis=1)
    if any(_periodic(terms)):
        # The shorter way round. Half way round it is the one within the grid, so that of an entry
        # and its mirror image always one alone is in the triangle that is kept.
        sizes = np.array(terms.shape)
        apart = np.where(2 * np.abs(apart) > sizes, apart - np.sign(apart) * sizes, apart)
    return rows, apart


def _places(
    rows: NDArray[Any], apart: NDArray[Any], offsets: tuple[Offset, ...], pixels: int
) -> NDArray[np.int64]:
    """Return where the entries at the border go: beyond all arrays for the other triangle."""
    places = np.full(rows.size, len(offsets) * pixels, dtype=np.int64)
    for k, offset in enumerate(offsets):
        own = (apart == np.array(offset)).all(axis=1)
        places[own] = k * pixels + rows.ravel()[own]
    return places.reshape(rows.shape)


def _periodic(terms: GridTerms) -> tuple[bool, ...]:
    stencils = [g.term.stencil for g in terms.found.values()]
    closed = any(s is not None and s.border == "periodic" for s in stencils)
    return (closed,) * len(terms.shape)
