"""PDE on the spine: evolution equations in time, and variational inequalities."""

from .active_sets import InequalityReport
from .dependent import Columns, Dependent
from .evolution import Evolution, no_curvature
from .obstacle import VariationalInequality
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
    "Dependent",
    "Evolution",
    "InequalityReport",
    "Midpoint",
    "SolvedInequality",
    "Theta",
    "TimeGradient",
    "TimeHessian",
    "TimeReport",
    "TimeStepping",
    "TimeTracking",
    "Trajectory",
    "VariationalInequality",
    "no_curvature",
]
