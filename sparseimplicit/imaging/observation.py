"""What was measured of an image: grey levels, how much each is worth, and what blurred it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import ndimage

from ..errors import NonFinite, ShapeError
from ..linear.operator import Array


@dataclass(frozen=True, eq=False)
class Observation:
    """A measured image, the left side of ``½ Σ_p w_p ((b ∗ u)_p − f_p)²``.

    Parameters
    ----------
    image : array, shape (h, w)
        f, on the scale 0 to 255. Where the weight is 0 it may hold anything, NaN too.
    weights : array, shape (h, w), optional
        w ≥ 0, the precision of each pixel, in units of that of the noise a model was made for: 0
        where nothing was measured (inpainting), s²/variance for noise of many sizes, as of photon
        counts. None is 1 everywhere.
    blur : array, shape (a, b), optional
        b, the kernel of a known blur; its centre is entry (⌊a/2⌋, ⌊b/2⌋). Beyond the border the
        image is mirrored: ``scipy.ndimage.convolve(u, b, mode="reflect")``.

    Raises
    ------
    ShapeError, NonFinite
        If one of them is no such array; if no pixel has a weight; if the blur sums to 0.
    """

    image: Array
    weights: Array | None = None
    blur: Array | None = None

    def __post_init__(self) -> None:
        image = self.image
        if self.weights is not None:
            weights = _checked_weights(self.weights, image)
            object.__setattr__(self, "weights", weights)
            if not weights.all():  # what stands where nothing was measured has no part in anything
                image = np.where(weights > 0.0, image, 0.0)
        object.__setattr__(self, "image", checked_image(image, "the image"))
        if self.blur is not None:
            object.__setattr__(self, "blur", _checked_blur(self.blur))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.image.shape[0], self.image.shape[1]

    @cached_property
    def filled(self) -> Array:
        """The image, and where nothing was measured the nearest pixel that was, (h, w)."""
        if self.weights is None or self.weights.all():
            return self.image
        missing = self.weights == 0.0
        nearest = ndimage.distance_transform_edt(
            missing, return_distances=False, return_indices=True
        )
        return np.ascontiguousarray(self.image[tuple(nearest)])


def checked_image(image: Any, name: str) -> Array:
    """Return an image as float64 (h, w), finite, with at least one pixel."""
    if np.iscomplexobj(image) or np.ndim(image) != 2 or 0 in np.shape(image):
        raise ShapeError(
            f"{name} must be a grey image of shape (h, w), got shape {np.shape(image)}.",
            fix="convert colour to grey, or denoise the channels apart.",
        )
    array = np.ascontiguousarray(image, dtype=np.float64)
    if not np.isfinite(array).all():
        i, j = np.unravel_index(int(np.argmin(np.isfinite(array))), array.shape)
        raise NonFinite(f"{name} is {array[i, j]} at pixel ({i}, {j}).")
    return array


def _checked_weights(weights: Any, image: Any) -> Array:
    array = checked_image(weights, "weights")
    if array.shape != np.shape(image):
        raise ShapeError(
            f"weights have shape {array.shape}, the image {np.shape(image)}.",
            where="Observation",
            fix="give one weight a pixel.",
        )
    if array.min() < 0.0 or array.max() == 0.0:
        raise ShapeError(
            f"weights are between {array.min()} and {array.max()}.",
            where="Observation",
            fix="give weights ≥ 0, and at least one pixel that was measured.",
        )
    return array


def _checked_blur(blur: Any) -> Array:
    array = checked_image(blur, "the blur")
    if array.sum() == 0.0:
        raise ShapeError(
            "the blur sums to 0: the mean of the image cannot be recovered.",
            where="Observation",
            fix="give a kernel of sum 1.",
        )
    return array
