"""Methods for linear systems, one a file; siblings never import each other."""

from .banded import Banded
from .batched import Batched
from .cg import CG
from .cholmod import Cholmod
from .dense import Dense
from .gmres import GMRES
from .minres import MINRES
from .multigrid import Multigrid
from .pardiso import Pardiso
from .petsc import Petsc
from .superlu import SuperLU

__all__ = [
    "CG",
    "GMRES",
    "MINRES",
    "Banded",
    "Batched",
    "Cholmod",
    "Dense",
    "Multigrid",
    "Pardiso",
    "Petsc",
    "SuperLU",
]
