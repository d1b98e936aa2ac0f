"""Multigrid on regular grids: conjugate gradients with a V-cycle, all by stencils."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ...errors import ShapeError, StructureError
from ..checks import check_count, refuse_indefinite_diagonal
from ..conjugate_gradients import ConjugateGradients
from ..contract import Solver
from ..hierarchy import Hierarchy
from ..method import Needs, PreparedMethod
from ..operator import Operator, Structure
from ..recognition import stencil_of
from ..room import Room
from ..stencil import StencilOperator, is_near


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
        lines are held with three digits below their diagonal.
    max_iterations : int
    lean : bool, optional
        Hold no factors of blocks, but make them anew in each cycle: less than half of the bytes,
        twice the time. Left out, it is done where they would fill a quarter of the available
        memory.

    Notes
    -----
    Iterations to 1e-8: 3 to 5 on a plane for total variation with lagged weights, 3 to 20 for its
    exact Hessian, 6 to 15 in space; `scripts/bench/kernels.py` prints them.
    """

    name: ClassVar[str] = "multigrid"

    def __init__(
        self, precision: str = "single", max_iterations: int = 200, *, lean: bool | None = None
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
        self.needs = Needs(structure=Structure.SYMMETRIC, definite=True, entries=False, grid=True)

    def _prepare(self, operator: Operator, analysis: Any) -> PreparedMethod:
        refuse_indefinite_diagonal(operator, f"solver '{self.label}', prepare")
        known = isinstance(analysis, Recognised) and analysis.operator is operator
        stencil = analysis.stencil if known else self._stencil(operator)
        room = analysis if isinstance(analysis, Room) else None
        hierarchy = Hierarchy(stencil, double=self.precision == "double", lean=self.lean, room=room)
        by_stencil = Operator(stencil, operator.structure)
        return ConjugateGradients(by_stencil, hierarchy, self.max_iterations, 0)

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
