"""Training: many images as one upper-level problem, by implicit differentiation."""

from ...executors import Executor, Processes, Serial, available_cores
from .examples import Example, draw_crops, noisy_examples, squared_error
from .plan import Training, Validation
from .regularizers import Regularizer, Ridge, Smooth
from .stages import Accuracy, FullBatch, Minibatch, Stage
from .steps import Step
from .store import check_run, clear
from .train import Score, Trained, train
from .visitors import Answers, Visitors

__all__ = [
    "Accuracy",
    "Answers",
    "Example",
    "Executor",
    "FullBatch",
    "Minibatch",
    "Processes",
    "Regularizer",
    "Ridge",
    "Score",
    "Serial",
    "Smooth",
    "Stage",
    "Step",
    "Trained",
    "Training",
    "Validation",
    "Visitors",
    "available_cores",
    "check_run",
    "clear",
    "draw_crops",
    "noisy_examples",
    "squared_error",
    "train",
]
