"""Implicit differentiation for sparse problems too large for anyone else.

A state y is defined by conditions c(x, y) = 0, or by y = argmin_y g(x, y). A loss L(x, y) judges
it. Its exact gradient is

    dL/dx = L_x − Bᵀ A⁻ᵀ L_y        A = ∂c/∂yᵀ (the Hessian),  B = ∂c/∂xᵀ (the cross-Hessian)
"""

from . import errors, linear, verify
from .adjoint import jvp, vjp
from .hypergradient import Hypergradient, HypergradientReport, hypergradient
from .implicit import ImplicitFunction, SolvedState, Start
from .linear import Structure, available_solvers, register_solver
from .newton import StateReport
from .outer import Evaluation, MinimizeResult, Work, minimize
from .problem import MinimizationProblem, RootProblem

__version__ = "0.1.0"

__all__ = [
    "Evaluation",
    "Hypergradient",
    "HypergradientReport",
    "ImplicitFunction",
    "MinimizationProblem",
    "MinimizeResult",
    "RootProblem",
    "SolvedState",
    "Start",
    "StateReport",
    "Structure",
    "Work",
    "available_solvers",
    "errors",
    "hypergradient",
    "jvp",
    "linear",
    "minimize",
    "register_solver",
    "verify",
    "vjp",
]
