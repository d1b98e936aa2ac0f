"""Problems from local terms alone: energies and residuals whose derivatives nobody writes."""

from .black_box import from_gradient, from_residual
from .differences import InexactDerivatives
from .energy import Energy
from .grids import Stencil, patches, stencil
from .residual import Residual, part
from .terms import Term, parameters, shared, term
from .values import where

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
