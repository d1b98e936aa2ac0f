"""Solving with whatever works: a solver chosen by ``auto`` gives way to the next where it fails."""

from __future__ import annotations

from typing import Any

from ..errors import (
    MemoryBudgetExceeded,
    NotConverged,
    NotPositiveDefinite,
    SingularSystem,
)
from .causes import causes_told
from .checks import check_rtol
from .contract import PreparedSystem, Solver
from .dispatch import Selection, choose, select
from .nullspace import null_space
from .operator import Operator, Structure
from .registry import solver_named
from .reports import LinearSolution
from .singular import check_policy, solve_singular


def prepare(matrix: Any, solver: str | Solver = "auto", *, rtol: float = 1e-8) -> PreparedSystem:
    """Prepare a matrix by the solver named, given or chosen."""
    check_rtol(rtol, "linear.prepare")
    operator = matrix if isinstance(matrix, Operator) else Operator(matrix)
    selection = select(solver, operator, rtol=rtol)
    with causes_told(operator):
        return selection.solver.prepare(
            operator, analysis=selection.analysis, because=selection.because
        )


def solve(
    A: Any,
    b: Any,
    *,
    solver: str | Solver = "auto",
    rtol: float = 1e-8,
    transpose: bool = False,
    on_singular: str = "raise",
) -> LinearSolution:
    """Solve A x = b, or Aᵀ x = b, once.

    Parameters
    ----------
    A : sparse or dense array, LinearOperator or Operator, shape (n, n)
    b : array, shape (n,) or (n, k)
    solver : str or Solver
        ``"auto"``, a name of `available_solvers`, or a solver.
    rtol : float
        Bound on the true relative residual of every column.
    transpose : bool
        Solve with Aᵀ.
    on_singular : {"raise", "min_norm", "damp"}
        What to do where the matrix is singular: raise; return the solution without a part in the
        null space, if b admits one; or solve with the diagonal raised by 1e-8 of each row's size.
        The report says which, with the dimension of the null space or the bias.

    Returns
    -------
    LinearSolution
        ``.value`` of b's shape and ``.report``.

    Raises
    ------
    ShapeError, NonFinite, StructureError, NotPositiveDefinite, SingularSystem, NotConverged
    """
    check_rtol(rtol, "linear.solve")
    operator = A if isinstance(A, Operator) else Operator(A)
    columns = b.shape[1] if getattr(b, "ndim", 1) == 2 else 1
    ladder = Ladder(operator, solver, solves=max(columns, 1), rtol=rtol, on_singular=on_singular)
    return ladder.solve(b, transpose=transpose)[0]


class Ladder:
    """A system whose solver, when chosen by ``auto``, gives way to the next where it fails.

    Only what `choose` listed is tried, in its order, and the report's ``because`` says what
    failed. A solver that was named or given is never replaced, and a matrix *declared* positive
    definite that is not so is an error.
    """

    def __init__(
        self,
        operator: Operator,
        linear_solver: str | Solver,
        *,
        solves: int = 1,
        rtol: float,
        after: str = "",
        on_singular: str = "raise",
    ) -> None:
        check_policy(on_singular, operator)
        self.on_singular = on_singular
        self.operator = operator
        self.rtol = rtol
        self._after = after  # what failed before, for the report
        if linear_solver != "auto":
            self._steps = [select(linear_solver, operator, rtol=rtol)]
            return
        choice = choose(operator, solves=solves, rtol=rtol)
        self._steps = [Selection(choice.solver, f"auto: {choice.because}", choice.analysis)] + [
            Selection(solver_named(c.solver), f"auto: {c.because}", c.analysis)
            for c in choice.candidates
            if c.possible and c.bytes <= choice.budget and c.solver != choice.solver.label
        ]

    def solve(
        self, b: Any, *, transpose: bool = False
    ) -> tuple[LinearSolution, PreparedSystem | None]:
        """Solve, stepping on where a method fails; return what solved it too.

        Where the matrix is singular and a policy says what then, there is no prepared system.
        """
        if self.on_singular == "raise":
            with causes_told(self.operator):
                return self._climb(b, transpose)
        try:
            solution, system = self._climb(b, transpose)
            if self.on_singular == "min_norm" and not system.method.direct:
                # A Krylov method finds one of the solutions and does not notice that it is one.
                space = null_space(self.operator)
                if space.dimension or not space.complete:
                    raise SingularSystem("the matrix is singular, or may be so.")
            return solution, system
        except (SingularSystem, NotPositiveDefinite, NotConverged) as error:
            try:
                solution = solve_singular(
                    self.operator, b, self.on_singular, rtol=self.rtol, transpose=transpose
                )
            except SingularSystem as cause:
                raise cause from error
            return solution, None

    def _climb(self, b: Any, transpose: bool) -> tuple[LinearSolution, PreparedSystem]:
        failed = f"; {self._after}" if self._after else ""
        for step, selection in enumerate(self._steps):
            solver = selection.solver
            try:
                system = solver.prepare(
                    self.operator, analysis=selection.analysis, because=selection.because + failed
                )
                run = system.solve_adjoint if transpose else system.solve
                return run(b, rtol=self.rtol), system
            except (NotConverged, NotPositiveDefinite, MemoryBudgetExceeded) as error:
                declared = self.operator.structure is Structure.POSITIVE_DEFINITE
                if step + 1 == len(self._steps) or (
                    declared and isinstance(error, NotPositiveDefinite)
                ):
                    if failed:
                        error.add_note(f"  before: {failed.removeprefix('; ')}")
                    raise
                failed += f"; '{solver.label}' failed: {type(error).__name__}"
        raise AssertionError("a ladder has at least one step")
