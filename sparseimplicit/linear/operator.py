"""A matrix as the solvers see it: checked once, canonical, with its structure declared."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from ..errors import ShapeError, StructureError
from ..kernels import csr
from ..kernels.vectors import dots
from .entries import (
    SYMMETRY_TOLERANCE,
    Structure,
    canonical,
    check_structure,
    csr_from_parts,
    refuse_complex,
    structure_of,
)
from .grids import checked_grid
from .matrix_free import MatrixFree
from .norms import column_norms, norm
from .products import product
from .scaling import equilibrated

__all__ = [
    "SYMMETRY_TOLERANCE",
    "Array",
    "Operator",
    "Structure",
    "canonical",
    "check_structure",
    "column_norms",
    "csr_from_parts",
    "norm",
    "refuse_complex",
]

Array = NDArray[np.float64]


class Operator:
    """A square real matrix, given by its entries or by its products alone.

    Parameters
    ----------
    matrix : sparse array or matrix of any format, dense array, LinearOperator or Operator
        Shape (n, n), real. Entries are brought to canonical CSR in float64 (shared, not copied,
        when they are so already; int32 and int64 indices are kept) and must be finite.
    structure : Structure, optional
        Declared by the one who knows. Left out, it is found from the entries, exactly: symmetric
        or general; a LinearOperator is then taken as general, unless it is symmetric by
        construction as `StencilOperator` is. Definiteness is never assumed:
        the factorization or the curvature of CG finds it out.
    grid : tuple of int, optional
        Shape of the regular grid whose points, in row-major order, are the unknowns.
    precondition_from : sparse matrix, optional
        An assembled matrix near this one, from which preconditioners are made when ``matrix``
        gives products alone.

    Raises
    ------
    ShapeError
        If the matrix is not square, or an index leads outside of it, or ``grid`` or
        ``precondition_from`` do not fit it.
    StructureError
        If it is complex, or declared symmetric and not so; the entry is named.
    NonFinite
        If an entry is NaN or infinite; the entry is named.

    Notes
    -----
    Cost: one pass over the entries for each check, about as much as two products with A.
    """

    n: Final[int]
    grid: Final[tuple[int, ...] | None]
    entries: Final[Any]
    source: Final[Any]
    structure: Final[Structure]

    def __init__(
        self,
        matrix: Any,
        structure: Structure | None = None,
        grid: tuple[int, ...] | None = None,
        precondition_from: Any = None,
    ) -> None:
        if isinstance(matrix, Operator):  # what is not given anew is taken over
            structure = matrix.structure if structure is None else structure
            grid = matrix.grid if grid is None else grid
            if precondition_from is None:
                precondition_from = matrix._precondition_from
            matrix = matrix.source
        _check_square(matrix)
        check_structure(structure, "Operator")
        if grid is None and isinstance(matrix, MatrixFree):
            grid = matrix.grid
        self.n = int(matrix.shape[0])
        self.grid = None if grid is None else checked_grid(grid, self.n)
        self.entries = None if isinstance(matrix, LinearOperator) else canonical(matrix, structure)
        self.source = matrix if self.entries is None else self.entries
        self.structure = structure_of(
            self.entries, structure, symmetric=isinstance(self.source, MatrixFree)
        )
        self._precondition_from: Any = (
            None if precondition_from is None else canonical(precondition_from, None)
        )
        if self._precondition_from is not None and self._precondition_from.shape[0] != self.n:
            raise ShapeError(
                f"precondition_from has shape {self._precondition_from.shape}, "
                f"the matrix {self.shape}.",
                where="Operator",
                fix="give a matrix of the same shape.",
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (n, n)."""
        return (self.n, self.n)

    @property
    def preconditioning_entries(self) -> sparse.csr_array | None:
        """The assembled matrix to precondition from, or None."""
        return self.entries if self._precondition_from is None else self._precondition_from

    def apply(self, v: Array, out: Array | None = None) -> Array:
        """Return A v for v of shape (n,) or (n, k); in ``out``, C-ordered, where entries allow."""
        if self.entries is None and not isinstance(self.source, MatrixFree):
            return product(self.source, v, "A")
        v = np.ascontiguousarray(v, dtype=np.float64)
        out = np.empty_like(v) if out is None else out
        if isinstance(self.source, MatrixFree):
            return _multiplied(self.source, v, out)
        parts = (self.entries.indptr, self.entries.indices, self.entries.data)
        if v.ndim == 1 or v.shape[1] == 1:  # one column is four times faster as a vector
            csr.multiply(*parts, v.reshape(-1), out.reshape(-1))
        else:
            csr.multiply_columns(*parts, v, out)
        return out

    def apply_and_dots(self, v: Array, out: Array) -> tuple[Array, Array]:
        """Return A v for C-ordered v (n, k), in ``out`` where entries allow, and each vⱼᵀ A vⱼ."""
        if isinstance(self.source, MatrixFree) and v.shape[1] == 1:
            found = self.source.multiply_and_dot(v.reshape(-1), out.reshape(-1))
            return out, np.array([found])
        out = self.apply(v, out=out)
        return out, dots(v, out)

    def expect(self, products: int) -> None:
        """Tell a matrix of products alone how many of them will follow, about."""
        if isinstance(self.source, MatrixFree):
            self.source.expect(products)

    def apply_transpose(self, v: Array) -> Array:
        """Return Aᵀ v for v of shape (n,) or (n, k); Aᵀ is never formed."""
        if self.structure.symmetric:
            return self.apply(v)
        if self.entries is not None:
            return np.asarray(self.entries.T @ v)
        return product(self.source, v, "A", transposed=True)

    @property
    def products_only(self) -> bool:
        """Whether nothing but products is known, not even the diagonal."""
        return self.entries is None and not isinstance(self.source, MatrixFree)

    @cached_property
    def diagonal(self) -> Array:
        """The main diagonal, (n,), unless products alone are known. Shared: not to be changed."""
        if isinstance(self.source, MatrixFree):
            return self.source.diagonal()
        entries = self._assembled()
        return csr.diagonal(entries.indptr, entries.indices, entries.data)

    def as_linear_operator(self, *, transposed: bool = False) -> LinearOperator:
        """Return A (or Aᵀ) as scipy's LinearOperator."""
        forward: Callable[[Array], Array] = self.apply
        backward: Callable[[Array], Array] = self.apply_transpose
        if transposed:
            forward, backward = backward, forward
        return LinearOperator(
            self.shape, matvec=forward, rmatvec=backward, matmat=forward, rmatmat=backward,
            dtype=np.float64,
        )  # fmt: skip

    def size_estimate(self) -> float:
        """Return ‖A‖: its largest row sum of |a_ij|, or for products alone ‖A z‖ for a random z.

        z has unit variance an unknown, so that the second is an average gain: a lower bound.
        """
        if self.n == 0:
            return 0.0
        if self.entries is not None:
            return float(csr.row_sizes(self.entries.indptr, self.entries.data)[1].max())
        z = np.random.default_rng(0).standard_normal(self.n)
        return float(np.linalg.norm(self.apply(z)) / np.linalg.norm(z))

    def equilibration(self) -> tuple[Array, Array, float]:
        """Return r, c and ‖Ã‖ of Ã = diag(r)⁻¹ A diag(c)⁻¹; see `scaling.equilibrated`."""
        return equilibrated(self._assembled(), symmetric=self.structure.symmetric)

    def _assembled(self) -> sparse.csr_array:
        if self.entries is None:
            raise StructureError(
                "this matrix gives products alone, and its entries are needed.",
                where="Operator",
                fix="give a sparse matrix.",
            )
        return self.entries

    def same_pattern(self, other: Operator) -> bool:
        """Tell whether both have entries in the same places, by a full comparison."""
        mine, theirs = self.entries, other.entries
        if mine is None or theirs is None:
            return False
        return _same(mine.indptr, theirs.indptr) and _same(mine.indices, theirs.indices)

    def __repr__(self) -> str:
        """Name size, structure and storage."""
        stored = "products alone" if self.entries is None else f"{self.entries.nnz} entries"
        return f"Operator({self.n} unknowns, {stored}, {self.structure.value})"


def _multiplied(matrix: MatrixFree, v: Array, out: Array) -> Array:
    if v.ndim == 1 or v.shape[1] == 1:
        matrix.multiply(v.reshape(-1), out.reshape(-1))
    else:
        for column in range(v.shape[1]):
            out[:, column] = matrix.matvec(v[:, column])
    return out


def _check_square(matrix: Any) -> None:
    shape = getattr(matrix, "shape", None)
    if shape is None or len(shape) != 2 or shape[0] != shape[1]:
        raise ShapeError(
            f"a square matrix is needed, got {type(matrix).__name__} of shape {shape}.",
            where="Operator",
            fix="give a sparse array, a dense array, or a scipy.sparse.linalg.LinearOperator, "
            "of shape (n, n).",
        )


def _same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a is b or (a.shape == b.shape and bool(np.array_equal(a, b)))
