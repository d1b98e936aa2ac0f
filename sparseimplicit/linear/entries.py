"""The entries of a matrix: brought to one form, checked, and what structure they have."""

from __future__ import annotations

import enum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..errors import NonFinite, StructureError
from ..kernels import csr
from ..kernels.vectors import finite
from .indices import check_indices

Array = NDArray[np.float64]

# |a_ij − a_ji| may differ by this much of the smaller of the two rows' largest entries: the
# rounding of a sum of some hundred terms, assembled in two orders.
SYMMETRY_TOLERANCE: Final = 1e-13


class Structure(enum.Enum):
    """What is known of a square matrix by the one who made it."""

    GENERAL = "general"
    SYMMETRIC = "symmetric"
    POSITIVE_DEFINITE = "positive definite"

    @property
    def symmetric(self) -> bool:
        """Whether the structure includes A = Aᵀ."""
        return self is not Structure.GENERAL


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


def structure_of(
    entries: sparse.csr_array | None, declared: Structure | None, *, symmetric: bool
) -> Structure:
    """Return the structure of a matrix, found or as declared; refuse a declaration that is wrong.

    symmetric : whether a matrix without entries is so by construction.
    """
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
