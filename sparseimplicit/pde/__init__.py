"""PDE on the spine: evolution equations in time, and variational inequalities."""

from .evolution import Columns, Evolution, InitialState, no_curvature
from .schemes import BDF2, Midpoint, Theta
from .time import TimeStepping
from .time_hessian import TimeHessian
from .time_losses import TimeTracking
from .time_report import TimeGradient, TimeReport
from .trajectory import Trajectory

__all__ = [
    "BDF2",
    "Columns",
    "Evolution",
    "InitialState",
    "Midpoint",
    "Theta",
    "TimeGradient",
    "TimeHessian",
    "TimeReport",
    "TimeStepping",
    "TimeTracking",
    "Trajectory",
    "no_curvature",
]
