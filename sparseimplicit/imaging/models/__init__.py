"""Image models as local terms: total variation and its kin, TGV, Fields of Experts."""

from .experts import FieldsOfExperts
from .files import SavedModel, available_models, model_path, read_model, write_model
from .huber import HuberVariation
from .model import Model
from .registry import model_named
from .tgv import GeneralizedVariation
from .tv import TotalVariation, total_variation

__all__ = [
    "FieldsOfExperts",
    "GeneralizedVariation",
    "HuberVariation",
    "Model",
    "SavedModel",
    "TotalVariation",
    "available_models",
    "model_named",
    "model_path",
    "read_model",
    "total_variation",
    "write_model",
]
