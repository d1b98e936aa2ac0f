"""The upper level: minimising a loss over the parameter, with checkpoints."""

from .history import Evaluation, Work
from .minimize import MinimizeResult, minimize

__all__ = ["Evaluation", "MinimizeResult", "Work", "minimize"]
