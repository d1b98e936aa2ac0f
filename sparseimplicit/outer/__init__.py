"""The upper level: minimising a loss over the parameter, with checkpoints."""

from .minimize import Evaluation, MinimizeResult, minimize

__all__ = ["Evaluation", "MinimizeResult", "minimize"]
