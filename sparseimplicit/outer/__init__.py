"""The upper level: minimising a loss over the parameter, with checkpoints."""

from .history import Evaluation, TrustStep, Work
from .inner import InnerProduct, inner_product
from .minimize import MinimizeResult, minimize

__all__ = [
    "Evaluation",
    "InnerProduct",
    "MinimizeResult",
    "TrustStep",
    "Work",
    "inner_product",
    "minimize",
]
