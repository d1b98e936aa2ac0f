"""Structural similarity, as scikit-image computes it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from .._optional import require
from ..errors import ShapeError

WINDOW: Final = 11  # pixels a side, of the Gaussian of σ = 1.5 cut off at 3.5 σ


def ssim(image: Any, truth: Any) -> float:
    """Return the mean structural similarity of two grey images, 1 for equal ones.

    ``skimage.metrics.structural_similarity`` with ``data_range=255, gaussian_weights=True,
    sigma=1.5, use_sample_covariance=False``: the window and constants of Wang et al. 2004.

    Raises
    ------
    ShapeError
        If the shapes differ, or a side is shorter than the window, 11 pixels.
    MissingBackend
        Without scikit-image, which the extra ``imaging`` brings.
    """
    metrics = require("skimage.metrics", extra="imaging", purpose="structural similarity")
    a, b = np.asarray(image, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 2:
        raise ShapeError(f"images of shapes {a.shape} and {b.shape} cannot be compared.")
    if min(a.shape) < WINDOW:
        raise ShapeError(
            f"an image of {a.shape[0]} × {a.shape[1]} pixels is smaller than the window of "
            f"structural similarity, {WINDOW} × {WINDOW}.",
            fix="leave small images out, or compare by PSNR alone.",
        )
    return float(
        metrics.structural_similarity(
            a, b, data_range=255.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )
