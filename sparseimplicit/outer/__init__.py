"""The upper level: minimising a loss over the parameter, with checkpoints."""

from .display import IterationDisplay
from .history import Evaluation, TrustStep, Work
from .inner import InnerProduct, inner_product
from .minimize import minimize
from .result import MinimizeResult

__all__ = [
    "Evaluation",
    "InnerProduct",
    "IterationDisplay",
    "MinimizeResult",
    "TrustStep",
    "Work",
    "inner_product",
    "minimize",
]
