"""Equations from weak forms over scikit-fem's bases: the integrand is all that is written."""

from .assembled import affine, from_assembly
from .continuation import Continued, Step, continuation
from .dirichlet import Fixed, fixed
from .energy import Energy
from .equation import Equation
from .fields import det, div, dot, grad, inner, sym_grad, trace
from .functional import Functional, total_variation
from .integral import Integral, integral
from .losses import Linear, Loss, Quadratic, Tracking
from .output import figure, write_vtk
from .riesz import h1, mass, stiffness

__all__ = [
    "Continued",
    "Energy",
    "Equation",
    "Fixed",
    "Functional",
    "Integral",
    "Linear",
    "Loss",
    "Quadratic",
    "Step",
    "Tracking",
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
    "stiffness",
    "sym_grad",
    "total_variation",
    "trace",
    "write_vtk",
]
