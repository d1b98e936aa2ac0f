"""Partial differential equations: weak forms over scikit-fem, evolution in time, obstacles."""

from .active_sets import InequalityReport
from .assembled import affine, from_assembly
from .continuation import Continued, Step, continuation
from .dependent import Columns, Dependent
from .dirichlet import Fixed, fixed
from .energy import Energy
from .equation import Equation
from .evolution import Evolution, no_curvature
from .fields import det, div, dot, grad, inner, sym_grad, trace
from .functional import Functional, total_variation
from .integral import Integral, integral
from .losses import Linear, Loss, Quadratic, Tracking
from .obstacle import VariationalInequality
from .output import figure, write_vtk
from .riesz import h1, mass, stiffness
from .schemes import BDF2, Midpoint, Theta
from .solved_inequality import SolvedInequality
from .time import TimeStepping
from .time_hessian import TimeHessian
from .time_losses import TimeTracking
from .time_report import TimeGradient, TimeReport
from .trajectory import Trajectory

__all__ = [
    "BDF2",
    "Columns",
    "Continued",
    "Dependent",
    "Energy",
    "Equation",
    "Evolution",
    "Fixed",
    "Functional",
    "InequalityReport",
    "Integral",
    "Linear",
    "Loss",
    "Midpoint",
    "Quadratic",
    "SolvedInequality",
    "Step",
    "Theta",
    "TimeGradient",
    "TimeHessian",
    "TimeReport",
    "TimeStepping",
    "TimeTracking",
    "Tracking",
    "Trajectory",
    "VariationalInequality",
    "affine",
    "continuation",
    "det",
    "div",
    "dot",
    "figure",
    "fixed",
    "from_assembly",
    "grad",
    "h1",
    "inner",
    "integral",
    "mass",
    "no_curvature",
    "stiffness",
    "sym_grad",
    "total_variation",
    "trace",
    "write_vtk",
]
