"""One huge system whose rows are made where they stay: no rank ever holds the matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy import sparse

from ..errors import NonFinite, NotConverged, NotPositiveDefinite, ShapeError
from ..linear import Petsc, Structure
from ..linear.checks import check_rtol
from ..linear.operator import Array
from ..linear.petsc_api import (
    Handle,
    Rows,
    backend,
    communicator,
    made,
    own_rows,
    stopped,
    together,
)

MakeRows = Callable[[int, int], Any]
REFINEMENTS: Final = 5


@dataclass(frozen=True, eq=False)
class RowSolution:
    """A rank's rows of an answer, and what is true of all of it.

    residual: ‖b − A x‖ / ‖b‖ over all ranks, recomputed.
    """

    value: Array
    residual: float
    iterations: int
    converged: bool


class DistributedSystem:
    """A square matrix, prepared, with rows ``first`` to ``last`` here; made by `distribute`.

    Every method is collective: all ranks call it, with their own rows of vectors. What fails on
    one rank raises on all.

    Attributes
    ----------
    n, first, last : int
    comm : mpi4py communicator
    reused : bool
        Whether the hierarchy is that of the matrix before.
    """

    def __init__(
        self, rows: MakeRows, n: int, solver: Petsc, structure: Structure, before: Handle | None
    ) -> None:
        self.comm = communicator(solver.comm)
        self.n, self._solver, self._structure = n, solver, structure
        self.first, self.last = own_rows(n, self.comm)
        with together(self.comm, "distribute"):
            own = _checked(rows(self.first, self.last), self.last - self.first, n)
            if structure is Structure.POSITIVE_DEFINITE:
                _refuse_indefinite(own, self.first)
        held = Rows.of(n, own.indptr, own.indices, own.data, self.comm)
        if before is not None and not before.fits(held, structure, solver.settings):
            before = None
        self.reused = before is not None
        self._handle = made(held, structure, solver.settings, self.comm, before)

    def solve(self, b: Any, *, rtol: float = 1e-8, strict: bool = True) -> RowSolution:
        """Solve A x = b for a rank's rows b of a right-hand side, shape (last − first,).

        Raises
        ------
        ShapeError, NonFinite
        NotConverged
            If the true residual misses rtol, unless ``strict=False``.
        """
        return self._run(b, rtol, strict, transposed=False)

    def solve_adjoint(self, b: Any, *, rtol: float = 1e-8, strict: bool = True) -> RowSolution:
        """Solve Aᵀ x = b; see `solve`."""
        return self._run(b, rtol, strict, transposed=True)

    def contract(self, parameter_rows: Any, adjoint: Array) -> Array:
        """Return x̄ = −Bᵀ λ, whole on every rank, of its rows of B, (last − first, n_x), and λ."""
        with together(self.comm, "contract"):
            own = np.asarray(parameter_rows.T @ adjoint)
        return -np.asarray(self.comm.allreduce(own))

    def refresh(self, rows: MakeRows) -> DistributedSystem:
        """Prepare a neighbouring matrix, taking the hierarchy over where the pattern is the same.

        It is made anew once it has cost half as many iterations more than at first.
        """
        return DistributedSystem(rows, self.n, self._solver, self._structure, self._handle)

    def _run(self, b: Any, rtol: float, strict: bool, *, transposed: bool) -> RowSolution:
        where = f"DistributedSystem, {'adjoint ' if transposed else ''}solve"
        with together(self.comm, where):
            check_rtol(rtol, where)
            own = _vector(b, self.last - self.first, where)
        size = self._norm(own)
        x, left, iterations, why = np.zeros_like(own), own, 0, 0
        residual = float(size > 0)
        for _ in range(REFINEMENTS):
            if residual <= rtol:
                break
            reach = max(0.5 * rtol / residual, 1e-14)
            length = self._norm(left)
            unit = left / length
            step, used, why = backend(
                lambda unit=unit, reach=reach: self._handle.solve(  # type: ignore[misc]
                    unit, reach, transposed=transposed
                ),
                where,
            )
            iterations += used
            trial = x + length * step
            rest = own - self._handle.product(trial, transposed=transposed)
            now = self._norm(rest) / size
            if not now < residual:
                break
            x, left, residual = trial, rest, now
        converged = residual <= rtol
        solution = RowSolution(x, residual, iterations, converged)
        if strict and not converged:
            raise NotConverged(
                f"the linear solve stopped at a true relative residual of {residual:.1e}, its rtol "
                f"is {rtol:.1e} ({iterations} iterations, {stopped(why)}).",
                best=x, report=solution, where=where,
                fix="try Petsc('gamg') or Petsc('mumps'), or more max_iterations.",
            )  # fmt: skip
        return solution

    def _norm(self, own: Array) -> float:
        return float(np.sqrt(self.comm.allreduce(float(own @ own))))


def distribute(
    rows: MakeRows,
    n: int,
    *,
    solver: Petsc | None = None,
    structure: Structure = Structure.GENERAL,
) -> DistributedSystem:
    """Prepare a matrix whose rows each rank makes for itself.

    Parameters
    ----------
    rows : callable
        ``rows(first, last)`` returns these rows as a sparse array, shape (last − first, n).
    n : int
        Unknowns.
    solver : Petsc, optional
        With its communicator; by default hypre on all ranks of mpiexec.
    structure : Structure
        What is true of the matrix. It is not checked: no rank sees its transpose.

    Raises
    ------
    ShapeError, NonFinite, SingularSystem, NotPositiveDefinite, MissingBackend
        And whatever ``rows`` raises: on its own rank as it is, on the others as a
        SparseImplicitError that names the rank.

    Examples
    --------
    Under ``mpiexec -n 8 python script.py``:

    >>> from scipy import sparse
    >>> def rows(first, last):                         # −u″ + u, 10⁸ unknowns: only these rows
    ...     k = last - first
    ...     return sparse.diags_array([-1.0, 3.0, -1.0], offsets=[first - 1, first, first + 1],
    ...                               shape=(k, 10**8), format="csr")
    >>> # system = distribute(rows, 10**8, structure=Structure.POSITIVE_DEFINITE)
    """
    return DistributedSystem(rows, n, Petsc() if solver is None else solver, structure, None)


def _checked(rows: Any, count: int, n: int) -> sparse.csr_array:
    if not sparse.issparse(rows) or rows.shape != (count, n):
        raise ShapeError(
            f"rows(first, last) returned {type(rows).__name__} of shape "
            f"{getattr(rows, 'shape', None)}.", where="distribute",
            fix=f"return a sparse array of shape (last − first, n), here ({count}, {n}).",
        )  # fmt: skip
    own = sparse.csr_array(rows)
    own.sum_duplicates()
    if not np.isfinite(own.data).all():
        raise NonFinite("the rows hold numbers that are not finite.", where="distribute")
    return own


def _refuse_indefinite(own: sparse.csr_array, first: int) -> None:
    diagonal = own.diagonal(first)
    if not (diagonal > 0).all():
        at = int(np.argmin(diagonal > 0))
        raise NotPositiveDefinite(
            f"the matrix is not positive definite: its diagonal entry {first + at} is "
            f"{diagonal[at]:.3g}.", unknown=first + at, where="distribute",
            fix="declare Structure.SYMMETRIC, if it is only that.",
        )  # fmt: skip


def _vector(b: Any, count: int, where: str) -> Array:
    own = np.array(b, dtype=np.float64)
    if own.shape != (count,):
        raise ShapeError(
            f"a rank's right-hand side has shape {own.shape}.", where=where,
            fix=f"give this rank's rows, shape ({count},).",
        )  # fmt: skip
    if not np.isfinite(own).all():
        raise NonFinite("the right-hand side is not finite.", where=where)
    return own
