"""Multigrid on regular grids: conjugate gradients with a V-cycle, all by stencils."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import numpy as np

from ...errors import ShapeError, StructureError
from ..checks import check_count, refuse_indefinite_diagonal
from ..conjugate_gradients import ConjugateGradients
from ..contract import Solver
from ..hierarchy import Hierarchy
from ..method import Attempt, Needs, PreparedMethod
from ..operator import Array, Operator, Structure
from ..preconditioning import Diagonal, PreparedPreconditioner
from ..recognition import stencil_of
from ..reports import Reason
from ..room import Room
from ..stencil import StencilOperator, is_near

TRIAL: Final = 16  # iterations by the diagonal alone: they cost what a hierarchy costs to make
GLANCE: Final = 4  # iterations after which it is seen whether they will do


@dataclass(frozen=True)
class Recognised:
    """The stencil that a matrix was found to be, for that matrix alone."""

    operator: Operator
    stencil: StencilOperator


class Multigrid(Solver):
    """Conjugate gradients, preconditioned by black-box multigrid on a regular grid.

    For positive definite matrices that couple nearest neighbours, diagonal ones too, on grids of
    one, two or three dimensions, of any size and with any border: given as CSR with
    ``Operator(A, grid=(ny, nx))``, without the grid where the distances of the columns tell it
    (every entry is compared before it is used), or as a `StencilOperator`. Products go by the
    stencil; nothing is assembled.

    Parameters
    ----------
    precision : {"single", "double"}
        Of the hierarchy; the iteration around it is always in double. In single, the factors of
        large grids are held with three digits below their diagonal, where these do.
    max_iterations : int
    lean : bool, optional
        Hold no factors of blocks, but make them anew in each cycle: about half of the bytes,
        several times the time. Left out, it is done where they would fill a quarter of the
        available memory.
    on_demand : bool
        Make no hierarchy before it is needed: a solve first tries 16 iterations by the diagonal
        alone, or 4 where these foretell that 16 would not do. For the loose solves of Newton steps.

    Notes
    -----
    Iterations to 1e-8: 3 to 5 on a plane for total variation with lagged weights, 3 to 20 for its
    exact Hessian, 6 to 15 in space; `scripts/bench/kernels.py` prints them.
    """

    name: ClassVar[str] = "multigrid"

    @property
    def label(self) -> str:
        """Name of the method, and whether its hierarchy waits."""
        return f"{self.name}+late" if self.on_demand else self.name

    def __init__(
        self,
        precision: str = "single",
        max_iterations: int = 200,
        *,
        lean: bool | None = None,
        on_demand: bool = False,
    ) -> None:
        if precision not in ("single", "double"):
            raise ShapeError(
                f"there is no precision '{precision}'.",
                where="Multigrid",
                fix="use 'single' or 'double'.",
            )
        self.precision = precision
        check_count(max_iterations, "max_iterations", "Multigrid")
        self.max_iterations = max_iterations
        self.lean = lean
        self.on_demand = on_demand
        self.needs = Needs(structure=Structure.SYMMETRIC, definite=True, entries=False, grid=True)

    def _prepare(self, operator: Operator, analysis: Any) -> PreparedMethod:
        refuse_indefinite_diagonal(operator, f"solver '{self.label}', prepare")
        known = isinstance(analysis, Recognised) and analysis.operator is operator
        stencil = analysis.stencil if known else self._stencil(operator)
        room = analysis if isinstance(analysis, Room) else None
        room = Room() if room is None else room
        by_stencil = Operator(stencil, operator.structure)

        def make() -> ConjugateGradients:
            double = self.precision == "double"
            hierarchy = Hierarchy(stencil, double=double, lean=self.lean, room=room)
            return ConjugateGradients(by_stencil, hierarchy, self.max_iterations, 0)

        return _OnDemand(by_stencil, make, room) if self.on_demand else make()

    def _stencil(self, operator: Operator) -> StencilOperator:
        if isinstance(operator.source, StencilOperator) and is_near(operator.source):
            return operator.source
        found = None
        if operator.entries is not None:
            found = stencil_of(operator.entries, operator.grid)
        if found is None:
            told = "" if operator.grid is None else f" of {operator.grid} points"
            raise StructureError(
                f"the matrix does not couple nearest neighbours on a grid{told} alone.",
                where=f"solver '{self.label}', prepare",
                fix="give the shape: Operator(A, grid=(nz, ny, nx)), (ny, nx) or (n,), unknowns "
                "row by row; or use 'cg' with 'amg' for what is on no grid.",
            )
        return found


class _OnDemand(PreparedMethod):
    """Conjugate gradients by the diagonal alone, until a solve shows that a hierarchy pays."""

    def __init__(
        self, operator: Operator, make: Callable[[], ConjugateGradients], room: Room
    ) -> None:
        self._operator = operator
        self._make = make
        self._by_cycles: ConjugateGradients | None = None
        self._by_diagonal = ConjugateGradients(
            operator, Diagonal(1.0 / operator.diagonal), TRIAL, GLANCE
        )
        self.analysis = room

    def _solve(self, b: Array, rtol: Array) -> Attempt:
        if self._by_cycles is not None:
            return self._by_cycles._solve(b, rtol)
        first = self._by_diagonal._solve(b, rtol)
        if first.reason in (Reason.CONVERGED, Reason.NEGATIVE_CURVATURE):
            return first
        self._by_cycles = self._make()
        left = b - self._operator.apply(first.value)
        size = np.linalg.norm(left, axis=0)
        unit = np.where(size > 0.0, size, 1.0)
        rest = self._by_cycles._solve(left / unit, np.minimum(rtol / unit, 0.5))
        return replace(
            rest, value=first.value + unit * rest.value,
            iterations=first.iterations + rest.iterations,
        )  # fmt: skip

    _solve_adjoint = _solve

    def as_preconditioner(self) -> PreparedPreconditioner | None:
        """Return the hierarchy, once there is one."""
        return None if self._by_cycles is None else self._by_cycles.as_preconditioner()
