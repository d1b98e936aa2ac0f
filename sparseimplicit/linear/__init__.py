"""Linear systems: a matrix, a solver, a prepared system, a solution with its report."""

from .contract import Attempt, Needs, PreparedMethod, PreparedSystem, Solver
from .dispatch import Candidate, Choice, choose, prepare, resolve, solve
from .operator import Operator, Structure
from .preconditioners import AMG, ILU, Jacobi, Lagged
from .preconditioning import Preconditioner, PreparedPreconditioner
from .registry import available_solvers, register_solver, solver_named
from .reports import LinearSolution, PreparationReport, Reason, SolveReport
from .solvers import CG, GMRES, MINRES, Cholmod, Dense, SuperLU

__all__ = [
    "AMG",
    "CG",
    "GMRES",
    "ILU",
    "MINRES",
    "Attempt",
    "Candidate",
    "Choice",
    "Cholmod",
    "Dense",
    "Jacobi",
    "Lagged",
    "LinearSolution",
    "Needs",
    "Operator",
    "Preconditioner",
    "PreparationReport",
    "PreparedMethod",
    "PreparedPreconditioner",
    "PreparedSystem",
    "Reason",
    "SolveReport",
    "Solver",
    "Structure",
    "SuperLU",
    "available_solvers",
    "choose",
    "prepare",
    "register_solver",
    "resolve",
    "solve",
    "solver_named",
]
