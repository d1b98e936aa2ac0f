"""Kept for the trainer: what stands in `models.tv` and `observation`."""

from .models.tv import total_variation
from .observation import checked_image

__all__ = ["checked_image", "total_variation"]
