"""Local terms as a user states them: a function of few numbers, and where these numbers stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import NonFinite, ShapeError, StructureError
from .grids import Stencil, whole_numbers


@dataclass(frozen=True)
class Shared:
    """Parameters that every element of a term reads: x[first : first + m]."""

    m: int
    first: int = 0

    @property
    def places(self) -> NDArray[np.int64]:
        """Where they stand in x, (m,)."""
        return np.arange(self.first, self.first + self.m)


@dataclass(frozen=True, eq=False)
class Block:
    """Entries of x that form an array: the filters of a lift that is learned.

    basis : array (m, k), optional
        Then the entries are coefficients P (N, m), and the filters P @ basis. Made by
        ``si.parameters(first, (N, m)) @ basis``.
    """

    first: int
    shape: tuple[int, ...]
    basis: NDArray[np.float64] | None = None

    @property
    def places(self) -> NDArray[np.int64]:
        """Where they stand in x, in the shape of the block."""
        return self.first + np.arange(int(np.prod(self.shape))).reshape(self.shape)

    def __matmul__(self, basis: Any) -> Block:
        """Return the combinations of the rows of a constant basis (m, k) or (m, a, b)."""
        array = np.asarray(basis)
        width = int(np.prod(self.shape[1:])) if self.basis is None else self.basis.shape[1]
        if array.dtype.kind not in "fiub" or array.ndim < 2 or array.shape[0] != width:
            raise ShapeError(
                f"a basis of {width} rows of real numbers is needed, got {array.dtype} of shape "
                f"{array.shape}.",
                where="parameters @ basis",
                fix="give one row for each coefficient of a filter.",
            )
        rows = np.ascontiguousarray(array.reshape(width, -1), dtype=np.float64)
        if not np.isfinite(rows).all():
            raise NonFinite("the basis holds NaN or inf.", where="parameters @ basis")
        whole = rows if self.basis is None else self.basis @ rows
        return Block(self.first, self.shape, whole)


@dataclass(frozen=True, eq=False)
class Term:
    """One kind of local term, before it is traced. Made by `term`."""

    function: Callable[..., Any]
    y: Any
    x: Any
    c: Any
    lift: Any
    name: str | None
    points: Any = None


def term(
    function: Callable[..., Any],
    y: Any,
    x: Any = None,
    c: Any = None,
    lift: Any = None,
    name: str | None = None,
    points: Any = None,
) -> Term:
    """State a sum of local terms ``Σ_e φ(y[Y_e], x[X_e], c_e)``.

    Parameters
    ----------
    function : callable (y, x, c) -> number
        φ in plain numpy, of the local vectors; it is run once, on traced numbers. Use `si.where`,
        ``np.maximum`` and the like in place of ``if``.
    y : integer array, shape (E, k) or (E, a, b), or `stencil`, `patches`
        Y: the unknowns of each element. φ sees ``y`` of shape (k,) or (a, b).
    x : integer array (E, m), `stencil` or `shared`, or a list of them, optional
        X: the parameters of each element; those of `shared` are the same for all.
    c : array, shape (E,), (E, q) or (E, …), optional
        Data of each element; φ sees shape (q,) or (…).
    lift : array, shape (R, k), or `parameters`, optional
        φ becomes a function of ``r = F y[Y_e]``, of shape (R,): for terms of many unknowns, which
        are then never written out. Filters given by `parameters` are part of x, and given by
        ``parameters(first, (R, m)) @ basis`` combinations of the rows of a constant basis (m, k).
    name : str, optional
        For messages and tables. Default: "term 0", "term 1", ….
    points : array (Q, s), the same in all elements, or (E, Q, r), or a list of them, optional
        φ becomes a function of (y, x, c, p), p of shape (s + r,), and is summed over the Q points
        of each element as well: quadrature, in a loop of its own.

    Returns
    -------
    Term

    Raises
    ------
    StructureError
        If ``function`` is none.
    """
    if not callable(function):
        raise StructureError(
            f"a term needs a function of (y, x, c), got {type(function).__name__}.", where="term"
        )
    return Term(function, y, x, c, lift, name, points)


def shared(m: int, first: int = 0) -> Shared:
    """Return the parameters x[first : first + m], read by every element of a term.

    Their derivatives are sums over all elements and never columns of a sparse matrix.
    """
    (m,), (first,) = (whole_numbers(n, k, "shared") for n, k in ((m, "m"), (first, "first")))
    if m < 0 or first < 0:
        raise ShapeError(f"shared({m}, first={first}) names no part of x.", where="shared")
    return Shared(m, first)


def parameters(first: int, shape: Sequence[int]) -> Block:
    """Return the array of this shape that stands in x from ``first`` on: for ``lift=``."""
    shape = whole_numbers(shape, "shape", "parameters")
    (first,) = whole_numbers(first, "first", "parameters")
    if first < 0 or min(shape, default=0) < 1:
        raise ShapeError(f"parameters({first}, {shape}) names no part of x.", where="parameters")
    return Block(first, shape)


def index_array(places: Any, size: int, where: str, what: str) -> NDArray[Any]:
    """Return integer places as (E, …), in int32 where that suffices, each in 0 … size − 1."""
    if isinstance(places, Stencil):
        array = places.indices()
        if places.size > size:
            raise ShapeError(
                f"the stencil's grid has {places.size} unknowns, {what} has {size}.", where=where
            )
        return array
    array = np.asarray(places)
    if array.dtype.kind not in "iu" or array.ndim == 0:
        raise ShapeError(
            f"{what} must be an integer array (elements, unknowns), got {array.dtype} of shape "
            f"{array.shape}.",
            where=where,
        )
    if array.ndim == 1:
        array = array[:, None]
    if array.size and (array.min() < 0 or array.max() >= size):
        worst = int(array.min()) if array.min() < 0 else int(array.max())
        raise ShapeError(
            f"{what} names place {worst}; there are {size}, counted from 0.",
            where=where,
            fix="check the index array, and n_y and n_x.",
        )
    return np.ascontiguousarray(array, dtype=np.int32 if size < 2**31 else np.int64)
