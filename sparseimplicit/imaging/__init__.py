"""Denoising models whose parameters are learned, on real images."""

from .data import add_noise, psnr, read_image
from .training import Learned, Score, learn, squared_error
from .tv import total_variation

__all__ = [
    "Learned",
    "Score",
    "add_noise",
    "learn",
    "psnr",
    "read_image",
    "squared_error",
    "total_variation",
]
