"""Algebraic multigrid by pyamg, with the transposed cycle for adjoint solves."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import pyamg
from pyamg.multilevel import MultilevelSolver
from pyamg.relaxation.smoothing import change_smoothers
from scipy import sparse

from ...errors import MemoryBudgetExceeded, ShapeError
from ..operator import Array, Operator
from ..preconditioning import Preconditioner, PreparedPreconditioner, refuse_empty_rows

# Symmetric sweeps on both sides: the cycle of a symmetric A is symmetric, and the cycle built on
# the transposed levels is the transpose of the cycle.
INT32_MOST: Final = int(np.iinfo(np.int32).max)
SMOOTHER = ("gauss_seidel", {"sweep": "symmetric", "iterations": 1})


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

    Notes
    -----
    Source: Ruge and Stüben 1987; Vaněk, Mandel, Brezina 1996; pyamg (Bell, Olson, Schroder 2022).
    """

    name = "amg"
    definite: ClassVar[bool] = True

    def __init__(self, kind: str = "auto", near_nullspace: Any = None) -> None:
        if kind not in ("auto", "classical", "aggregation"):
            raise ShapeError(
                f"there is no AMG of kind '{kind}'.",
                where="AMG",
                fix="use 'auto', 'classical' (Ruge–Stüben) or 'aggregation'.",
            )
        self.kind = kind
        self.name = "sa" if kind == "aggregation" else "amg"
        self.near_nullspace = near_nullspace

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
        unit = 2.0 ** round(np.log2(np.max(np.abs(entries.data))))
        matrix = sparse.csr_matrix(
            (
                entries.data / unit,
                entries.indices.astype(np.int32),
                entries.indptr.astype(np.int32),
            ),
            shape=entries.shape,
        )
        symmetric = operator.structure.symmetric
        if isinstance(analysis, Transfers) and analysis.fit(self, operator):
            return _Hierarchy(analysis, _galerkin(matrix, analysis), unit, symmetric, made=False)
        built = self._build(matrix, operator)
        transfers = Transfers(
            self.kind, operator.n, tuple((level.P, level.R) for level in built.levels[:-1])
        )
        return _Hierarchy(transfers, built, unit, symmetric, made=True)

    def _build(self, matrix: Any, operator: Operator) -> Any:
        candidates = self._candidates(operator.n)
        symmetric = operator.structure.symmetric
        aggregate = self.kind == "aggregation" or (
            self.kind == "auto" and (candidates is not None or not symmetric)
        )
        with warnings.catch_warnings():
            # What pyamg meets in an indefinite matrix, CG meets too, and says it.
            warnings.simplefilter("ignore", RuntimeWarning)
            warnings.simplefilter("ignore", UserWarning)
            warnings.simplefilter("ignore", sparse.SparseEfficiencyWarning)
            if not aggregate:
                return pyamg.ruge_stuben_solver(matrix, presmoother=SMOOTHER, postsmoother=SMOOTHER)
            return pyamg.smoothed_aggregation_solver(
                matrix,
                B=candidates,
                symmetry="symmetric" if symmetric else "nonsymmetric",
                presmoother=SMOOTHER,
                postsmoother=SMOOTHER,
            )

    def _candidates(self, n: int) -> Array | None:
        if self.near_nullspace is None:
            return None
        candidates = np.asarray(self.near_nullspace, dtype=np.float64)
        if candidates.ndim not in (1, 2) or candidates.shape[0] != n:
            raise ShapeError(
                f"the near-nullspace has shape {candidates.shape}; the matrix has {n} unknowns.",
                where="preconditioner 'amg', prepare",
                fix=f"give shape ({n}, m): one column a vector.",
            )
        return candidates.reshape(n, -1)


@dataclass(frozen=True, eq=False)
class Transfers:
    """The prolongations and restrictions of a hierarchy, finest first.

    With the Galerkin products of a neighbouring matrix they make a hierarchy for it, at a part of
    the cost of a new one; its iterations are nearly those of a new one while the large couplings
    stay where they were.
    """

    kind: str
    n: int
    levels: tuple[tuple[Any, Any], ...]

    def fit(self, amg: AMG, operator: Operator) -> bool:
        """Whether they were made by the same kind of AMG for a matrix of this size."""
        return self.kind == amg.kind and self.n == operator.n


def _galerkin(matrix: Any, transfers: Transfers) -> Any:
    levels = [MultilevelSolver.Level()]
    levels[0].A = matrix
    for p, r in transfers.levels:
        levels[-1].P, levels[-1].R = p, r
        coarse = MultilevelSolver.Level()
        coarse.A = (r @ levels[-1].A @ p).asformat(levels[-1].A.format)
        levels.append(coarse)
    solver = MultilevelSolver(levels, coarse_solver="pinv")
    change_smoothers(solver, SMOOTHER, SMOOTHER)
    return solver


class _Hierarchy(PreparedPreconditioner):
    factorizations = 1

    def __init__(
        self, transfers: Transfers, solver: Any, unit: float, symmetric: bool, *, made: bool
    ) -> None:
        self.analysis = transfers
        self.reused = None if made else "transfers between levels"
        self._solver = solver
        self._unit = unit
        # Made here, not at the first adjoint solve: a value never changes.
        self._transposed = solver if symmetric else _transposed(solver)
        levels = solver.levels
        self.bytes_estimate = int(
            sum(12 * level.A.nnz for level in levels)
            + sum(24 * level.P.nnz for level in levels[:-1])
        )

    def apply(self, r: Array) -> Array:
        """Return one V-cycle on r."""
        return _cycle(self._solver, r) / self._unit

    def apply_transpose(self, r: Array) -> Array:
        """Return the transposed V-cycle on r."""
        return _cycle(self._transposed, r) / self._unit


def _cycle(solver: Any, r: Array) -> Array:
    cycle = solver.aspreconditioner(cycle="V")
    return np.column_stack([cycle.matvec(column) for column in np.ascontiguousarray(r.T)])


def _transposed(solver: Any) -> Any:
    """Return the hierarchy whose cycle is the transpose: Aᵀ on each level, P and Rᵀ exchanged."""
    levels = []
    for level in solver.levels:
        twin = MultilevelSolver.Level()
        twin.A = level.A.T.tocsr()
        if level is not solver.levels[-1]:
            twin.P, twin.R = level.R.T.tocsr(), level.P.T.tocsr()
        levels.append(twin)
    transposed = MultilevelSolver(levels, coarse_solver="pinv")
    change_smoothers(transposed, SMOOTHER, SMOOTHER)
    return transposed
