"""A multigrid hierarchy ready to cycle: levels split into chunks, vectors made once."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy import sparse

from ...kernels import amg, amg_columns
from ...kernels.amg import Matrix, Rows
from ...kernels.chunks import gather, scatter
from ...kernels.rows import split_rows
from ..operator import Array
from .setup import chunk_of

DENSE: Final = 1000  # unknowns; a coarsest level with more is smoothed, not solved


@dataclass(frozen=True, eq=False)
class Level:
    """One level but the coarsest: the rows of A for smoothing, P to it, R from it."""

    rows: Rows
    chunk: int
    prolongation: Matrix
    restriction: Matrix

    @property
    def n(self) -> int:
        """Unknowns."""
        return int(self.rows[1].size)

    @property
    def bytes(self) -> int:
        """Of its matrices."""
        parts = (*self.rows, *self.prolongation, *self.restriction)
        return sum(part.nbytes for part in parts)


class Cycle:
    """M⁻¹ = one V-cycle: sweeps of `kernels.amg` before and after, the coarsest level exactly.

    Parameters
    ----------
    order : array, shape (n,)
        Old numbers of the finest level's unknowns, in the order of ``matrices[0]``.
    matrices : sequence of csr matrices
        A of each level, finest first.
    transfers : sequence of (P, R)
        Between a level and the next.
    both : bool
        Whether to sweep forward and backward at either place: see `kernels.amg`.
    dtype : numpy dtype
        Of the values and vectors; float32 halves the memory. Residuals are scaled to entries of at
        most 1 first, so that small ones do not vanish.

    Notes
    -----
    The cycle on Aᵀ with Rᵀ and Pᵀ exchanged, and with the D of A, is the transpose: then the
    sweep before is the transpose of A's sweep after. Two threads may apply one cycle at once: each
    takes vectors of its own.
    """

    def __init__(
        self,
        order: Any,
        matrices: Sequence[Any],
        transfers: Sequence[Any],
        both: bool,
        dtype: Any,
    ) -> None:
        self.order = order
        self.both = both
        self.dtype = np.dtype(dtype)
        self.levels = tuple(
            _level(a, p, r, self.dtype) for a, (p, r) in zip(matrices, transfers, strict=False)
        )
        self.last: Level | None = None
        self.inverse = np.zeros((0, 0))
        if matrices[-1].shape[0] > DENSE:  # coarsening has stalled: the couplings are weak
            nothing = sparse.csr_matrix((0, 0))
            self.last = _level(matrices[-1], nothing, nothing, self.dtype)
        else:
            self.inverse = np.linalg.pinv(matrices[-1].toarray())
        self._coarsest = matrices[-1].shape[0]
        self._vectors: list[list[tuple[Any, ...]]] = []

    @property
    def bytes(self) -> int:
        """Of the levels, with vectors for one column."""
        vectors = sum(4 * level.n for level in self.levels) * self.dtype.itemsize
        return int(sum(level.bytes for level in self.levels) + self.inverse.nbytes + vectors)

    def apply(self, r: Array, unit: float) -> Array:
        """Return M⁻¹ r / unit for r (n, k)."""
        r = np.ascontiguousarray(r)
        scale = np.ones(r.shape[1])
        if self.dtype == np.float32:
            size = np.abs(r).max(axis=0, initial=0.0)
            scale[size > 0] = 2.0 ** -np.round(np.log2(size[size > 0]))
        vectors = self._take(r.shape[1])
        gather(self.order, r, scale, vectors[0][0].reshape(r.shape))
        self._descend(vectors, amg if r.shape[1] == 1 else amg_columns)
        out = np.empty_like(r)
        scatter(self.order, vectors[0][-1].reshape(r.shape), 1.0 / (scale * unit), out)
        self._vectors.append(vectors)
        return out

    def _descend(self, vectors: list[tuple[Any, ...]], kernels: Any) -> None:
        for depth, level in enumerate(self.levels):
            b, x, r, _ = vectors[depth]
            kernels.smooth_zero(level.rows, level.chunk, self.both, b, x, r)
            kernels.restrict(level.restriction, r, vectors[depth + 1][0])
        if self.last is None:
            kernels.dense(self.inverse, vectors[-1][0], vectors[-1][-1])
        else:
            b, x, r, out = vectors[-1]
            kernels.smooth_zero(self.last.rows, self.last.chunk, self.both, b, x, r)
            kernels.smooth(self.last.rows, self.last.chunk, self.both, b, x, r, out)
        for depth in reversed(range(len(self.levels))):
            level = self.levels[depth]
            b, x, r, out = vectors[depth]
            kernels.correct(level.prolongation, vectors[depth + 1][-1], x)
            kernels.smooth(level.rows, level.chunk, self.both, b, x, r, out)

    def _take(self, k: int) -> list[tuple[Any, ...]]:
        """Return vectors for k columns: b, x, r and the result of each level."""
        with contextlib.suppress(IndexError):  # none left: another thread has them
            vectors = self._vectors.pop()
            if vectors[0][0].size == k * self.order.size:
                return vectors
        sizes = [level.n for level in self.levels] + [self._coarsest]
        return [
            tuple(np.empty(n if k == 1 else (n, k), dtype=self.dtype) for _ in range(4))
            for n in sizes
        ]


def _level(a: Any, p: Any, r: Any, dtype: Any) -> Level:
    chunk = chunk_of(a)
    rows = split_rows(a.indptr, a.indices, a.data, chunk, dtype)
    return Level(rows, chunk, _matrix(p, dtype), _matrix(r, dtype))


def _matrix(m: Any, dtype: Any) -> Matrix:
    # scipy's int32 arrays as they are, without a copy
    values = m.data.astype(dtype, copy=False)
    return m.indptr.view(np.uint32), m.indices.view(np.uint32), values


def transposed(cycle: Cycle, matrices: Sequence[Any], transfers: Sequence[Any]) -> Cycle:
    """Return the cycle whose matrix is the transpose."""
    twin = Cycle(
        cycle.order,
        [sparse.csr_matrix(a.T) for a in matrices],
        [(sparse.csr_matrix(r.T), sparse.csr_matrix(p.T)) for p, r in transfers],
        cycle.both,
        cycle.dtype,
    )
    pairs = zip(twin.levels, cycle.levels, strict=True)
    twin.levels = tuple(_with_diagonal_of(level, other) for level, other in pairs)
    if twin.last is not None and cycle.last is not None:
        twin.last = _with_diagonal_of(twin.last, cycle.last)
    return twin


def _with_diagonal_of(level: Level, other: Level) -> Level:
    # D holds sums of rows, which for Aᵀ would be sums of columns.
    rows = (*level.rows[:5], *other.rows[5:])
    return dataclasses.replace(level, rows=rows)
