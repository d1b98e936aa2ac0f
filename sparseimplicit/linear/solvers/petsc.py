"""PETSc on the ranks of MPI: CG or GMRES with hypre's BoomerAMG or GAMG, or MUMPS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...errors import StructureError
from ..checks import check_count, refuse_indefinite_diagonal
from ..contract import Solver
from ..method import Attempt, Needs, PreparedMethod
from ..operator import Array, Operator, Structure
from ..petsc_api import (
    METHODS,
    REASONS,
    Handle,
    Rows,
    Settings,
    backend,
    communicator,
    made,
    own_rows,
)
from ..preconditioning import refuse_empty_rows
from ..reports import Reason


class Petsc(Solver):
    """One system on all ranks of ``mpiexec``; on one process where there is none.

    Parameters
    ----------
    pc : {"hypre", "gamg", "mumps"}
        Multigrid of hypre or of PETSc's own, with CG where the matrix is declared positive
        definite, else with GMRES; or MUMPS, which factorizes.
    options : mapping, optional
        PETSc's, for this solver alone: ``{"pc_hypre_boomeramg_strong_threshold": 0.5}``.
    comm : communicator of mpi4py or petsc4py, optional
        By default all ranks of mpiexec. All of them have to make every call.
    near_nullspace : array (n, k), optional
        What smoothing leaves, for GAMG: the rigid motions of an elastic body.
    max_iterations : int

    Notes
    -----
    Each rank is given the same matrix and keeps its share of the rows; each gets all of the answer.
    So that no rank ever holds the matrix, see `cluster.distribute`. One KSP solves with A and Aᵀ,
    but hypre's, which needs a copy of an Aᵀ that differs; its residual is the true one. A matrix of
    the same pattern takes the hierarchy over until it costs half as many iterations more.

    Source: Balay et al., PETSc/TAO Users Manual; Henson and Yang 2002; Amestoy et al. 2001.
    """

    name: ClassVar[str] = "petsc"
    extra: ClassVar[str | None] = "petsc"
    needs = Needs()

    def __init__(
        self,
        pc: str = "hypre",
        *,
        options: Mapping[str, Any] | None = None,
        comm: Any = None,
        near_nullspace: Any = None,
        max_iterations: int = 2000,
    ) -> None:
        if pc not in METHODS:
            raise StructureError(
                f"solver 'petsc' has no '{pc}'.", where="Petsc",
                fix=f"use one of {', '.join(METHODS)}.",
            )  # fmt: skip
        check_count(max_iterations, "max_iterations", "Petsc")
        near = (
            None if near_nullspace is None else np.atleast_2d(np.asarray(near_nullspace, float).T).T
        )
        self.settings = Settings(pc, dict(options or {}), max_iterations, near)
        self.comm = comm

    @property
    def label(self) -> str:
        """Name of the method with its preconditioner, where it is not hypre's."""
        return self.name if self.settings.pc == "hypre" else f"{self.name}+{self.settings.pc}"

    def _prepare(self, operator: Operator, analysis: Any) -> PreparedMethod:
        entries = operator.entries
        assert entries is not None  # noqa: S101 - held by `needs`
        where = f"solver '{self.label}', prepare"
        refuse_empty_rows(entries, where)
        if operator.structure is Structure.POSITIVE_DEFINITE:
            refuse_indefinite_diagonal(operator, where)
        comm = communicator(self.comm)
        first, last = own_rows(operator.n, comm)
        begin, end = int(entries.indptr[first]), int(entries.indptr[last])
        rows = Rows.of(
            operator.n, entries.indptr[first : last + 1] - begin, entries.indices[begin:end],
            entries.data[begin:end], comm,
        )  # fmt: skip
        before = analysis.handle if isinstance(analysis, Hierarchy) else None
        if before is not None and not before.fits(rows, operator.structure, self.settings):
            before = None
        kind = _Factorized if self.settings.pc == "mumps" else _OnRanks
        return kind(rows, operator, self.settings, comm, before)


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """What `prepare(A, analysis=)` takes over: a hierarchy, with the rows that it was made for."""

    handle: Handle


class _OnRanks(PreparedMethod):
    def __init__(
        self, rows: Rows, operator: Operator, settings: Settings, comm: Any, before: Handle | None
    ) -> None:
        self._where = "solver 'petsc'"
        self._structure = operator.structure
        self._handle = made(rows, operator.structure, settings, comm, before)
        self.factorizations = int(before is None)
        self.reused = None if before is None else "hierarchy"
        self.bytes_estimate = 12 * len(rows.values) * (1 if before is not None else 3)
        self.analysis = Hierarchy(self._handle)

    def _solve(self, b: Array, rtol: Array) -> Attempt:
        return self._columns(b, rtol, transposed=False)

    def _solve_adjoint(self, b: Array, rtol: Array) -> Attempt:
        return self._columns(b, rtol, transposed=True)

    def _columns(self, b: Array, rtol: Array, *, transposed: bool) -> Attempt:
        first, last = own_rows(b.shape[0], self._handle.comm)
        x, iterations, why = np.zeros_like(b), 0, Reason.CONVERGED
        for j in range(b.shape[1]):
            own = np.ascontiguousarray(b[first:last, j])
            part, used, reason = self._one(own, float(rtol[j]), transposed)
            iterations += used
            if reason < 0:
                why = REASONS.get(reason, Reason.STAGNATED)
            x[:, j] = np.concatenate(self._handle.comm.allgather(part))
        return Attempt(x, iterations, why)

    def _one(self, b: Array, rtol: float, transposed: bool) -> tuple[Array, int, int]:
        return backend(lambda: self._handle.solve(b, rtol, transposed=transposed), self._where)


class _Factorized(_OnRanks):
    direct = True
