"""Training: many images as one upper-level problem, by implicit differentiation."""

from .cores import available_cores
from .examples import Example, draw_crops, noisy_examples, squared_error
from .executors import Answers, Executor, Serial
from .plan import Training, Validation
from .processes import Processes
from .regularizers import Regularizer, Ridge, Smooth
from .stages import Accuracy, FullBatch, Minibatch, Stage
from .steps import Step
from .store import check_run, clear
from .train import Score, Trained, train

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
    "available_cores",
    "check_run",
    "clear",
    "draw_crops",
    "noisy_examples",
    "squared_error",
    "train",
]
