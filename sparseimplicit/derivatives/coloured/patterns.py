"""Where a Jacobian may have entries: as the user says it, or as NaN finds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ...errors import NonFinite, ShapeError, StructureError
from ...kernels import colouring
from ..stated.grids import Stencil

Array = NDArray[np.float64]
Indices = NDArray[Any]


@dataclass(frozen=True)
class Pattern:
    """Places by rows, sorted and unique, in int32 where that is enough, else in int64."""

    indptr: Indices
    indices: Indices
    shape: tuple[int, int]

    @property
    def nnz(self) -> int:
        """Number of places."""
        return int(self.indices.size)

    def longest_row(self) -> int:
        """Return the largest number of places in a row: a lower bound of the colours."""
        return int(np.diff(self.indptr).max(initial=0))

    def columns_of(self, row: int) -> Indices:
        """Return the columns of a row."""
        return self.indices[self.indptr[row] : self.indptr[row + 1]]


def pattern_of(matrix: Any) -> Pattern:
    """Return where a sparse matrix stores entries; explicit zeros are places too."""
    ones = sparse.coo_array(matrix)
    ones = sparse.coo_array((np.ones(ones.nnz, np.int8), ones.coords), shape=ones.shape)
    rows = ones.tocsr()  # sums duplicates; a sum of int8 may be 0, and is a place all the same
    rows.sort_indices()
    wide = np.int64 if rows.nnz > np.iinfo(np.int32).max else np.int32
    shape = (int(rows.shape[0]), int(rows.shape[1]))
    return Pattern(rows.indptr.astype(wide), rows.indices.astype(wide), shape)


def read_pattern(given: Any, shape: tuple[int, int], *, symmetric: bool, name: str) -> Pattern:
    """Return a user's pattern, checked.

    Parameters
    ----------
    given : sparse matrix, dense boolean array, index arrays or a Stencil
        One array (E, k): all unknowns of an element couple with each other. Two arrays (E, k) and
        (E, m): the rows of an element couple with its columns. A stencil is the array of its
        pixels' unknowns.
    shape : tuple of int
    symmetric : bool
        Add the mirror image of every place: one triangle is enough.

    Raises
    ------
    ShapeError
        If shapes or indices do not fit; the first index outside is named.
    """
    if sparse.issparse(given) or getattr(given, "dtype", None) == np.bool_:
        matrix = sparse.csr_array(given)
    else:
        two = isinstance(given, tuple)
        rows, columns = given if two else (given, given)
        left = _incidence(rows, shape[0], f"{name}, rows" if two else name)
        right = _incidence(columns, shape[1], f"{name}, columns") if two else left
        if left.shape[0] != right.shape[0]:
            raise ShapeError(
                f"{name} has rows of {left.shape[0]} elements and columns of {right.shape[0]}.",
                fix="give two index arrays with one line for each element.",
            )
        matrix = left.T @ right
    if matrix.shape != shape:
        raise ShapeError(
            f"{name} has shape {matrix.shape}; rows and columns are {shape}.",
            fix="transpose it: rows are states, columns parameters."
            if matrix.shape == shape[::-1] else f"give shape {shape}.",
        )  # fmt: skip
    places = pattern_of(matrix)
    if not symmetric:
        return places
    ones = sparse.csr_array(
        (np.ones(places.nnz, np.int8), places.indices, places.indptr), shape=shape
    )
    return pattern_of(ones + ones.T)


def _incidence(indices: Any, n: int, name: str) -> sparse.csr_array:
    if isinstance(indices, Stencil):
        indices = indices.indices().reshape(indices.elements, -1)
    array = np.asarray(indices)
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise ShapeError(
            f"{name} is neither a sparse matrix nor an index array: {type(indices).__name__} of "
            f"shape {array.shape} and type {array.dtype}.",
            fix="give a scipy.sparse matrix, or whole numbers of shape (elements, unknowns).",
        )
    outside = (array < 0) | (array >= n)
    if outside.any():
        e, k = np.unravel_index(int(np.argmax(outside)), array.shape)
        raise ShapeError(
            f"{name} has index {array[e, k]} in element {e}, place {k}; it must lie in [0, {n})."
        )
    pointers = np.arange(0, array.size + 1, array.shape[1] or 1)[: array.shape[0] + 1]
    shape = (array.shape[0], n)
    return sparse.csr_array((np.ones(array.size, np.int32), array.reshape(-1), pointers), shape)


def probe_pattern(
    value: Callable[[Array], NDArray[Any]], point: Array, *, max_colours: int, name: str
) -> Pattern:
    """Find the pattern of ∂f/∂z by setting parts of z to NaN and looking where it comes out.

    Blocks of columns are halved again and again; blocks that no row shares are tried together.

    Parameters
    ----------
    value : callable
        f(z), shape (m,).
    point : array, shape (n,)
    max_colours : int
        Refuse if a row depends on more than so many.
    name : str

    Raises
    ------
    StructureError
        If f refuses NaN, or a row depends on too many columns.
    NonFinite
        If f is not finite at the point.

    Notes
    -----
    Cost: log₂ n rounds, of up to two values of f a colour (149 for TV of a 512² image). Places
    where NaN flows by arithmetic are found, needed or not (0 · NaN is NaN: a product with a dense
    matrix is dense). A comparison swallows NaN: of np.where(y > 0, a, b) only b is seen. So the
    pattern may be too small, and every matrix made with it is probed.
    """
    n = point.size
    at_point = np.asarray(value(point.copy()))
    if not np.isfinite(at_point).all():
        raise NonFinite(f"{name} is not finite at the point where its pattern is looked for.")
    found = Pattern(
        np.arange(at_point.size + 1, dtype=np.int32), np.zeros(at_point.size, np.int32),
        (at_point.size, 1),
    )  # fmt: skip
    starts = np.array([0, n])
    while starts.size - 1 < n:
        starts, children = _halved(starts)
        found = _tried(_refined(found, children), starts, value, point, max_colours, name)
    return found if n else Pattern(found.indptr * 0, found.indices[:0], (at_point.size, 0))


def _halved(starts: Indices) -> tuple[Indices, Indices]:
    """Return the starts of the halves, and where the children of each block begin among them."""
    middle = (starts[:-1] + starts[1:] + 1) // 2
    split = middle < starts[1:]
    children = np.concatenate([[0], np.cumsum(1 + split)])
    return np.sort(np.concatenate([starts, middle[split]])), children


def _refined(coarse: Pattern, children: Indices) -> Pattern:
    """Return the pattern with every place of a block passed on to the block's children."""
    first, count = children[coarse.indices], np.diff(children)[coarse.indices]
    before = np.concatenate([[0], np.cumsum(count)])
    inside = np.arange(before[-1]) - np.repeat(before[:-1], count)
    return Pattern(
        before[coarse.indptr], np.repeat(first, count) + inside,
        (coarse.shape[0], int(children[-1])),
    )  # fmt: skip


def _tried(
    candidates: Pattern, starts: Indices, value: Callable[[Array], NDArray[Any]], point: Array,
    max_colours: int, name: str,
) -> Pattern:  # fmt: skip
    """Return those of the candidates through which NaN comes out."""
    if candidates.longest_row() > 2 * max_colours:
        raise StructureError(
            f"{name}: a row depends on more than {max_colours} unknowns; the matrix is dense, or "
            "nearly so: a term couples all unknowns (rank-one?).",
            fix='ask for products alone, "products"; or raise max_colours=.',
        )
    indptr, indices = candidates.indptr, candidates.indices
    by_column = colouring.transposed(indptr, indices, candidates.shape[1])[:2]
    colours = colouring.colour_columns(indptr, indices, *by_column)
    n_colours = int(colours.max(initial=-1)) + 1
    ends, rows, slots = colouring.entries_by_colour(indptr, indices, colours, n_colours)
    kept = np.zeros(candidates.nnz, bool)
    sizes = np.diff(starts)
    for c in range(n_colours):
        spoiled = point.copy()
        spoiled[np.repeat(colours == c, sizes)] = np.nan
        part = slice(ends[c], ends[c + 1])
        kept[slots[part]] = np.isnan(_spoiled_value(value, spoiled, name))[rows[part]]
    before = np.concatenate([[0], np.cumsum(kept)])
    wide = np.int64 if before[-1] > np.iinfo(np.int32).max else np.int32
    return Pattern(before[indptr].astype(wide), indices[kept].astype(wide), candidates.shape)


def _spoiled_value(value: Callable[[Array], NDArray[Any]], z: Array, name: str) -> NDArray[Any]:
    try:
        with np.errstate(all="ignore"):
            return np.asarray(value(z))
    except (TypeError, ValueError, ArithmeticError) as error:
        raise StructureError(
            f"could not find the pattern: {name} refuses NaN ({error}).",
            fix="give the pattern as a sparse matrix or as index arrays; or write local terms.",
        ) from error
