"""Equations from weak forms over scikit-fem's bases: the integrand is all that is written."""

from .dirichlet import Fixed, fixed
from .energy import Energy
from .equation import Equation
from .fields import det, div, dot, grad, inner, sym_grad, trace
from .functional import Functional, total_variation
from .integral import Integral, integral
from .losses import Linear, Loss, Quadratic, Tracking
from .riesz import h1, mass, stiffness

__all__ = [
    "Energy",
    "Equation",
    "Fixed",
    "Functional",
    "Integral",
    "Linear",
    "Loss",
    "Quadratic",
    "Tracking",
    "det",
    "div",
    "dot",
    "fixed",
    "grad",
    "h1",
    "inner",
    "integral",
    "mass",
    "stiffness",
    "sym_grad",
    "total_variation",
    "trace",
]
