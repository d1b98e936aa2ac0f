"""Strong couplings and classical interpolation of algebraic multigrid, row by row in parallel."""

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .amg import PARALLEL_ENTRIES
from .galerkin import BLOCKS, Sparse

Indices = NDArray[Any]
Values = NDArray[Any]


def strong(indptr: Indices, indices: Indices, values: Values, theta: float) -> tuple[Any, Any]:
    """Return (indptr, indices) of the j ≠ i with |a_ij| ≥ θ max_(k ≠ i) |a_ik|, a_ij ≠ 0; int32."""
    n = indptr.size - 1
    parallel = indices.size >= PARALLEL_ENTRIES
    counts, limits = np.empty(n, dtype=np.int64), np.empty(n)
    (_limits_parallel if parallel else _limits)(indptr, indices, values, theta, limits, counts)
    first = np.zeros(n + 1, dtype=np.int32)
    np.cumsum(counts, out=first[1:])
    columns = np.empty(int(first[-1]), dtype=np.int32)
    run = _strong_parallel if parallel else _strong
    run(indptr, indices, values, limits, first, columns)
    return first, columns


def classical(
    indptr: Indices, indices: Indices, values: Values, theta: float, coarse: Indices
) -> Sparse:
    """Return the CSR arrays of P, by modified classical interpolation; int32.

    coarse: number of an unknown on the next level, or −1. A row i that stays has one entry 1. Else

        P_ij = −(a_ij + Σ_k a_ik â_kj / Σ_(m ∈ C_i) â_km) / (a_ii + Σ_l a_il),    j ∈ C_i,

    C_i the strong couplings to unknowns that stay, k the other strong ones with an â_km ≠ 0, l the
    rest; â is a without entries of the diagonal's sign. Source: De Sterck, Falgout, Nolting, Yang
    2008, equations 8 and 9; Ruge and Stüben 1987.
    """
    n = indptr.size - 1
    blocks = BLOCKS if indices.size >= PARALLEL_ENTRIES else 1
    counts, limits = np.empty(n, dtype=np.int64), np.empty(n)
    run = _limits_parallel if blocks > 1 else _limits
    run(indptr, indices, values, theta, limits, counts)
    (_kept_parallel if blocks > 1 else _kept)(indptr, indices, values, limits, coarse, counts)
    first = np.zeros(n + 1, dtype=np.int32)
    np.cumsum(counts, out=first[1:])
    columns, entries = np.empty(int(first[-1]), dtype=np.int32), np.zeros(int(first[-1]))
    fill = _classical_parallel if blocks > 1 else _classical
    fill(indptr, indices, values, limits, coarse, blocks, first, columns, entries)
    return first, columns, entries


@njit(inline="always")
def _limit(
    indptr: Any, indices: Any, values: Any, theta: Any, i: Any, limits: Any, counts: Any
) -> None:
    top, count = 0.0, 0
    for k in range(indptr[i], indptr[i + 1]):
        if indices[k] != i:
            top = max(top, abs(values[k]))
    limits[i] = max(theta * top, 2.3e-308)
    for k in range(indptr[i], indptr[i + 1]):
        if indices[k] != i and abs(values[k]) >= limits[i]:
            count += 1
    counts[i] = count


@njit(cache=True, nogil=True)
def _limits(indptr: Any, indices: Any, values: Any, theta: Any, limits: Any, counts: Any) -> None:
    for i in range(limits.size):
        _limit(indptr, indices, values, theta, i, limits, counts)


@njit(cache=True, nogil=True, parallel=True)
def _limits_parallel(
    indptr: Any, indices: Any, values: Any, theta: Any, limits: Any, counts: Any
) -> None:
    for i in prange(limits.size):
        _limit(indptr, indices, values, theta, i, limits, counts)


@njit(inline="always")
def _strong_row(
    indptr: Any, indices: Any, values: Any, limits: Any, i: Any, first: Any, columns: Any
) -> None:
    done = first[i]
    for k in range(indptr[i], indptr[i + 1]):
        if indices[k] != i and abs(values[k]) >= limits[i]:
            columns[done] = indices[k]
            done += 1


@njit(cache=True, nogil=True)
def _strong(indptr: Any, indices: Any, values: Any, limits: Any, first: Any, columns: Any) -> None:
    for i in range(limits.size):
        _strong_row(indptr, indices, values, limits, i, first, columns)


@njit(cache=True, nogil=True, parallel=True)
def _strong_parallel(
    indptr: Any, indices: Any, values: Any, limits: Any, first: Any, columns: Any
) -> None:
    for i in prange(limits.size):
        _strong_row(indptr, indices, values, limits, i, first, columns)


@njit(inline="always")
def _kept_row(
    indptr: Any, indices: Any, values: Any, limits: Any, coarse: Any, i: Any, counts: Any
) -> None:
    count = 1
    if coarse[i] < 0:
        count = 0
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            if j != i and coarse[j] >= 0 and abs(values[k]) >= limits[i]:
                count += 1
    counts[i] = count


@njit(cache=True, nogil=True)
def _kept(indptr: Any, indices: Any, values: Any, limits: Any, coarse: Any, counts: Any) -> None:
    for i in range(limits.size):
        _kept_row(indptr, indices, values, limits, coarse, i, counts)


@njit(cache=True, nogil=True, parallel=True)
def _kept_parallel(
    indptr: Any, indices: Any, values: Any, limits: Any, coarse: Any, counts: Any
) -> None:
    for i in prange(limits.size):
        _kept_row(indptr, indices, values, limits, coarse, i, counts)


@njit(inline="always")
def _through(
    indptr: Any, indices: Any, values: Any, coarse: Any, k: Any, start: Any, place: Any
) -> Any:
    """Return Σ_(m ∈ C_i) â_km, and the sign of a_kk."""
    main, total = 1.0, 0.0
    for m in range(indptr[k], indptr[k + 1]):
        if indices[m] == k:
            main = values[m]
    for m in range(indptr[k], indptr[k + 1]):
        j = indices[m]
        if coarse[j] >= 0 and place[coarse[j]] >= start and values[m] * main < 0.0:
            total += values[m]
    return total, main


@njit(inline="always")
def _interpolate(
    indptr: Any, indices: Any, values: Any, limits: Any, coarse: Any, i: Any,
    start: Any, place: Any, columns: Any, entries: Any,
) -> None:  # fmt: skip
    done = start
    for k in range(indptr[i], indptr[i + 1]):
        j = indices[k]
        if j != i and coarse[j] >= 0 and abs(values[k]) >= limits[i]:
            columns[done], entries[done] = coarse[j], values[k]
            place[coarse[j]] = done
            done += 1
    under = 0.0
    for k in range(indptr[i], indptr[i + 1]):
        j = indices[k]
        if j == i or abs(values[k]) < limits[i]:
            under += values[k]
        elif coarse[j] < 0:
            total, main = _through(indptr, indices, values, coarse, j, start, place)
            if total == 0.0:
                under += values[k]
                continue
            for m in range(indptr[j], indptr[j + 1]):
                c = coarse[indices[m]]
                if c >= 0 and place[c] >= start and values[m] * main < 0.0:
                    entries[place[c]] += values[k] * values[m] / total
    for k in range(start, done):
        entries[k] = -entries[k] / under if under != 0.0 else 0.0


@njit(inline="always")
def _classical_block(
    indptr: Any, indices: Any, values: Any, limits: Any, coarse: Any, low: Any, high: Any,
    first: Any, columns: Any, entries: Any,
) -> None:  # fmt: skip
    place = np.full(coarse.size, -1, dtype=np.int32)
    for i in range(low, high):
        if coarse[i] >= 0:
            columns[first[i]], entries[first[i]] = coarse[i], 1.0
        else:
            _interpolate(
                indptr, indices, values, limits, coarse, i, first[i], place, columns, entries
            )


@njit(cache=True, nogil=True)
def _classical(
    indptr: Any, indices: Any, values: Any, limits: Any, coarse: Any, blocks: Any,
    first: Any, columns: Any, entries: Any,
) -> None:  # fmt: skip
    n = coarse.size
    for t in range(blocks):
        low, high = n * t // blocks, n * (t + 1) // blocks
        _classical_block(
            indptr, indices, values, limits, coarse, low, high, first, columns, entries
        )


@njit(cache=True, nogil=True, parallel=True)
def _classical_parallel(
    indptr: Any, indices: Any, values: Any, limits: Any, coarse: Any, blocks: Any,
    first: Any, columns: Any, entries: Any,
) -> None:  # fmt: skip
    n = coarse.size
    for t in prange(blocks):
        low, high = n * t // blocks, n * (t + 1) // blocks
        _classical_block(
            indptr, indices, values, limits, coarse, low, high, first, columns, entries
        )
