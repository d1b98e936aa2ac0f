"""MKL's PARDISO through the library that pypardiso finds: one handle for one pattern.

pypardiso's own class copies the matrix, compares it at each solve, and keeps one factorization.
Here a handle holds the analysis of a pattern and up to two factorizations at once: a new one can
be made while its predecessor still solves. Arrays are passed with indices from 0, uncopied.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .._optional import require
from ..errors import (
    MemoryBudgetExceeded,
    NotPositiveDefinite,
    SingularSystem,
    SparseImplicitError,
)
from .operator import Array

WHERE: Final = "solver 'pardiso'"
SLOTS: Final = 2  # factorizations of one pattern that can live at once
POSITIVE_DEFINITE: Final = 2
INDEFINITE: Final = -2
GENERAL: Final = 11

# Phases, and the places of parameters (counted from 0).
ANALYSE, FACTORIZE, SOLVE, RELEASE_FACTOR, RELEASE_ALL = 11, 22, 33, 0, -1
ORDERING, REFINEMENTS, PERTURBATION, SCALING, TRANSPOSE, MATCHING = 1, 7, 9, 10, 11, 12
PEAK_OF_ANALYSIS, HELD_BY_ANALYSIS, HELD_BY_FACTOR, ENTRIES, MFLOPS = 14, 15, 16, 17, 18
PIVOTING, POSITIVE, NEGATIVE, SINGLE, FAILED_AT, FROM_ZERO = 20, 21, 22, 27, 29, 34
PERTURBED: Final = 13
GNU_THREADS: Final = 3  # the same OpenMP runtime as numba's: a second one would spin beside it


@lru_cache(maxsize=1)
def _library() -> Any:
    pypardiso = require("pypardiso", extra="pardiso", purpose="MKL's sparse direct solver PARDISO")
    library = ctypes.CDLL(pypardiso.PyPardisoSolver().libmkl._name)
    library.MKL_Set_Threading_Layer(GNU_THREADS)
    return library


class Handle:
    """One pattern in PARDISO's memory; `analyse` first, then up to two factorizations.

    Parameters
    ----------
    indptr, indices : CSR, sorted; for symmetric kinds the upper triangle with a full diagonal
    kind : POSITIVE_DEFINITE, INDEFINITE or GENERAL
    ordering : 0 minimum degree, 2 nested dissection, 3 the same in parallel
    single : factorize in float32
    wide : count in int64, for factors of 2³¹ entries or more; by default if A has so many
    """

    def __init__(
        self,
        indptr: NDArray[Any],
        indices: NDArray[Any],
        kind: int,
        ordering: int,
        *,
        single: bool = False,
        wide: bool = False,
    ) -> None:
        wide = wide or indices.size > np.iinfo(np.int32).max
        self._call = _library().pardiso_64 if wide else _library().pardiso
        self._integer: Any = np.int64 if wide else np.int32
        self._indptr = np.ascontiguousarray(indptr, dtype=self._integer)
        self._indices = np.ascontiguousarray(indices, dtype=self._integer)
        self._float: Any = np.float32 if single else np.float64
        self._kind = kind
        self._n = indptr.size - 1
        self._memory = np.zeros(64, dtype=np.int64)
        # Phases change what lies in memory: one at a time, whoever calls. Parameters, which they
        # change too, go to each call as a copy of its own.
        self._lock = threading.RLock()
        self.parameters = np.zeros(64, dtype=self._integer)
        given = {
            0: 1, ORDERING: ordering, REFINEMENTS: 0, FROM_ZERO: 1, SINGLE: int(single),
            PERTURBATION: 13 if kind == GENERAL else 8, PIVOTING: 1, ENTRIES: -1, MFLOPS: -1,
            SCALING: int(kind != POSITIVE_DEFINITE), MATCHING: int(kind != POSITIVE_DEFINITE),
        }  # fmt: skip
        for place, value in given.items():
            self.parameters[place] = value
        self._free = list(range(1, SLOTS + 1))
        weakref.finalize(
            self, _release, self._call, self._memory, self.parameters, self._kind, self._integer
        )

    def analyse(self, values: Array) -> None:
        """Order and analyse; values matter to the kinds that are scaled and matched."""
        self.parameters = self._run(ANALYSE, 1, self._cast(values, self._unit(values)))
        self.entries = int(self.parameters[ENTRIES])
        self.operations = 1e6 * float(self.parameters[MFLOPS])
        kilobytes = self.parameters[[PEAK_OF_ANALYSIS, HELD_BY_ANALYSIS, HELD_BY_FACTOR]]
        peak, held, factor = (1024 * int(k) for k in kilobytes)
        self.bytes = max(peak, held + factor)

    @property
    def overflowed(self) -> bool:
        """Whether the counts of the analysis did not fit into int32."""
        return self.entries < 0 or self.operations < 0

    @property
    def full(self) -> bool:
        """Whether as many factorizations live as the handle can hold."""
        return not self._free

    def factorize(self, values: Array) -> Factor:
        """Factorize values on the pattern; the factor gives its place back when it is freed."""
        slot, unit = self._free.pop(), self._unit(values)
        cast = self._cast(values, unit)
        try:
            told = self._run(FACTORIZE, slot, cast)
        except SparseImplicitError:
            self._free.append(slot)
            raise
        return Factor(self, slot, cast, unit, told)

    def _cast(self, values: Array, unit: float) -> NDArray[Any]:
        """Return the values as they are, or in float32 in units of the largest."""
        return np.ascontiguousarray(values if unit == 1.0 else values / unit, dtype=self._float)

    def _unit(self, values: Array) -> float:
        """Return the power of 2 next to the largest value, whose exponents float32 may lack."""
        if self._float is np.float64:
            return 1.0
        largest = float(np.max(np.abs(values), initial=0.0))
        return float(2.0 ** np.round(np.log2(largest))) if largest > 0 else 1.0

    def _run(
        self,
        phase: int,
        slot: int,
        values: NDArray[Any],
        b: NDArray[Any] | None = None,
        x: NDArray[Any] | None = None,
        *,
        transposed: bool = False,
    ) -> NDArray[Any]:
        """Run a phase; return the parameters as it left them."""
        columns = 1 if b is None else b.shape[1]
        parameters = self.parameters.copy()
        # Symmetric kinds know one direction only.
        parameters[TRANSPOSE] = 2 if transposed and self._kind == GENERAL else 0
        with self._lock:
            error = _pardiso(
                self._call, self._memory, parameters, self._kind, self._integer, phase, slot,
                (self._n, values, self._indptr, self._indices), columns, b, x,
            )  # fmt: skip
        if error:
            raise _failure(error, phase, self._kind, int(parameters[FAILED_AT]), self._n)
        return parameters


class Factor:
    """A factorization in one slot of a handle."""

    def __init__(
        self, handle: Handle, slot: int, values: NDArray[Any], unit: float, told: NDArray[Any]
    ) -> None:
        self._handle = handle
        self._unit = unit
        self._slot = slot
        self._values = values
        self.inertia = (int(told[POSITIVE]), int(told[NEGATIVE]))
        self.perturbed = int(told[PERTURBED])
        weakref.finalize(self, _give_back, handle, slot)

    def solve(self, b: Array, *, transposed: bool) -> Array:
        """Return A⁻¹ b, or A⁻ᵀ b, for b (n, k)."""
        rhs = np.asfortranarray(b, dtype=self._handle._float)
        x = np.empty_like(rhs)
        self._handle._run(SOLVE, self._slot, self._values, rhs, x, transposed=transposed)
        return np.ascontiguousarray(x, dtype=np.float64) / self._unit


def _pardiso(
    call: Any,
    memory: NDArray[Any],
    parameters: NDArray[Any],
    kind: int,
    integer: Any,
    phase: int,
    slot: int,
    matrix: tuple[int, Any, Any, Any],
    columns: int,
    b: NDArray[Any] | None,
    x: NDArray[Any] | None,
) -> int:
    """Call PARDISO; returns its error number. Every scalar goes by address."""
    n, values, indptr, indices = matrix
    scalars = np.array([SLOTS, slot, kind, phase, n, columns, 0, 0], dtype=integer)
    at = [ctypes.c_void_p(scalars.ctypes.data + k * scalars.itemsize) for k in range(8)]
    call(
        _address(memory), at[0], at[1], at[2], at[3], at[4], _address(values), _address(indptr),
        _address(indices), None, at[5], _address(parameters), at[6], _address(b), _address(x),
        at[7],
    )  # fmt: skip
    return int(scalars[7])


def _address(array: NDArray[Any] | None) -> ctypes.c_void_p | None:
    return None if array is None else ctypes.c_void_p(array.ctypes.data)


def _release(
    call: Any, memory: NDArray[Any], parameters: NDArray[Any], kind: int, integer: Any
) -> None:
    nothing = (0, None, None, None)
    _pardiso(call, memory, parameters, kind, integer, RELEASE_ALL, 1, nothing, 1, None, None)


def _give_back(handle: Handle, slot: int) -> None:
    nothing = np.zeros(0)
    handle._run(RELEASE_FACTOR, slot, nothing)
    handle._free.append(slot)


def _failure(error: int, phase: int, kind: int, place: int, n: int) -> SparseImplicitError:
    where = f"{WHERE}, {'solve' if phase == SOLVE else 'prepare'}"
    if error == -4 and kind == POSITIVE_DEFINITE:
        known = 0 < place <= n
        at = f" at unknown {place - 1}" if known else ""
        return NotPositiveDefinite(
            f"the matrix is not positive definite (Cholesky stopped{at}).",
            unknown=place - 1 if known else None,
            where=where,
            fix="at an argmin: y is no strict minimiser, lower the `rtol` of the forward solve; or "
            "declare Structure.SYMMETRIC, which selects a method for indefinite matrices.",
        )
    if error in (-4, -7):
        return SingularSystem(
            f"the matrix is singular: PARDISO met a zero pivot (its error {error}).",
            where=where,
            fix="look for an empty or dependent row; fix the gauge (a pinned unknown).",
        )
    if error in (-2, -9, -10, -11):
        return MemoryBudgetExceeded(
            f"PARDISO ran out of memory on {n} unknowns (its error {error}).",
            where=where,
            fix="use 'cg+amg' or 'cg+jacobi', whose memory is proportional to the matrix.",
        )
    return SparseImplicitError(
        f"PARDISO failed with its error {error}.",
        where=where,
        fix="try 'cholmod' or 'superlu'; if the matrix is sound, this is a bug worth reporting.",
    )
