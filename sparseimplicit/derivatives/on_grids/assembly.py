"""The grid terms of a problem: which they are, and what is made once for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels import incidence
from ..programs.contract import MatrixProgram, matrix_program
from ..programs.lists import ListKernel, blocks_of, frozen
from ..programs.source import Program
from ..stated.bound import BoundTerm
from .fill import GridKernel
from .found import GridTerm, grid_terms
from .pattern import GridPattern, Pair, grid_pattern
from .source import Piece

Array = NDArray[np.float64]


class Rest:
    """The elements of a grid term that reach beyond the border: a short list."""

    def __init__(self, grid: GridTerm) -> None:
        term = grid.term
        self.count = int(grid.rest.size)
        self.yi = grid.rest_indices
        self.xi = None if term.xi is None else np.ascontiguousarray(term.xi[grid.rest])
        self.c = None if term.c is None else np.ascontiguousarray(term.c[grid.rest])

    def kernel(self, program: Program, rows: NDArray[Any] | None, size: int) -> ListKernel:
        """Return a program of the term, compiled for this list."""
        return ListKernel(program, blocks_of(self.count, rows, size))

    def own(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Return a term's arrays with those of the elements cut down to these."""
        return {**arrays, "yi": self.yi, "xi": self.xi, "c": self.c}


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

    def sums(self, make: Callable[[BoundTerm], Program]) -> tuple[GridKernel, list[int]] | None:
        """Return a kernel of sums over the boxes of all terms, and how many each term has."""
        pieces = [Piece(g, _sums_of(make(g.term)), ()) for g in self.found.values()]
        pieces = [p for p in pieces if p.program.sums]
        if not pieces:
            return None
        counts = [len(p.program.sums) for p in pieces]
        return GridKernel(self.shape, pieces, []), counts

    def vector(self, make: Callable[[BoundTerm], Program], by: str) -> GridKernel | None:
        """Return a kernel that writes the stores of all terms to a vector; None if it cannot.

        by : "y", "x" for parameters by index, or "p" for images of their own, one a store.
        """
        pieces: list[Piece] = []
        bases: set[int] = set()
        for grid in self.found.values():
            program = make(grid.term)
            points = grid.points if by == "y" else grid.x_points
            if by == "p":
                fresh = range(len(bases), len(bases) + len(program.stores))
                points = tuple((n * self.pixels, grid.zero) for n in fresh)
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
        return GridKernel(self.shape, pieces, ordered)

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


class GridMatrix:
    """A matrix of grid terms: its pattern, its kernel, and the lists at the border."""

    def __init__(
        self, pattern: GridPattern, kernel: GridKernel, rests: list[tuple[int, ListKernel, Any]]
    ) -> None:
        self.pattern, self.kernel, self.rests = pattern, kernel, rests

    def replaced(self, programs: Mapping[int, Program]) -> GridMatrix:
        """Return the matrix of other programs with the same entries, on the same pattern."""
        pieces = [Piece(p.grid, programs[p.grid.number], p.targets) for p in self.kernel.pieces]
        kernel = GridKernel(self.kernel.shape, pieces, self.kernel.rows)
        rests = [(n, ListKernel(programs[n], k.blocks), slots) for n, k, slots in self.rests]
        return GridMatrix(self.pattern, kernel, rests)

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
        return cls(pattern, kernel, cls._rests(terms, programs, pattern, columns))

    @staticmethod
    def _rests(
        terms: GridTerms, programs: dict[int, MatrixProgram], pattern: GridPattern, columns: str
    ) -> list[tuple[int, ListKernel, Any]]:
        found = []
        for n, made in programs.items():
            if not (terms.found[n].rest.size and made.first):
                continue
            side = terms.rest(n)
            slots = np.empty((side.count, len(made.first)), dtype=pattern.indptr.dtype)
            incidence.find_slots(
                side.yi, side.yi if columns == "y" else side.xi, np.array(made.first),
                np.array(made.second), pattern.indptr, pattern.indices, 0, slots,
            )  # fmt: skip
            kernel = side.kernel(made.program, side.yi, terms.n_y)
            found.append((n, kernel, frozen(slots)))
        return found


def _sums_of(program: Program) -> Program:
    return Program(program.graph, program.loads, sums=program.sums)


def _apart(bases: list[int], pixels: int) -> bool:
    ordered = sorted(set(bases))
    return all(b - a >= pixels for a, b in pairwise(ordered))
