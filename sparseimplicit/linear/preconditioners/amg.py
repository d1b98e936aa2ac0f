"""Algebraic multigrid by pyamg, with the transposed cycle for adjoint solves."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import pyamg
from scipy import sparse

from ...errors import MemoryBudgetExceeded, ShapeError
from ...kernels.csr import row_sizes
from ..operator import Array, Operator
from ..preconditioning import Preconditioner, PreparedPreconditioner, refuse_empty_rows
from .hierarchy import Cycle, transposed
from .setup import classical, galerkin, legacy_random_state, order_of, reordered, sorted_finest

INT32_MOST: Final = int(np.iinfo(np.int32).max)


class AMG(Preconditioner):
    """M⁻¹ = one V-cycle of an algebraic multigrid hierarchy.

    Parameters
    ----------
    kind : {"auto", "classical", "aggregation"}
        Ruge–Stüben, or smoothed aggregation; ``auto`` takes aggregation where a near-nullspace is
        given or the matrix is not symmetric, else Ruge–Stüben.
    near_nullspace : array, shape (n,) or (n, m), optional
        Vectors with A v ≈ 0: constants a field for diffusion (the default), rigid body modes for
        elasticity. Used by aggregation.
    dtype : numpy dtype
        Of the hierarchy: float32 takes two thirds of the memory. The solve around it stays in
        float64 and reaches the same residuals.

    Notes
    -----
    Source: Ruge and Stüben 1987; Vaněk, Mandel, Brezina 1996; pyamg (Bell, Olson, Schroder 2022).
    """

    name = "amg"
    definite: ClassVar[bool] = True

    def __init__(
        self, kind: str = "auto", near_nullspace: Any = None, *, dtype: Any = np.float64
    ) -> None:
        if kind not in ("auto", "classical", "aggregation"):
            raise ShapeError(
                f"there is no AMG of kind '{kind}'.",
                where="AMG",
                fix="use 'auto', 'classical' (Ruge–Stüben) or 'aggregation'.",
            )
        self.kind = kind
        self.name = "sa" if kind == "aggregation" else "amg"
        self.near_nullspace = near_nullspace
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise ShapeError(
                f"there is no AMG in {self.dtype}.", where="AMG", fix="use float64 or float32."
            )

    def prepare(self, operator: Operator, analysis: Any = None) -> PreparedPreconditioner:
        """Build the hierarchy, or the Galerkin products of an older one's transfers.

        Raises
        ------
        MemoryBudgetExceeded
            If pyamg's int32 indices cannot hold the matrix.
        ShapeError
            If the near-nullspace does not fit.
        """
        entries = self.entries_of(operator)
        if entries.nnz > INT32_MOST:
            raise MemoryBudgetExceeded(
                f"pyamg counts entries in int32 and the matrix has {entries.nnz}.",
                where="preconditioner 'amg', prepare",
                fix="use preconditioner 'jacobi'.",
            )
        refuse_empty_rows(entries, "preconditioner 'amg', prepare")
        # pyamg compares with absolute numbers: it gets a matrix of entries around 1.
        unit = 2.0 ** round(np.log2(row_sizes(entries.indptr, entries.data)[0].max()))
        symmetric = operator.structure.symmetric
        if isinstance(analysis, Transfers) and analysis.fit(self, operator):
            matrix = reordered(entries, analysis.order, unit)
            products = _products(matrix, analysis)
            return _Hierarchy(analysis, products, unit, symmetric, self.dtype, made=False)
        aggregates = self._aggregates(operator)
        order = order_of(entries, by_loops=not aggregates)
        matrices, levels = self._build(reordered(entries, order, unit), operator, order)
        if aggregates:
            order, matrices, levels = sorted_finest(order, matrices, levels)
        transfers = Transfers(self.kind, operator.n, order, tuple(levels), self._both(operator))
        return _Hierarchy(transfers, matrices, unit, symmetric, self.dtype, made=True)

    def _build(self, matrix: Any, operator: Operator, order: Any) -> tuple[list[Any], list[Any]]:
        candidates = self._candidates(operator.n, order)
        symmetric = operator.structure.symmetric
        if not self._aggregates(operator):
            return classical(matrix)
        with warnings.catch_warnings(), legacy_random_state():
            # What pyamg meets in an indefinite matrix, CG meets too, and says it.
            warnings.simplefilter("ignore", RuntimeWarning)
            warnings.simplefilter("ignore", UserWarning)
            warnings.simplefilter("ignore", sparse.SparseEfficiencyWarning)
            matrix.sort_indices()
            levels = pyamg.smoothed_aggregation_solver(
                matrix,
                B=candidates,
                symmetry="symmetric" if symmetric else "nonsymmetric",
                presmoother=None,
                postsmoother=None,
            ).levels
        return (
            [sparse.csr_matrix(level.A) for level in levels],
            [(sparse.csr_matrix(level.P), sparse.csr_matrix(level.R)) for level in levels[:-1]],
        )

    def _aggregates(self, operator: Operator) -> bool:
        given = self.near_nullspace is not None or not operator.structure.symmetric
        return self.kind == "aggregation" or (self.kind == "auto" and given)

    def _both(self, operator: Operator) -> bool:
        """Whether to sweep twice: aggregates of one unknown a point lose too many iterations.

        With one sweep diffusion on 100³ unknowns took 23 iterations for 18 of pyamg's cycle,
        elasticity 45 for 39, classical hierarchies 28 for 27 and 22 for 20 (scripts/bench/amg.py).
        """
        several = np.ndim(self.near_nullspace) == 2 and np.shape(self.near_nullspace)[1] > 1
        return self._aggregates(operator) and not several

    def _candidates(self, n: int, order: Any) -> Array | None:
        if self.near_nullspace is None:
            return None
        candidates = np.asarray(self.near_nullspace, dtype=np.float64)
        if candidates.ndim not in (1, 2) or candidates.shape[0] != n:
            raise ShapeError(
                f"the near-nullspace has shape {candidates.shape}; the matrix has {n} unknowns.",
                where="preconditioner 'amg', prepare",
                fix=f"give shape ({n}, m): one column a vector.",
            )
        return np.asarray(candidates.reshape(n, -1)[order])


@dataclass(frozen=True, eq=False)
class Transfers:
    """The order of the unknowns, the prolongations and restrictions, finest first.

    With the Galerkin products of a neighbouring matrix they make a hierarchy for it, at a part of
    the cost of a new one; its iterations are nearly those of a new one while the large couplings
    stay where they were.
    """

    kind: str
    n: int
    order: Any
    levels: tuple[tuple[Any, Any], ...]
    both: bool  # sweeps, before and after: see `kernels.amg`

    def fit(self, amg: AMG, operator: Operator) -> bool:
        """Whether they were made by the same kind of AMG for a matrix of this size."""
        return self.kind == amg.kind and self.n == operator.n


def _products(matrix: Any, transfers: Transfers) -> list[Any]:
    matrices = [matrix]
    for p, r in transfers.levels:
        matrices.append(galerkin(matrices[-1], p, r))
    return matrices


class _Hierarchy(PreparedPreconditioner):
    factorizations = 1

    def __init__(
        self,
        transfers: Transfers,
        matrices: list[Any],
        unit: float,
        symmetric: bool,
        dtype: Any,
        *,
        made: bool,
    ) -> None:
        self.analysis = transfers
        self.reused = None if made else "transfers between levels"
        self.matrices = matrices
        self._unit = unit
        self._cycle = Cycle(transfers.order, matrices, transfers.levels, transfers.both, dtype)
        # Made here, not at the first adjoint solve: a value never changes.
        self._transposed = self._cycle
        if not symmetric:
            self._transposed = transposed(self._cycle, matrices, transfers.levels)
        self.bytes_estimate = self._cycle.bytes * (1 if symmetric else 2)

    def apply(self, r: Array) -> Array:
        """Return one V-cycle on r."""
        return self._cycle.apply(r, self._unit)

    def apply_transpose(self, r: Array) -> Array:
        """Return the transposed V-cycle on r."""
        return self._transposed.apply(r, self._unit)
