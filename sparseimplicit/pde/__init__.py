"""Equations from weak forms over scikit-fem's bases: the integrand is all that is written."""

from .dirichlet import Fixed, fixed
from .equation import Equation
from .fields import det, div, dot, grad, inner, sym_grad, trace
from .integral import Integral, integral

__all__ = [
    "Equation",
    "Fixed",
    "Integral",
    "det",
    "div",
    "dot",
    "fixed",
    "grad",
    "inner",
    "integral",
    "sym_grad",
    "trace",
]
