"""A matrix as the solvers see it: checked once, canonical, with its structure declared."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from ..errors import NonFinite, ShapeError, StructureError
from ..kernels import csr
from ..kernels.vectors import dots, finite
from .indices import check_indices
from .matrix_free import MatrixFree
from .products import product
from .scaling import equilibrated

Array = NDArray[np.float64]

# |a_ij − a_ji| may differ by this much of the smaller of the two rows' largest entries: the
# rounding of a sum of some hundred terms, assembled in two orders.
SYMMETRY_TOLERANCE: Final = 1e-13
SAFE: Final = 1e-200  # a sum of squares from here to its inverse has lost nothing that counts


class Structure(enum.Enum):
    """What is known of a square matrix by the one who made it."""

    GENERAL = "general"
    SYMMETRIC = "symmetric"
    POSITIVE_DEFINITE = "positive definite"

    @property
    def symmetric(self) -> bool:
        """Whether the structure includes A = Aᵀ."""
        return self is not Structure.GENERAL


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
        self.grid = None if grid is None else _checked_grid(grid, self.n)
        self.entries = None if isinstance(matrix, LinearOperator) else canonical(matrix, structure)
        self.source = matrix if self.entries is None else self.entries
        self.structure = _structure(
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


def column_norms(b: Array) -> Array:
    """Return the Euclidean norms of the columns; entries of 1e±200 neither overflow nor vanish."""
    b = np.ascontiguousarray(b, dtype=np.float64)
    squares = dots(b, b)
    if ((squares > SAFE) & (squares < 1.0 / SAFE)).all():
        return np.asarray(np.sqrt(squares))
    largest = np.max(np.abs(b), axis=0, initial=0.0)
    unit = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    return np.asarray(np.linalg.norm(b / unit, axis=0) * unit)


def norm(v: Array) -> float:
    """Return the Euclidean norm of a vector; see `column_norms`."""
    return float(column_norms(v[:, None])[0])


def csr_from_parts(
    values: Array, indices: NDArray[Any], indptr: NDArray[Any], shape: tuple[int, int]
) -> sparse.csr_array:
    """Return a CSR matrix that holds just these arrays, sorted and without duplicates.

    scipy's constructor reads all indices to check them and narrows int64 to int32; for arrays made
    by our own kernels that costs more than filling them.
    """
    matrix = sparse.csr_array(shape)
    matrix.data, matrix.indices, matrix.indptr = values, indices, indptr
    matrix.has_canonical_format = True
    return matrix


def refuse_complex(matrix: Any, name: str, where: str) -> None:
    """Refuse what holds complex numbers, or says so of its products."""
    if np.iscomplexobj(matrix) or getattr(getattr(matrix, "dtype", None), "kind", "") == "c":
        raise StructureError(
            f"{name} is complex; systems here are real.",
            where=where,
            fix="split real and imaginary part: [[Re, −Im], [Im, Re]].",
        )


def canonical(matrix: Any, structure: Structure | None) -> sparse.csr_array:
    """Return finite, real entries as CSR in float64 with sorted, unique indices; never in place."""
    refuse_complex(matrix, "the matrix", "Operator")
    check_indices(matrix, "Operator")
    if structure is not None and structure.symmetric and getattr(matrix, "format", "") == "csc":
        matrix = matrix.T  # of a symmetric matrix, the same; shares the arrays
    try:
        entries = sparse.csr_array(matrix, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise StructureError(
            f"the matrix cannot be read as real numbers ({error}).",
            where="Operator",
            fix="give a sparse or dense array of numbers, or a LinearOperator.",
        ) from error
    if not entries.has_canonical_format:
        if np.shares_memory(entries.data, getattr(matrix, "data", entries.data)):
            entries = entries.copy()
        entries.sum_duplicates()
    if not finite(entries.data):
        fine = np.isfinite(entries.data)
        place = int(np.argmin(fine))
        row = int(np.searchsorted(entries.indptr, place, side="right")) - 1
        raise NonFinite(
            f"the matrix holds {entries.data[place]} at row {row}, column "
            f"{entries.indices[place]}; {int((~fine).sum())} of {entries.nnz} entries are not "
            "finite.",
            where="Operator",
            fix="check the state at which it was assembled, and divisions or roots near 0.",
        )
    return entries


def _structure(
    entries: sparse.csr_array | None, declared: Structure | None, *, symmetric: bool
) -> Structure:
    if entries is None:
        by_construction = Structure.SYMMETRIC if symmetric else Structure.GENERAL
        return by_construction if declared is None else declared
    if declared is Structure.GENERAL:
        return declared
    row, column = csr.first_asymmetry(
        entries.indptr, entries.indices, entries.data, SYMMETRY_TOLERANCE
    )
    if row < 0:
        return Structure.SYMMETRIC if declared is None else declared
    if declared is None:
        return Structure.GENERAL
    a, b = entries[int(row), int(column)], entries[int(column), int(row)]
    raise StructureError(
        f"the matrix is declared {declared.value} and is not symmetric: entry ({row}, {column}) "
        f"is {a:.16g}, entry ({column}, {row}) is {b:.16g}.",
        where="Operator",
        fix="give both triangles; or symmetrise with (A + A.T)/2 if this is rounding; or declare "
        "Structure.GENERAL.",
    )


def check_structure(structure: Any, where: str) -> None:
    """Refuse what is no Structure, as its name is."""
    if structure is not None and not isinstance(structure, Structure):
        raise StructureError(
            f"a structure is a member of Structure, got {structure!r}.",
            where=where,
            fix=f"give one of {', '.join(map(str, Structure))}, from sparseimplicit.",
        )


def _checked_grid(grid: Any, n: int) -> tuple[int, ...]:
    """Return a grid of one to three axes with n points as a tuple."""
    told = tuple(grid) if isinstance(grid, tuple | list | np.ndarray) else ()
    counts = all(isinstance(size, int | np.integer) and size >= 0 for size in told)
    if not (1 <= len(told) <= 3 and counts):
        raise ShapeError(
            f"a grid is told by one to three integers, got {grid!r}.",
            where="Operator",
            fix=f"give ({n},), (ny, nx) or (nz, ny, nx), with row-major points as the unknowns.",
        )
    if math.prod(told) != n:
        raise ShapeError(
            f"the grid {told} has {math.prod(told)} points, the matrix {n} unknowns.",
            where="Operator",
            fix="give the grid whose row-major points are the unknowns.",
        )
    return tuple(int(size) for size in told)


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
