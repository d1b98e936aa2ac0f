"""The grid terms of a problem: which they are, and what is made once for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels import incidence
from ..programs.contract import MatrixProgram, matrix_program
from ..programs.source import Program
from ..stated.bound import BoundTerm
from .border import BorderKernel, Rest
from .fill import GridKernel
from .found import grid_terms
from .pattern import GridPattern, Pair, grid_pattern
from .source import Piece

Array = NDArray[np.float64]


class GridTerms:
    """The terms of a problem that stand on one grid, in order."""

    def __init__(self, terms: list[BoundTerm], n_y: int, n_x: int) -> None:
        self.n_y, self.n_x = n_y, n_x
        self.all = len(terms)
        self.found = grid_terms(terms)
        self.shape = next(iter(self.found.values())).shape if self.found else ()
        self.pixels = int(np.prod(self.shape))
        self._rests: dict[int, Rest] = {}

    def rest(self, number: int) -> Rest:
        """Return the list of a term's elements at the border."""
        if number not in self._rests:
            self._rests[number] = Rest(self.found[number])
        return self._rests[number]

    def borders(
        self, kernel: GridKernel, to: Callable[[Rest], NDArray[Any] | None]
    ) -> dict[int, BorderKernel]:
        """Return what runs the elements at the border of a kernel's terms, by term."""
        found = {}
        for n, piece in enumerate(kernel.pieces):
            if piece.grid.rest.size:
                rest = self.rest(piece.grid.number)
                found[piece.grid.number] = BorderKernel(kernel, n, rest, to(rest))
        return found

    def sums(self, make: Callable[[BoundTerm], Program]) -> GridSums | None:
        """Return what sums over all elements of the terms that have sums."""
        pieces = [Piece(g, _sums_of(make(g.term)), ()) for g in self.found.values()]
        pieces = [p for p in pieces if p.program.sums]
        if not pieces:
            return None
        kernel = GridKernel(self.shape, pieces, [])
        return GridSums(kernel, self.borders(kernel, lambda rest: None))

    def vector(self, make: Callable[[BoundTerm], Program], by: str) -> GridVector | None:
        """Return what writes the stores of all terms to a vector; None if it cannot.

        by : "y", or "x" for parameters by index.
        """
        pieces, bases = [], set()
        for grid in self.found.values():
            program = make(grid.term)
            points = grid.points if by == "y" else grid.x_points
            if len(points) != len(program.stores) or any(p is None for p in points):
                return None
            targets = tuple((p[0], p[1], 0) for p in points if p is not None)
            if targets:
                pieces.append(Piece(grid, Program(program.graph, program.loads,
                                                  stores=program.stores), targets))  # fmt: skip
                bases |= {base for base, _, _ in targets}
        ordered = sorted(bases)
        if not pieces or any(b - a < self.pixels for a, b in pairwise(ordered)):
            return None
        kernel = GridKernel(self.shape, pieces, ordered)
        to: Callable[[Rest], Any] = lambda rest: rest.yi if by == "y" else rest.xi  # noqa: E731
        return GridVector(kernel, self.borders(kernel, to))

    def duals(self, programs: Mapping[int, Program], before: Mapping[int, int]) -> GridVector:
        """Return what writes the stores of terms to images of their own, ``before`` others."""
        pieces = []
        for n, first in before.items():
            images = range(first, first + len(programs[n].stores))
            targets = tuple((m * self.pixels, self.found[n].zero, 0) for m in images)
            pieces.append(Piece(self.found[n], programs[n], targets, first))
        count = sum(len(p.targets) for p in pieces)
        kernel = GridKernel(self.shape, pieces, [m * self.pixels for m in range(count)])
        borders = {}
        for m, piece in enumerate(pieces):
            if piece.grid.rest.size:
                rest = self.rest(piece.grid.number)
                to = rest.images(piece.duals, len(piece.targets))
                borders[piece.grid.number] = BorderKernel(kernel, m, rest, to)
        return GridVector(kernel, borders)

    def matrix(self, columns: str) -> GridMatrix | None:
        """Return the pattern and the kernel of a matrix with rows y; None unless all fit."""
        if not self.found or len(self.found) < self.all or self.n_y % self.pixels:
            return None
        made = {n: matrix_program(g.term, "y", columns) for n, g in self.found.items()}
        ends = {n: g.points if columns == "y" else g.x_points for n, g in self.found.items()}
        if any(p is None for n in made for p in ends[n]):
            return None
        bases = [f * self.pixels for f in range(self.n_y // self.pixels)]
        if any(base not in bases for g in self.found.values() for base, _ in g.points):
            return None
        if columns != "y" and not _apart([p[0] for n in made for p in ends[n] if p], self.pixels):
            return None
        return GridMatrix.made(self, made, ends, bases, columns)


@dataclass(frozen=True, eq=False)
class GridSums:
    """Sums over grid terms, whole elements and those at the border, by term."""

    kernel: GridKernel
    borders: dict[int, BorderKernel]

    def run(self, x: Array, y: Array, seeds: Mapping[str, Array]) -> dict[int, Array]:
        """Return the sums of each term."""
        totals = self.kernel.totals(x, y, seeds)
        counts = [len(p.program.sums) for p in self.kernel.pieces]
        parts = np.split(totals, np.cumsum(counts)[:-1])
        numbers = [p.grid.number for p in self.kernel.pieces]
        found = dict(zip(numbers, parts, strict=True))
        for t, border in self.borders.items():
            found[t] = found[t] + border.run(x, y, seeds, np.empty(0))
        return found


@dataclass(frozen=True, eq=False)
class GridVector:
    """Stores of grid terms to a vector."""

    kernel: GridKernel
    borders: dict[int, BorderKernel]

    def replaced(self, programs: Mapping[int, Program], before: Mapping[int, int]) -> GridVector:
        """Return the same of other programs with as many stores; ``before``: images of duals."""
        old = self.kernel
        pieces = [
            replace(p, program=programs[p.grid.number], duals=before.get(p.grid.number, 0))
            for p in old.pieces
        ]
        kernel = GridKernel(old.shape, pieces, old.rows)
        borders = {t: BorderKernel(kernel, b.number, b.rest, b.to) for t, b in self.borders.items()}
        return GridVector(kernel, borders)

    def run(self, x: Array, y: Array, seeds: Mapping[str, Array], out: Array) -> None:
        """Write what the terms owe to their rows."""
        self.kernel.run(x, y, seeds, out)
        for border in self.borders.values():
            border.run(x, y, seeds, out)


@dataclass(frozen=True, eq=False)
class GridMatrix:
    """A matrix of grid terms: its pattern, and what fills it."""

    pattern: GridPattern
    values: GridVector

    @classmethod
    def made(
        cls, terms: GridTerms, programs: dict[int, MatrixProgram], ends: dict[int, Any],
        bases: list[int], columns: str,
    ) -> GridMatrix | None:  # fmt: skip
        """Return the matrix; None where the grid is too small to have inner rows."""
        pairs: list[Pair] = []
        rest: list[tuple[Any, Any]] = []
        margin = [(0, 0)] * len(terms.shape)
        own: dict[int, list[Pair]] = {}
        for n, program in programs.items():
            grid = terms.found[n]
            own[n] = [Pair(grid, grid.points[i], ends[n][j]) for i, j in
                      zip(program.first, program.second, strict=True)]  # fmt: skip
            pairs += own[n]
            if grid.rest.size and own[n]:
                side = terms.rest(n)
                others = side.yi if columns == "y" else side.xi
                for i, j in zip(program.first, program.second, strict=True):
                    rest.append((side.yi[:, i], others[:, j]))  # type: ignore[index]
                margin = [(max(a, q - p), max(b, q - p)) for (a, b), (p, q) in
                          zip(margin, grid.reach, strict=True)]  # fmt: skip
        pattern = grid_pattern(terms.shape, bases, pairs, rest, tuple(margin))
        if pattern is None:
            return None
        slots = {r.base: {s: k for k, s in enumerate(r.slots)} for r in pattern.rows}
        pieces = []
        for n, program in programs.items():
            targets = tuple((p.row[0], p.row[1], slots[p.row[0]][p.slot]) for p in own[n])
            if targets:
                pieces.append(Piece(terms.found[n], program.program, targets))
        kernel = GridKernel(terms.shape, pieces, pattern.rows)
        borders = {}
        for n, piece in enumerate(kernel.pieces):
            number = piece.grid.number
            if piece.grid.rest.size:
                side, entries = terms.rest(number), programs[number]
                places = np.empty((side.count, len(entries.first)), dtype=pattern.indptr.dtype)
                incidence.find_slots(
                    side.yi, side.yi if columns == "y" else side.xi, np.array(entries.first),
                    np.array(entries.second), pattern.indptr, pattern.indices, 0, places,
                )  # fmt: skip
                borders[number] = BorderKernel(kernel, n, side, places)
        return cls(pattern, GridVector(kernel, borders))


def _sums_of(program: Program) -> Program:
    return Program(program.graph, program.loads, sums=program.sums)


def _apart(bases: list[int], pixels: int) -> bool:
    ordered = sorted(set(bases))
    return all(b - a >= pixels for a, b in pairwise(ordered))
