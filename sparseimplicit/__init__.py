"""Implicit differentiation for sparse problems too large for anyone else.

A state y is defined by conditions c(x, y) = 0, or by y = argmin_y g(x, y). A loss L(x, y) judges
it. Its exact gradient is

    dL/dx = L_x − Bᵀ A⁻ᵀ L_y        A = ∂c/∂yᵀ (the Hessian),  B = ∂c/∂xᵀ (the cross-Hessian)
"""

import importlib
from typing import TYPE_CHECKING, Any

from .thread_limits import threads  # before numba is loaded

# isort: split
from . import cluster, errors, executors, linear, verify
from .adjoint import jvp, vjp
from .bridges import from_jax
from .derivatives import (
    Energy,
    Residual,
    from_gradient,
    from_residual,
    parameters,
    part,
    patches,
    shared,
    stencil,
    term,
    where,
)
from .hypergradient import Hypergradient, HypergradientReport, hypergradient
from .implicit import ImplicitFunction, SolvedState, Start
from .linear import Structure, available_solvers, register_solver
from .low_rank import LowRank, low_rank
from .outer import (
    Evaluation,
    InnerProduct,
    IterationDisplay,
    MinimizeResult,
    TrustStep,
    Work,
    inner_product,
    minimize,
)
from .packing import Packing
from .problem import MinimizationProblem, RootProblem
from .reduced_hessian import ReducedHessian, ReducedHessianReport, reduced_hessian
from .second_order import SecondOrderLoss, TwiceDifferentiable, differences_of_second_order
from .state_report import StateReport

if TYPE_CHECKING:
    from . import pde

__version__ = "0.1.0"

__all__ = [
    "Energy",
    "Evaluation",
    "Hypergradient",
    "HypergradientReport",
    "ImplicitFunction",
    "InnerProduct",
    "IterationDisplay",
    "LowRank",
    "MinimizationProblem",
    "MinimizeResult",
    "Packing",
    "ReducedHessian",
    "ReducedHessianReport",
    "Residual",
    "RootProblem",
    "SecondOrderLoss",
    "SolvedState",
    "Start",
    "StateReport",
    "Structure",
    "TrustStep",
    "TwiceDifferentiable",
    "Work",
    "available_solvers",
    "cluster",
    "differences_of_second_order",
    "errors",
    "executors",
    "from_gradient",
    "from_jax",
    "from_residual",
    "hypergradient",
    "inner_product",
    "jvp",
    "linear",
    "low_rank",
    "minimize",
    "parameters",
    "part",
    "patches",
    "pde",
    "reduced_hessian",
    "register_solver",
    "shared",
    "stencil",
    "term",
    "threads",
    "verify",
    "vjp",
    "where",
]


def __getattr__(name: str) -> Any:
    """Import `pde` where it is first asked for; it needs scikit-fem only where forms are made."""
    if name == "pde":
        return importlib.import_module(".pde", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
