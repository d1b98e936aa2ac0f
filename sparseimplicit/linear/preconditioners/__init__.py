"""Preconditioners, one a file."""

from .amg import AMG
from .ilu import ILU
from .jacobi import Jacobi
from .lagged import Lagged
from .spectral import Spectral

__all__ = ["AMG", "ILU", "Jacobi", "Lagged", "Spectral"]
