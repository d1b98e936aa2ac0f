"""A sparse Jacobian from directional derivatives: one for each colour of its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy import sparse

from ...errors import MemoryBudgetExceeded, ShapeError, StructureError
from ...kernels import colouring, csr
from ...linear.memory import available_bytes
from ...linear.operator import csr_from_parts
from .patterns import Indices, Pattern, probe_pattern, read_pattern
from .probes import direction, probe
from .steps import Array, Step

MAX_COLOURS: Final = 500


@dataclass(frozen=True)
class Colouring:
    """A pattern, the colours of its columns, its entries by colour, and their mirror images."""

    pattern: Pattern
    colours: Indices
    n_colours: int
    ends: Indices
    rows: Indices
    slots: Indices
    mirror: Indices | None


class ColouredJacobian:
    """The matrix ∂f/∂z as CSR, at (x, y), for a step in z.

    Parameters
    ----------
    step : Step
    pattern : sparse matrix, boolean array, index arrays, or None
        See `read_pattern`; None: found at the first point, see `probe_pattern`.
    symmetric : bool
        f is a gradient: the mirror image of each place is one too, and entries are averaged with
        their mirror images, from which they must differ by rounding alone.
    max_colours : int
        Refuse a pattern that needs more products than this.
    name : str
        What the matrix is called in messages.

    Notes
    -----
    Cost of a matrix: a product for each colour, and two to probe it. Greedy colours in natural
    order: 9 for TV (7 points), 81 for a filter energy with 5×5 filters. Set-up at the first point.
    All matrices share one pattern. Where f has a kink at this very point, entries are the means of
    the derivatives to both sides, at twice the cost.
    """

    def __init__(
        self, step: Step, pattern: Any, *, symmetric: bool, max_colours: int, name: str
    ) -> None:
        self.step, self.symmetric, self.max_colours, self.name = step, symmetric, max_colours, name
        self._given = pattern
        self._colouring: Colouring | None = None

    def __call__(self, x: Array, y: Array) -> sparse.csr_array:
        """Return the matrix at (x, y), probed."""
        c = self.colouring(x, y)
        p = c.pattern
        truth, kinks = self.step.both_sides(x, y, direction(p.shape[1]))
        values = self._values(x, y, c, bool(kinks.any()))
        matrix = csr_from_parts(values, p.indices, p.indptr, p.shape)
        probe(self.step, x, y, matrix, p, truth, kinks, self.name)
        if c.mirror is not None:
            matrix.data = self._symmetrised(values, p, values[c.mirror])
        return matrix

    def _values(self, x: Array, y: Array, c: Colouring, both_sides: bool) -> Array:
        values = np.empty(c.pattern.nnz)
        for colour in range(c.n_colours):
            seed = (c.colours == colour).astype(np.float64)
            if both_sides:  # to one side, a Hessian at a kink would not even be symmetric
                product, _ = self.step.both_sides(x, y, seed)
            else:
                product = self.step.along(x, y, seed)
            part = slice(c.ends[colour], c.ends[colour + 1])
            colouring.place_entries(c.rows[part], c.slots[part], product, values)
        return values

    def colouring(self, x: Array, y: Array) -> Colouring:
        """Return pattern and colours; made, and the step verified, at the first point."""
        n = self.step.point(x, y).size
        if self._colouring is None:
            m = self.step.checked(self.step.value(x, y)).size
            if m != y.size:
                raise ShapeError(
                    f"{self.step.name}(x, y) has {m} entries; the state has {y.size} unknowns."
                )
            self.step.verify_once(x, y)
            pattern = self._pattern(x, y, (m, n))
            self._colouring = coloured(pattern, self.symmetric, self.max_colours, self.name)
        if self._colouring.pattern.shape != (y.size, n):
            raise ShapeError(
                f"{self.name} was made for the shape {self._colouring.pattern.shape}, and is now "
                f"asked for {(y.size, n)}.",
                fix="make a problem for each size.",
            )
        return self._colouring

    def _pattern(self, x: Array, y: Array, shape: tuple[int, int]) -> Pattern:
        given = self.found(x, y) if self._given is None else self._given
        if isinstance(given, Pattern):
            if not self.symmetric:
                return given
            parts = (np.ones(given.nnz, np.int8), given.indices, given.indptr)
            given = sparse.csr_array(parts, shape=given.shape)
        return read_pattern(
            given, shape, symmetric=self.symmetric, name=f"the pattern of {self.name}"
        )

    def found(self, x: Array, y: Array) -> Pattern:
        """Return the pattern that NaN finds."""
        return probe_pattern(
            lambda z: self.step.value(x, y, z), self.step.point(x, y),
            max_colours=self.max_colours, name=self.step.name,
        )  # fmt: skip

    def with_pattern(self, pattern: Pattern) -> ColouredJacobian:
        """Return the same Jacobian with a pattern."""
        return ColouredJacobian(
            self.step, pattern, symmetric=self.symmetric, max_colours=self.max_colours,
            name=self.name,
        )  # fmt: skip

    def _symmetrised(self, values: Array, p: Pattern, mirrored: Array) -> Array:
        error, (largest, _) = np.abs(values - mirrored), csr.row_sizes(p.indptr, values)
        rows = np.repeat(np.arange(p.shape[0]), np.diff(p.indptr))
        surplus = error - 10 * self.step.tolerance * np.maximum(largest[rows], largest[p.indices])
        k = int(np.argmax(surplus)) if surplus.size else 0
        if surplus.size and surplus[k] > 0:
            i, j = int(rows[k]), int(p.indices[k])
            raise StructureError(
                f"the derivative of {self.step.name} is not symmetric: entry ({i}, {j}) is "
                f"{values[k]:.10g}, entry ({j}, {i}) is {mirrored[k]:.10g}.",
                where=self.name,
                fix="it is no gradient of an objective then: correct it, or use from_residual.",
            )
        return np.asarray(0.5 * (values + mirrored))


def coloured(pattern: Pattern, symmetric: bool, max_colours: int, name: str) -> Colouring:
    """Return the pattern with its colours.

    Raises
    ------
    StructureError
        If more than max_colours are needed.
    MemoryBudgetExceeded
        If the entries would not fit.
    """
    needed, available = 40 * pattern.nnz, available_bytes()
    if needed > available:
        raise MemoryBudgetExceeded(
            f"{name} has {pattern.nnz} entries; {needed / 1e9:.1f} GB are needed to make it, "
            f"{available / 1e9:.1f} GB are free.",
            fix='ask for products alone: "products" in place of the pattern.',
        )
    _refuse_many(pattern.longest_row(), pattern, max_colours, name)  # before a costly search
    indptr, indices = pattern.indptr, pattern.indices
    starts, rows, mirror = colouring.transposed(indptr, indices, pattern.shape[1])
    colours = colouring.colour_columns(indptr, indices, starts, rows)
    n_colours = int(colours.max(initial=-1)) + 1
    _refuse_many(n_colours, pattern, max_colours, name)
    ends, rows, slots = colouring.entries_by_colour(indptr, indices, colours, n_colours)
    mirror = mirror if symmetric else None
    return Colouring(pattern, colours, n_colours, ends, rows, slots, mirror)


def _refuse_many(colours: int, pattern: Pattern, limit: int, name: str) -> None:
    if colours > limit:
        row = int(np.argmax(np.diff(pattern.indptr)))
        raise StructureError(
            f"{name} would take {colours} products or more; the limit is {limit}. The longest row, "
            f"{row}, has {pattern.columns_of(row).size} entries of {pattern.shape[1]}.",
            where="colouring",
            fix="if a term couples all unknowns (rank-one?), or parameters are shared by all "
            'states, ask for products alone: "products"; or raise max_colours=.',
        )
