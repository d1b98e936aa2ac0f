"""Linear systems: a matrix, a solver, a prepared system, a solution with its report."""

from .blocks import block_diagonal
from .contract import PreparedSystem, Solver
from .diagnosis import Diagnosis, Finding
from .dispatch import Choice, Selection, choose, select
from .doctor import diagnose
from .factorizations import Candidate
from .filters import FilterOperator
from .ladder import Ladder, prepare, solve
from .method import Attempt, Needs, PreparedMethod
from .operator import Operator, Structure
from .passed import Passed
from .preconditioners import AMG, ILU, Jacobi, Lagged, Spectral
from .preconditioning import Preconditioner, PreparedPreconditioner
from .rates import Rates, calibrate
from .registry import available_solvers, register_solver, solver_named
from .reports import LinearSolution, PreparationReport, Reason, SolveReport
from .sequence import Sequence, Step, change_between, foretold_iterations
from .solvers import (
    CG,
    GMRES,
    MINRES,
    Banded,
    Batched,
    Cholmod,
    Dense,
    Multigrid,
    Pardiso,
    Petsc,
    SuperLU,
)
from .stencil import StencilOperator

__all__ = [
    "AMG",
    "CG",
    "GMRES",
    "ILU",
    "MINRES",
    "Attempt",
    "Banded",
    "Batched",
    "Candidate",
    "Choice",
    "Cholmod",
    "Dense",
    "Diagnosis",
    "FilterOperator",
    "Finding",
    "Jacobi",
    "Ladder",
    "Lagged",
    "LinearSolution",
    "Multigrid",
    "Needs",
    "Operator",
    "Pardiso",
    "Passed",
    "Petsc",
    "Preconditioner",
    "PreparationReport",
    "PreparedMethod",
    "PreparedPreconditioner",
    "PreparedSystem",
    "Rates",
    "Reason",
    "Selection",
    "Sequence",
    "SolveReport",
    "Solver",
    "Spectral",
    "StencilOperator",
    "Step",
    "Structure",
    "SuperLU",
    "available_solvers",
    "block_diagonal",
    "calibrate",
    "change_between",
    "choose",
    "diagnose",
    "foretold_iterations",
    "prepare",
    "register_solver",
    "select",
    "solve",
    "solver_named",
]
