"""The split of a state into free unknowns, which are solved for, and fixed values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from ..derivatives.cross import CrossOperator
from ..errors import NonFinite, ShapeError
from ..linear.operator import csr_from_parts

Array = NDArray[np.float64]
Ints = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Fixed:
    """Unknowns with Dirichlet values: made by `fixed`.

    numbering : Dofs of scikit-fem whose numbers ``places`` are, where they came from such
    length : int, of the mask where they came from one
    """

    places: Ints
    values: Any
    field: int
    numbering: Any = None
    length: int | None = None


def fixed(dofs: Any, values: Any = 0.0, *, field: int = 0) -> Fixed:
    """Give unknowns Dirichlet values.

    Parameters
    ----------
    dofs : what ``basis.get_dofs(…)`` returns, integer array, or boolean mask
        Of the basis of the field.
    values : number, array of one for each, or str, optional
        A name makes them a control: a block of the parameter, in ascending order of the unknowns.
    field : int
        Of the state, counted from 0.

    Raises
    ------
    ShapeError, NonFinite
        Dofs of another mesh or element, and masks of another length, are refused where the
        problem is made.
    """
    places = np.asarray(dofs.flatten() if hasattr(dofs, "flatten") else dofs)
    length = None
    if places.dtype == np.bool_:
        length = int(places.size)
        places = np.flatnonzero(places)
    if places.dtype.kind not in "iu" and places.size:
        raise ShapeError(
            f"dofs must be integers or a mask, got {places.dtype}.",
            where="pde.fixed",
            fix="give basis.get_dofs(…).",
        )
    flat = places.reshape(-1).astype(np.int64)
    order = np.argsort(flat, kind="stable")
    if not isinstance(values, str):
        given = np.asarray(values, dtype=np.float64)
        if given.size not in (1, flat.size):
            raise ShapeError(
                f"{given.size} values are given for {flat.size} unknowns.",
                where="pde.fixed",
                fix="give one number, or one for each unknown.",
            )
        if not np.isfinite(given).all():
            raise NonFinite("a Dirichlet value is NaN or infinite.", where="pde.fixed")
        values = np.broadcast_to(given.reshape(-1), flat.shape)[order]
    if np.unique(flat).size != flat.size:
        raise ShapeError("an unknown is named twice.", where="pde.fixed", fix="name each once.")
    return Fixed(flat[order], values, field, getattr(dofs, "obj", None), length)


class Split:
    """u = E y + F g(x): all values of the state from the free ones and the Dirichlet values.

    Parameters
    ----------
    size : int
        Number of all unknowns.
    fixed : sequence of Fixed, with places among all unknowns
    blocks : first place in x of each control by name
    n_x : int
    """

    def __init__(self, size: int, fixed: list[Fixed], blocks: Any, n_x: int) -> None:
        self.size, self.n_x = size, n_x
        places = np.concatenate([np.empty(0, dtype=np.int64), *(f.places for f in fixed)])
        if places.size and (places.min() < 0 or places.max() >= size):
            raise ShapeError(
                f"fixed= names unknown {places.max() if places.min() >= 0 else places.min()}; "
                f"there are {size}.",
                where="fixed=",
            )
        if np.unique(places).size != places.size:
            raise ShapeError(
                "fixed= names an unknown twice.",
                where="fixed=",
                fix="leave corners to one of the two boundaries; give dofs of a second field by "
                "field, pde.fixed(dofs, field=1).",
            )
        self.fixed = places
        self.free = np.setdiff1d(np.arange(size), places)
        self._base = np.zeros(size)
        for f in fixed:
            if not isinstance(f.values, str):
                self._base[f.places] = f.values
        chosen = [(f.places, blocks[f.values]) for f in fixed if isinstance(f.values, str)]
        none = np.empty(0, dtype=np.int64)
        self.chosen = np.concatenate([none, *(p for p, _ in chosen)])  # places that x fills
        self.sources = np.concatenate([none, *(b + np.arange(p.size) for p, b in chosen)])
        self._patterns: dict[int, tuple[Any, ...]] = {}

    def state(self, x: Array, y: Array) -> Array:
        """Return all values u, (size,)."""
        u = self._base.copy()
        u[self.chosen] = x[self.sources]
        u[self.free] = y
        return u

    def tangent(self, x_dot: Array | None, y_dot: Array | None) -> Array:
        """Return u̇ for a change of x and of y."""
        u_dot = np.zeros(self.size)
        if x_dot is not None:
            u_dot[self.chosen] = x_dot[self.sources]
        if y_dot is not None:
            u_dot[self.free] = y_dot
        return u_dot

    def padded(self, adjoint: Array) -> Array:
        """Return an adjoint with zeros where the state is fixed, (size,)."""
        return self.tangent(None, adjoint)

    def to_parameters(self, u_bar: Array) -> Array:
        """Return what a cotangent of u owes to the parameters that are Dirichlet values, (n_x,)."""
        out = np.zeros(self.n_x)
        np.add.at(out, self.sources, u_bar[self.chosen])
        return out

    def square(self, matrix: sparse.csr_array) -> sparse.csr_array:
        """Return the rows and columns of free unknowns; the pattern is made once."""
        if not self.fixed.size:
            return matrix
        kept, indices, indptr = self._taken(matrix, self.free, self.size)
        n = self.free.size
        return csr_from_parts(matrix.data[kept], indices, indptr, (n, n))

    def cross(self, parameters: Any, state: sparse.csr_array) -> Any:
        """Return ∂c/∂x with rows of free unknowns: B, and A's columns where x gives the values.

        parameters, state : B (size, n_x), sparse or an operator, and A (size, size).
        """
        if not self.fixed.size:
            return parameters
        more = None
        if self.chosen.size:
            spread = sparse.csr_array(
                (np.ones(self.chosen.size), (self.chosen, self.sources)),
                shape=(self.size, self.n_x),
            )
            more = sparse.csr_array(state[self.free] @ spread)
        if sparse.issparse(parameters):
            rows = sparse.csr_array(parameters)[self.free]
            return rows if more is None else sparse.csr_array(rows + more)
        return self._operator(parameters, more)

    def _operator(self, parameters: LinearOperator, more: Any) -> CrossOperator:
        def forward(x_dot: Array) -> Array:
            out: Array = np.asarray(parameters @ x_dot)[self.free]
            return out if more is None else out + more @ x_dot

        def backward(adjoint: Array) -> Array:
            out: Array = np.asarray(parameters.T @ self.padded(adjoint))
            return out if more is None else out + more.T @ adjoint

        return CrossOperator((self.free.size, self.n_x), forward, backward)

    def _taken(self, matrix: sparse.csr_array, kept: Ints, size: int) -> tuple[Any, ...]:
        """Return which entries stay, and their pattern."""
        key = id(matrix.indices)
        if key not in self._patterns:
            number = np.full(size, -1, dtype=matrix.indices.dtype)
            number[kept] = np.arange(kept.size)
            rows = np.repeat(np.arange(size), np.diff(matrix.indptr))
            inside = np.flatnonzero((number[rows] >= 0) & (number[matrix.indices] >= 0))
            indices = number[matrix.indices[inside]]
            counts = np.bincount(number[rows[inside]], minlength=kept.size)
            indptr = np.concatenate([[0], np.cumsum(counts)]).astype(matrix.indptr.dtype)
            # The pattern is kept alive with its key.
            self._patterns[key] = (inside, indices, indptr, matrix.indices)
        inside, indices, indptr, _ = self._patterns[key]
        return inside, indices, indptr
