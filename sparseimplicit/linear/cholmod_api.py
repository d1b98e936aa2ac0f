"""The two interfaces of scikit-sparse, 0.4 and 0.5, as one.

A is symmetric, so its CSR arrays, read as CSC, are A again: nothing is copied. The mode is always
supernodal, L Lᵀ: it alone finds out that a matrix is not positive definite.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._optional import require
from ..errors import (
    MemoryBudgetExceeded,
    MissingBackend,
    NotPositiveDefinite,
    SingularSystem,
    SparseImplicitError,
)
from .operator import Array

PREPARE: Final = "solver 'cholmod', prepare"
SOLVE: Final = "solver 'cholmod', solve"


class Numeric(Protocol):
    """A numeric factor."""

    @property
    def bytes_estimate(self) -> int | None:
        """Memory of the factor, where scikit-sparse tells its number of entries."""

    def solve(self, b: Array) -> Array:
        """Return A⁻¹ b for b (n, k), in any memory order."""


class Symbolic(Protocol):
    """A symbolic analysis; `factorize` leaves it as it is."""

    def order(self) -> NDArray[Any]:
        """Return the fill-reducing permutation: row k of L is row ``order()[k]`` of A."""

    def factorize(self, entries: Any) -> Numeric:
        """Return the factor of a matrix of the pattern analysed."""


def analyse(entries: Any, ordering: str) -> Symbolic:
    """Analyse the pattern of a symmetric CSR matrix with whichever scikit-sparse is installed.

    Indices stay int32 where they are so, and go to int64 when int32 cannot count the factor.

    Raises
    ------
    MissingBackend
        If scikit-sparse is not installed, or its CHOLMOD was built without this ordering.
    MemoryBudgetExceeded
        If memory runs out.
    NotPositiveDefinite
        If the matrix has no entries at all (0.5; with 0.4 the factorization tells).
    """
    cholmod = require(
        "sksparse.cholmod", extra="cholmod", purpose="the sparse Cholesky factorization"
    )
    interface = _Symbolic04 if hasattr(cholmod, "analyze") else _Symbolic05
    return interface(cholmod, entries, ordering)


class _Symbolic04:
    """scikit-sparse 0.4: ``analyze(A)`` gives a symbolic factor, ``.cholesky(A)`` a numeric one."""

    def __init__(self, cholmod: Any, entries: Any, ordering: str) -> None:
        def analyze(columns: sparse.csc_array) -> Any:
            wide = columns.indices.dtype == np.int64
            return cholmod.analyze(
                columns, mode="supernodal", ordering_method=ordering, use_long=wide
            )

        self._cholmod = cholmod
        with _errors(cholmod, PREPARE):
            self._symbolic, self._index = _widened(entries, analyze, _too_large(cholmod))

    def order(self) -> NDArray[Any]:
        return np.asarray(self._symbolic.P())

    def factorize(self, entries: Any) -> Numeric:
        with _errors(self._cholmod, PREPARE, self._symbolic.P):
            factor = self._symbolic.cholesky(_as_columns(entries, self._index))
        return _Numeric04(self._cholmod, factor)


class _Numeric04:
    bytes_estimate = None

    def __init__(self, cholmod: Any, factor: Any) -> None:
        self._cholmod = cholmod
        self._factor = factor

    def solve(self, b: Array) -> Array:
        with _errors(self._cholmod, SOLVE):
            return np.asarray(self._factor.solve_A(b))


class _Symbolic05:
    """scikit-sparse 0.5: one `CholeskyFactor` is analysis and factor; a copy is factorized.

    Factorized twice, the same object would go on in simplicial mode. The factor always ends
    simplicial, in 0.5.0 with no way to keep it supernodal: that costs time and memory.
    """

    def __init__(self, cholmod: Any, entries: Any, ordering: str) -> None:
        def analyze(columns: sparse.csc_array) -> Any:
            return cholmod.CholeskyFactor(columns, order=ordering, supernodal_mode="supernodal")

        self._cholmod = cholmod
        with _errors(cholmod, PREPARE):
            self._symbolic, self._index = _widened(entries, analyze, _too_large(cholmod))
        self._bytes = int(self._symbolic.nnz) * (8 + self._index.itemsize)

    def order(self) -> NDArray[Any]:
        return np.asarray(self._symbolic.perm)

    def factorize(self, entries: Any) -> Numeric:
        with _errors(self._cholmod, PREPARE, self.order):
            factor = self._symbolic.copy()
            # Indices of another width than the analysis has are not checked: they crash.
            factor.factorize(_as_columns(entries, self._index))
        if factor.rcond == 0.0:  # its `solve` would refuse
            raise SingularSystem(
                "the matrix is singular to working precision: the pivots of its Cholesky factor "
                "span more than 160 decades, or overflow.",
                where=PREPARE,
                fix="bring the unknowns to comparable units, or look for an empty row.",
            )
        return _Numeric05(self._cholmod, factor, self._bytes)


class _Numeric05:
    def __init__(self, cholmod: Any, factor: Any, bytes_estimate: int) -> None:
        self._cholmod = cholmod
        self._factor = factor
        self.bytes_estimate = bytes_estimate

    def solve(self, b: Array) -> Array:
        with _errors(self._cholmod, SOLVE):
            return np.asarray(self._factor.solve(b))


def _widened(
    entries: Any, analyze: Callable[[sparse.csc_array], Any], too_large: type[Exception]
) -> tuple[Any, np.dtype[Any]]:
    """Analyse with the indices as they are, or in int64 where CHOLMOD finds int32 too small."""
    index = np.result_type(entries.indices.dtype, entries.indptr.dtype)
    try:
        return analyze(_as_columns(entries, index)), index
    except too_large:
        if index == np.int64:
            raise
        index = np.dtype(np.int64)
        return analyze(_as_columns(entries, index)), index


def _as_columns(entries: Any, index: np.dtype[Any]) -> sparse.csc_array:
    """Read the rows of a symmetric matrix as columns; arrays are copied only where they must be."""
    columns = sparse.csc_array(entries.shape)
    # Assigned, not passed: the constructor narrows int64 indices to int32 where they fit.
    # Writable, since 0.5 refuses read-only arrays (which it does not write to).
    columns.data = np.require(entries.data, requirements=("C", "W"))
    columns.indices = np.require(entries.indices, index, ("C", "W"))
    columns.indptr = np.require(entries.indptr, index, ("C", "W"))
    columns.has_canonical_format = True
    return columns


@contextmanager
def _errors(
    cholmod: Any, where: str, permutation: Callable[[], NDArray[Any]] | None = None
) -> Iterator[None]:
    """Turn CHOLMOD's errors into ours, and silence its warnings: an error or a residual tells."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", cholmod.CholmodWarning)
            yield
    except cholmod.CholmodNotPositiveDefiniteError as error:
        raise _not_positive_definite(error, where, permutation) from error
    except (MemoryError, cholmod.CholmodOutOfMemoryError, _too_large(cholmod)) as error:
        raise MemoryBudgetExceeded(
            f"CHOLMOD ran out of memory or indices: {error}.",
            where=where,
            fix="use ordering='metis', or 'cg+amg', which needs memory proportional to the matrix.",
        ) from error
    except cholmod.CholmodNotInstalledError as error:
        raise MissingBackend(
            f"this CHOLMOD was built without what was asked for: {error}.",
            where=where,
            fix="use ordering='amd'.",
        ) from error
    except cholmod.CholmodError as error:
        raise SparseImplicitError(
            f"CHOLMOD failed: {type(error).__name__}: {error}.",
            where=where,
            fix="try 'superlu'; if the matrix is sound, this is a bug worth reporting.",
        ) from error


def _too_large(cholmod: Any) -> type[Exception]:
    """Return the error of an index type too small, which 0.5 renamed."""
    name = "CholmodTooLargeError" if hasattr(cholmod, "analyze") else "CholmodOverflowError"
    error: type[Exception] = getattr(cholmod, name)
    return error


def _not_positive_definite(
    error: Exception, where: str, permutation: Callable[[], NDArray[Any]] | None
) -> NotPositiveDefinite:
    column = _column(error)
    unknown, at = None, ""
    order = np.empty(0) if permutation is None else permutation()
    if column is not None and column < order.size:
        unknown = int(order[column])
        at = f" at column {column} of {order.size}, which is unknown {unknown}"
    return NotPositiveDefinite(
        f"the matrix is not positive definite (Cholesky stopped{at}).",
        unknown=unknown,
        where=where,
        fix="at an argmin: y is no strict minimiser, lower the `rtol` of the forward solve; or "
        "declare Structure.SYMMETRIC, which selects a method for indefinite matrices.",
    )


def _column(error: Exception) -> int | None:
    """Return where it stopped, in the permuted order: 0.4 has an attribute, 0.5 a sentence."""
    column = getattr(error, "column", None)
    if column is None:
        sentence = re.search(r"Failed at column (\d+)", str(error))
        column = None if sentence is None else sentence[1]
    return None if column is None else int(column)
