"""Checks for users: of a gradient, an adjoint, derivatives written by hand, a solver plug-in."""

from ..derivatives.checks import DerivativeCheck
from .derivatives import derivatives, symmetry
from .duality import DualityCheck, duality, hessian_symmetry
from .suite import conformance
from .taylor import TaylorTable, hessian_taylor, taylor
from .zoo import Specimen, zoo

__all__ = [
    "DerivativeCheck",
    "DualityCheck",
    "Specimen",
    "TaylorTable",
    "conformance",
    "derivatives",
    "duality",
    "hessian_symmetry",
    "hessian_taylor",
    "symmetry",
    "taylor",
    "zoo",
]
