"""The term that holds an image to what was measured of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...derivatives import Term, patches, stencil, term
from ...linear.operator import Array
from ..observation import Observation


def data_term(observed: Observation, window: tuple[int, int] = (3, 3)) -> Term:
    """Return ``½ Σ_p w_p ((b ∗ u)_p − f_p)²`` as a local term of the first field of the state.

    Without a blur an element is one pixel, else the patch under the kernel: filled up with zeros
    to the ``window`` (of odd sizes) where it is smaller, so that all filters of a model have one.
    """
    data, quadratic = _data(observed)
    if observed.blur is None:
        return term(quadratic, y=stencil(observed.shape, [(0, 0)]), c=data, name="data")
    kernel = correlated(observed.blur, window)
    return term(
        quadratic,
        y=patches(observed.shape, kernel.shape, border="symmetric"),
        c=data,
        lift=kernel.reshape(1, -1),
        name="blurred data",
    )


def _data(observed: Observation) -> tuple[Array, Any]:
    """Return the data of each element and the function of them; of both kinds of weights."""
    f = observed.image.reshape(-1, 1)
    if observed.weights is None:
        return f, lambda u, x, c: 0.5 * (u[0] - c[0]) ** 2
    w = observed.weights.reshape(-1, 1)
    return np.hstack([f, w]), lambda u, x, c: 0.5 * c[1] * (u[0] - c[0]) ** 2


def window_of(observed: Observation, least: int) -> tuple[int, int]:
    """Return the odd sizes of a window that holds a patch of ``least`` pixels a side and the blur.

    Filters of one window make a Hessian of one stencil.
    """
    sizes = (1, 1) if observed.blur is None else observed.blur.shape
    height, width = (max(size, least) | 1 for size in sizes)
    return height, width


def correlated(blur: Array, window: tuple[int, int]) -> Array:
    """Return the array whose correlation with an image is the convolution with the blur.

    Of odd sizes, not below those of the window; the centre of the blur, entry (⌊a/2⌋, ⌊b/2⌋),
    becomes that of the array.
    """
    return centred(blur, window)[::-1, ::-1].copy()


def centred(kernel: Array, window: tuple[int, int]) -> Array:
    """Return kernels (…, a, b) filled up with zeros, so that entry (⌊a/2⌋, ⌊b/2⌋) is the middle."""
    margins = [(0, 0)] * (kernel.ndim - 2)
    for size, wanted in zip(kernel.shape[-2:], window, strict=True):
        full = max(size, wanted) | 1
        before = full // 2 - size // 2
        margins.append((before, full - size - before))
    return np.pad(kernel, margins)
