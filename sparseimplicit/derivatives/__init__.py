"""Problems from local terms alone: energies and residuals whose derivatives nobody writes."""

from .coloured.black_box import from_gradient, from_residual
from .coloured.differences import InexactDerivatives
from .energy import Energy
from .residual import Residual, part
from .stated.grids import Stencil, patches, stencil
from .stated.terms import Term, parameters, shared, term
from .tracing.values import where

__all__ = [
    "Energy",
    "InexactDerivatives",
    "Residual",
    "Stencil",
    "Term",
    "from_gradient",
    "from_residual",
    "parameters",
    "part",
    "patches",
    "shared",
    "stencil",
    "term",
    "where",
]
