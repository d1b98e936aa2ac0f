"""Problems from local terms alone: energies and residuals whose derivatives nobody writes."""

from .energy import Energy
from .grids import Stencil, patches, stencil
from .residual import Residual, part
from .terms import Term, parameters, shared, term
from .values import where

__all__ = [
    "Energy",
    "Residual",
    "Stencil",
    "Term",
    "parameters",
    "part",
    "patches",
    "shared",
    "stencil",
    "term",
    "where",
]
