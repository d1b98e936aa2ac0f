"""The two interfaces of scikit-sparse, 0.4 and 0.5, as one.

A is symmetric, so its CSR arrays, read as CSC, are A again: nothing is copied.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

import numpy as np
from scipy import sparse

from .._optional import require
from ..errors import MemoryBudgetExceeded, NotPositiveDefinite, SparseImplicitError
from .operator import Array

WHERE: Final = "solver 'cholmod', prepare"


class Numeric(Protocol):
    """A numeric factor."""

    def solve(self, b: Array) -> Array:
        """Return A⁻¹ b for b (n, k)."""


class Symbolic(Protocol):
    """A symbolic analysis; `factorize` leaves it as it is."""

    def factorize(self, entries: Any) -> Numeric:
        """Return the factor of a matrix of the pattern analysed."""


def analyse(entries: Any, ordering: str) -> Symbolic:
    """Analyse a pattern with whichever scikit-sparse is installed.

    Raises
    ------
    MissingBackend, MemoryBudgetExceeded
    """
    cholmod = require(
        "sksparse.cholmod", extra="cholmod", purpose="the sparse Cholesky factorization"
    )
    interface = _Analysis04 if hasattr(cholmod, "analyze") else _Analysis05
    return interface(cholmod, entries, ordering)


class _Analysis04:
    """scikit-sparse 0.4: ``analyze(A)`` gives a symbolic factor, ``.cholesky(A)`` a numeric one."""

    def __init__(self, cholmod: Any, entries: Any, ordering: str) -> None:
        self._cholmod = cholmod
        self._wide = entries.indices.dtype == np.int64
        with _errors(cholmod):
            try:
                self._symbolic = self._analyze(entries, ordering)
            except cholmod.CholmodTooLargeError:
                if self._wide:
                    raise
                self._wide = True  # the factor has more entries than int32 can count
                self._symbolic = self._analyze(entries, ordering)

    def _analyze(self, entries: Any, ordering: str) -> Any:
        return self._cholmod.analyze(
            _as_columns(entries, wide=self._wide),
            mode="supernodal",
            ordering_method=ordering,
            use_long=self._wide,
        )

    def factorize(self, entries: Any) -> Numeric:
        with _errors(self._cholmod, self._symbolic):
            return _Factor04(self._symbolic.cholesky(_as_columns(entries, wide=self._wide)))


class _Factor04:
    def __init__(self, factor: Any) -> None:
        self._factor = factor

    def solve(self, b: Array) -> Array:
        return np.asarray(self._factor.solve_A(b))


class _Analysis05:
    """scikit-sparse 0.5: one `CholeskyFactor` is both; a copy of it is factorized."""

    def __init__(self, cholmod: Any, entries: Any, ordering: str) -> None:
        self._cholmod = cholmod
        self._arguments = {"order": ordering, "supernodal_mode": "supernodal"}
        with _errors(cholmod):
            self._symbolic = cholmod.CholeskyFactor(_as_columns(entries), **self._arguments)

    def factorize(self, entries: Any) -> Numeric:
        with _errors(self._cholmod):
            factor = self._symbolic.copy()
            factor.factorize(_as_columns(entries))
            return factor  # type: ignore[no-any-return]


def _as_columns(entries: Any, *, wide: bool = False) -> sparse.csc_array:
    dtype = np.int64 if wide else entries.indices.dtype
    columns = sparse.csc_array(entries.shape)
    # Assigned, not passed: the constructor narrows int64 indices to int32 where they fit.
    columns.data = entries.data
    columns.indices = entries.indices.astype(dtype, copy=False)
    columns.indptr = entries.indptr.astype(dtype, copy=False)
    return columns


@contextmanager
def _errors(cholmod: Any, symbolic: Any = None) -> Iterator[None]:
    """Turn CHOLMOD's errors into ours."""
    try:
        with warnings.catch_warnings():
            # "not positive definite" comes as a warning too; the error below says it.
            warnings.simplefilter("ignore", cholmod.CholmodWarning)
            yield
    except cholmod.CholmodNotPositiveDefiniteError as error:
        column = getattr(error, "column", None)
        unknown, at = None, ""
        if column is not None and symbolic is not None:
            permutation = symbolic.P()
            unknown = int(permutation[column])
            at = f" at column {column} of {permutation.size}, unknown {unknown}"
        raise NotPositiveDefinite(
            f"the matrix is not positive definite (Cholesky stopped{at}).",
            unknown=unknown,
            where=WHERE,
            fix="at an argmin: y is no strict minimiser, lower the `rtol` of the forward solve; or "
            "declare Structure.SYMMETRIC, which selects a method for indefinite matrices.",
        ) from error
    except (cholmod.CholmodOutOfMemoryError, cholmod.CholmodTooLargeError, MemoryError) as error:
        raise MemoryBudgetExceeded(
            f"CHOLMOD ran out of memory or indices: {error}.",
            where=WHERE,
            fix="use ordering='metis', or 'cg+amg', which needs memory proportional to the matrix.",
        ) from error
    except cholmod.CholmodError as error:
        raise SparseImplicitError(f"CHOLMOD failed: {error}.", where=WHERE) from error
