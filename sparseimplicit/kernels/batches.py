"""Banded Cholesky of many small systems: eight side by side, so that each instruction serves four.

    F[j, d, s] = L[j + d, j] of system s,    d = 0 … band,    F[j, 0, s] = 1 / L[j, j]

Systems of like size make a group of `LANES`; what a group or a system lacks is filled up with ones
on the diagonal. A group is one thread's work from beginning to end.

Arrays that describe a batch: ``members`` has the unknowns, system by system; ``first`` (systems+1)
where each begins; ``place`` the number of an unknown within its system; ``size`` and ``band`` of a
group; ``offset`` (groups+1) where its factor begins. Group g has systems 8 g … 8 g + 7.
"""

from typing import Any, Final

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

LANES: Final = 8
PARALLEL_WORK: Final = 500_000  # numbers in all factors: below it a launch costs as much

Floats = NDArray[np.float64]
Indices = NDArray[Any]


def factorize(
    indptr: Indices, indices: Indices, values: Floats, members: Indices, first: Indices,
    place: Indices, size: Indices, band: Indices, offset: Indices, out: Floats,
) -> int:  # fmt: skip
    """out = the factors of all groups; return the first unknown without a positive pivot, or −1."""
    failed = np.empty(size.size, dtype=np.int64)
    run = _factorize_parallel if out.size >= PARALLEL_WORK else _factorize
    run(indptr, indices, values, members, first, place, size, band, offset, out, failed)
    bad = failed[failed >= 0]
    return int(bad.min()) if bad.size else -1


def solve(
    factor: Floats, members: Indices, first: Indices, size: Indices, band: Indices,
    offset: Indices, b: Floats, out: Floats,
) -> None:  # fmt: skip
    """out = A⁻¹ b; b and out (n, k)."""
    start = np.zeros(size.size + 1, dtype=np.int64)
    np.cumsum(size, out=start[1:])
    x = np.empty((int(start[-1]), LANES))
    run = _solve_parallel if factor.size >= PARALLEL_WORK else _solve
    run(factor, members, first, size, band, offset, start, b, x, out)


@njit(inline="always")
def _fill(
    indptr: Any, indices: Any, values: Any, members: Any, first: Any, place: Any, g: Any, F: Any
) -> None:
    F[:] = 0.0
    for lane in range(LANES):
        system = g * LANES + lane
        count = 0
        if system < first.size - 1:
            begin = first[system]
            count = first[system + 1] - begin
            for j in range(count):
                row = members[begin + j]
                for k in range(indptr[row], indptr[row + 1]):
                    d = place[indices[k]] - j
                    if d >= 0:
                        F[j, d, lane] = values[k]
        for j in range(count, F.shape[0]):
            F[j, 0, lane] = 1.0


@njit(inline="always")
def _take_off(target: Any, source: Any, begin: Any, end: Any) -> None:
    """Take one earlier column off: target[d] −= source[d] source[0]."""
    for d in range(begin, end):
        for lane in range(LANES):
            target[d, lane] -= source[d, lane] * source[0, lane]


@njit(inline="always")
def _take_off_four(t: Any, a: Any, b: Any, c: Any, e: Any, end: Any) -> None:
    """The same for four columns. Written out for four lanes, which LLVM makes one vector."""
    for h in range(0, LANES, 4):
        a0, a1, a2, a3 = a[0, h], a[0, h + 1], a[0, h + 2], a[0, h + 3]
        b0, b1, b2, b3 = b[0, h], b[0, h + 1], b[0, h + 2], b[0, h + 3]
        c0, c1, c2, c3 = c[0, h], c[0, h + 1], c[0, h + 2], c[0, h + 3]
        e0, e1, e2, e3 = e[0, h], e[0, h + 1], e[0, h + 2], e[0, h + 3]
        for d in range(end):
            t0 = t[d, h] - a[d, h] * a0 - b[d, h] * b0 - c[d, h] * c0 - e[d, h] * e0
            t1 = t[d, h + 1] - a[d, h + 1] * a1 - b[d, h + 1] * b1
            t1 = t1 - c[d, h + 1] * c1 - e[d, h + 1] * e1
            t2 = t[d, h + 2] - a[d, h + 2] * a2 - b[d, h + 2] * b2
            t2 = t2 - c[d, h + 2] * c2 - e[d, h + 2] * e2
            t3 = t[d, h + 3] - a[d, h + 3] * a3 - b[d, h + 3] * b3
            t3 = t3 - c[d, h + 3] * c3 - e[d, h + 3] * e3
            t[d, h] = t0
            t[d, h + 1] = t1
            t[d, h + 2] = t2
            t[d, h + 3] = t3


@njit(inline="always")
def _column(F: Any, j: Any, reach: Any) -> None:
    """Take all earlier columns off column j, four at a time."""
    band = F.shape[1] - 1
    target = F[j]
    k = max(0, j - band)
    while k + 4 <= j:
        p = j - k
        end = min(band - p, reach) + 1
        _take_off_four(target, F[k, p:], F[k + 1, p - 1 :], F[k + 2, p - 2 :], F[k + 3, p - 3 :],
                       end)  # fmt: skip
        for q in range(1, 4):
            _take_off(target, F[k + q, p - q :], end, min(band - p + q, reach) + 1)
        k += 4
    while k < j:
        p = j - k
        _take_off(target, F[k, p:], 0, min(band - p, reach) + 1)
        k += 1


@njit(inline="always")
def _cholesky(F: Any, members: Any, first: Any, g: Any) -> Any:
    """Factorize a group in place; return its first unknown without a positive pivot, or −1."""
    failed = -1
    for j in range(F.shape[0]):
        reach = min(F.shape[1] - 1, F.shape[0] - 1 - j)
        _column(F, j, reach)
        for lane in range(LANES):
            pivot = F[j, 0, lane]
            if not pivot > 0.0:
                unknown = members[first[g * LANES + lane] + j]
                failed = unknown if failed < 0 else min(failed, unknown)
                pivot = 1.0
            F[j, 0, lane] = 1.0 / np.sqrt(pivot)
        for d in range(1, reach + 1):
            for lane in range(LANES):
                F[j, d, lane] *= F[j, 0, lane]
    return failed


@njit(inline="always")
def _factorize_group(
    indptr: Any, indices: Any, values: Any, members: Any, first: Any, place: Any, size: Any,
    band: Any, offset: Any, out: Any, g: Any,
) -> Any:  # fmt: skip
    F = out[offset[g] : offset[g + 1]].reshape((size[g], band[g] + 1, LANES))
    _fill(indptr, indices, values, members, first, place, g, F)
    return _cholesky(F, members, first, g)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _factorize(
    indptr: Any, indices: Any, values: Any, members: Any, first: Any, place: Any, size: Any,
    band: Any, offset: Any, out: Any, failed: Any,
) -> None:  # fmt: skip
    for g in range(size.size):
        failed[g] = _factorize_group(
            indptr, indices, values, members, first, place, size, band, offset, out, g
        )


@njit(cache=True, nogil=True, parallel=True, fastmath={"contract"})
def _factorize_parallel(
    indptr: Any, indices: Any, values: Any, members: Any, first: Any, place: Any, size: Any,
    band: Any, offset: Any, out: Any, failed: Any,
) -> None:  # fmt: skip
    for g in prange(size.size):
        failed[g] = _factorize_group(
            indptr, indices, values, members, first, place, size, band, offset, out, g
        )


@njit(inline="always")
def _substitute(F: Any, x: Any) -> None:
    """x ← L⁻ᵀ L⁻¹ x for the eight systems of a group; x (size, LANES)."""
    size, band = F.shape[0], F.shape[1] - 1
    for j in range(size):
        for lane in range(LANES):
            x[j, lane] *= F[j, 0, lane]
        for d in range(1, min(band, size - 1 - j) + 1):
            for lane in range(LANES):
                x[j + d, lane] -= F[j, d, lane] * x[j, lane]
    for j in range(size - 1, -1, -1):
        for d in range(1, min(band, size - 1 - j) + 1):
            for lane in range(LANES):
                x[j, lane] -= F[j, d, lane] * x[j + d, lane]
        for lane in range(LANES):
            x[j, lane] *= F[j, 0, lane]


@njit(inline="always")
def _solve_group(
    factor: Any, members: Any, first: Any, size: Any, band: Any, offset: Any, start: Any, b: Any,
    x: Any, out: Any, g: Any,
) -> None:  # fmt: skip
    F = factor[offset[g] : offset[g + 1]].reshape((size[g], band[g] + 1, LANES))
    part = x[start[g] : start[g + 1]]
    for c in range(b.shape[1]):
        part[:] = 0.0
        for lane in range(min(LANES, first.size - 1 - g * LANES)):
            begin, end = first[g * LANES + lane], first[g * LANES + lane + 1]
            for j in range(end - begin):
                part[j, lane] = b[members[begin + j], c]
        _substitute(F, part)
        for lane in range(min(LANES, first.size - 1 - g * LANES)):
            begin, end = first[g * LANES + lane], first[g * LANES + lane + 1]
            for j in range(end - begin):
                out[members[begin + j], c] = part[j, lane]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _solve(
    factor: Any, members: Any, first: Any, size: Any, band: Any, offset: Any, start: Any, b: Any,
    x: Any, out: Any,
) -> None:  # fmt: skip
    for g in range(size.size):
        _solve_group(factor, members, first, size, band, offset, start, b, x, out, g)


@njit(cache=True, nogil=True, parallel=True, fastmath={"contract"})
def _solve_parallel(
    factor: Any, members: Any, first: Any, size: Any, band: Any, offset: Any, start: Any, b: Any,
    x: Any, out: Any,
) -> None:  # fmt: skip
    for g in prange(size.size):
        _solve_group(factor, members, first, size, band, offset, start, b, x, out, g)
