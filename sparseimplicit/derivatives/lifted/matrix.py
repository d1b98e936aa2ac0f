"""Hessians of energies with lifted terms: stencils of filters on images, lists elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ...kernels import assembling, incidence, lifts, stencils
from ...linear.operator import csr_from_parts
from ...linear.padding import Padding
from ..programs.contract import MatrixProgram, matrix_program
from ..programs.lists import ListKernel, blocks_of, frozen
from ..programs.source import Program
from ..stated.bound import BoundTerm
from .lines import MODES, responses_room
from .products import Lifted
from .windows import Window, common_size, images, squares, window_of

Array = NDArray[np.float64]
Arrays = Callable[[int], dict[str, Any]]


class LiftedMatrix:
    """The Hessian of terms of which some are lifted: Σ Fᵀ H_r F and the entries of the others."""

    def __init__(self, terms: list[BoundTerm], lifted: dict[int, Lifted], n_y: int) -> None:
        self.terms, self.lifted, self.n_y = terms, lifted, n_y
        self.programs = [matrix_program(term, "y", "y") for term in terms]
        self.kernels = [
            ListKernel(
                program.program,
                blocks_of(term.count, None if term.lifted else term.yi, n_y, term.weight),
            )
            for term, program in zip(terms, self.programs, strict=True)
        ]
        self.images = self._images()
        if self.images is None or not self._slots(*self.images.pattern):
            self.images = None
            self._slots(*self._listed())

    def replaced(self, programs: Mapping[int, Program]) -> LiftedMatrix:
        """Return the matrix of other programs with the same entries, on the same pattern."""
        other = copy(self)
        other.kernels = [ListKernel(programs[t], k.blocks) for t, k in enumerate(self.kernels)]
        return other

    def _images(self) -> FilterImages | None:
        """Return the filters of the lifted terms as those of one image, where they are so."""
        found = {t: window_of(lifted.term) for t, lifted in self.lifted.items()}
        windows = {t: w for t, w in found.items() if w is not None}
        first = next(iter(windows.values()), None)
        if first is None or len(windows) < len(found) or int(np.prod(first.grid)) != self.n_y:
            return None
        if any((w.grid, w.border) != (first.grid, first.border) for w in windows.values()):
            return None
        size = common_size(windows.values())
        narrow = any(n < 2 * a for n, a in zip(first.grid, size, strict=True))
        if first.border == "periodic" or (first.border == "inside" and narrow):
            return None
        return FilterImages(windows)

    def _listed(self) -> tuple[NDArray[Any], NDArray[Any]]:
        parts = []
        for term, program in zip(self.terms, self.programs, strict=True):
            pairs = np.array([program.first, program.second], dtype=np.int64)
            if term.lifted:
                pairs = np.indices((term.k, term.k)).reshape(2, -1).astype(np.int64)
            parts.append((term.yi, term.yi, pairs[0].copy(), pairs[1].copy()))
        return incidence.pattern(self.n_y, parts, self.n_y)

    def _slots(self, indptr: NDArray[Any], indices: NDArray[Any]) -> bool:
        """Find the places of the terms that are not lifted; False where the pattern lacks one."""
        self.indptr, self.indices = indptr, indices
        self.slots: dict[int, NDArray[Any]] = {}
        for t, (term, program) in enumerate(zip(self.terms, self.programs, strict=True)):
            if term.lifted:
                continue
            first, second = np.array(program.first, dtype=int), np.array(program.second, dtype=int)
            out = np.empty((term.count, first.size), dtype=indptr.dtype)
            incidence.find_slots(term.yi, term.yi, first, second, indptr, indices, -1, out)
            if out.size and out.min() < 0:
                return False
            self.slots[t] = frozen(out)
        return True

    def assemble(self, x: Array, arrays: Arrays) -> sparse.csr_array:
        """Return the matrix; ``arrays(t)`` are those that programs of term t read."""
        curvatures = {}
        for t in self.lifted:
            h = responses_room(len(self.programs[t].first), self.terms[t].count)
            self.kernels[t].run(arrays(t), h)
            curvatures[t] = h
        values = np.zeros(self.indices.size)
        if self.images is not None:
            self.images.fill(
                [(t, self.terms[t], self.programs[t], self.terms[t].filters(x), h)
                 for t, h in curvatures.items()], values,
            )  # fmt: skip
        else:
            for t, h in curvatures.items():
                program = self.programs[t]
                lifts.add_curvature(
                    self.terms[t].filters(x), h, np.array(program.first, dtype=np.int64),
                    np.array(program.second, dtype=np.int64), self.terms[t].yi, self.indptr,
                    self.indices, values,
                )  # fmt: skip
        for t, slots in self.slots.items():
            self.kernels[t].run(arrays(t), values, slots)
        return csr_from_parts(values, self.indices, self.indptr, (self.n_y, self.n_y))


class FilterImages:
    """Filters of one window on one image: their Hessian is a stencil of (2a − 1)(2b − 1) points.

    windows : of each lifted term by its number, with one grid and one border.
    """

    def __init__(self, windows: dict[int, Window]) -> None:
        self.windows = windows
        first = next(iter(windows.values()))
        self.grid, self.size = first.grid, common_size(windows.values())
        self.copies: tuple[NDArray[np.int64], ...] = ()
        if first.border != "inside":
            margins = [(a // 2, a - 1 - a // 2) for a in self.size]
            self.copies = Padding(self.grid, margins, MODES[first.border]).copies
        near = [
            np.minimum(np.arange(n) + a, n) - np.maximum(np.arange(n) - a + 1, 0)
            for n, a in zip(self.grid, self.size, strict=True)
        ]
        starts = np.zeros(int(np.prod(self.grid)) + 1, dtype=np.int64)
        np.cumsum(np.outer(*near).ravel(), out=starts[1:])
        dtype = np.int32 if starts[-1] < 2**31 else np.int64
        indptr, indices = starts.astype(dtype), np.empty(starts[-1], dtype=dtype)
        (a, b), nothing = self.size, np.zeros(self._shape)
        stencils.fill_csr(nothing, a, b, indptr, indices, np.empty(indices.size))
        self.pattern = (indptr, indices)

    @property
    def _shape(self) -> tuple[int, int, int]:
        (h, w), (a, b) = self.grid, self.size
        return h + a - 1, b + (a - 1) * (2 * b - 1), w + 2 * (b - 1)

    def fill(self, terms: list[tuple[int, BoundTerm, MatrixProgram, Array, Array]], values: Array
    ) -> None:  # fmt: skip
        """Fill the values of Σ Fᵀ H_r F; a pair r ≠ s of responses is a filter of its own.

        terms : number, term, program, filters and curvatures.
        """
        a, b = self.size
        products, weights = [], []
        for t, term, program, filters, curvature in terms:
            square = squares(term, filters, self.windows[t], self.size)
            pairs = list(zip(program.first, program.second, strict=True))
            kept = [n for n, (r, s) in enumerate(pairs) if r <= s]
            for n in kept:
                r, s = pairs[n]
                own = assembling.products_of(square[r : r + 1])
                products.append(own if r == s else _products(square[r], square[s]))
            weights.append(images(self.windows[t], curvature[kept]))
        stencil = np.zeros(self._shape)
        if products:
            assembling.assemble(np.concatenate(products), np.concatenate(weights), b, stencil)
            if self.copies:
                rows, columns = self.copies
                stencils.fold(stencil, a, b, rows, columns, False)
        indptr, indices = self.pattern
        stencils.fill_csr(stencil, a, b, indptr, indices, values)


def _products(f: Array, g: Array) -> Array:
    """Return f gᵀ + g fᵀ in the order in which `assembling.products_of` has f fᵀ."""
    a, b = f.shape
    out = np.zeros((1, b + (a - 1) * (2 * b - 1), a, b))
    for dy in range(a):
        for dx in range(1 - b if dy else 0, b):
            low, high = max(0, -dx), min(b, b - dx)
            here, there = np.s_[: a - dy, low:high], np.s_[dy:, low + dx : high + dx]
            pairs = f[here] * g[there] + g[here] * f[there]
            out[0, stencils.point(b, dy, dx), : a - dy, b - high : b - low] = pairs[:, ::-1]
    return out
