"""Denoising models whose parameters are learned, on real images."""

from .data import add_noise, psnr, read_image
from .denoising import Denoised, denoise
from .models import (
    FieldsOfExperts,
    GeneralizedVariation,
    HuberVariation,
    Model,
    SavedModel,
    TotalVariation,
    available_models,
    model_named,
    model_path,
    read_model,
    total_variation,
    write_model,
)
from .observation import Observation
from .similarity import ssim
from .training import Trained, Training, squared_error, train

__all__ = [
    "Denoised",
    "FieldsOfExperts",
    "GeneralizedVariation",
    "HuberVariation",
    "Model",
    "Observation",
    "SavedModel",
    "TotalVariation",
    "Trained",
    "Training",
    "add_noise",
    "available_models",
    "denoise",
    "model_named",
    "model_path",
    "psnr",
    "read_image",
    "read_model",
    "squared_error",
    "ssim",
    "total_variation",
    "train",
    "write_model",
]
