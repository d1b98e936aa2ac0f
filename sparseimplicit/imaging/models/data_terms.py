"""The term that holds an image to what was measured of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...derivatives import Term, patches, stencil, term
from ...linear.operator import Array
from ..observation import Observation


def data_term(observed: Observation, least: int = 1) -> Term:
    """Return ``½ Σ_p w_p ((b ∗ u)_p − f_p)²`` as a local term of the first field of the state.

    Without a blur an element is one pixel, else the patch under the kernel, which is filled up with
    zeros to ``least`` pixels a side: a pattern of 3 × 3 has room for differences of neighbours.
    """
    data, quadratic = _data(observed)
    if observed.blur is None:
        return term(quadratic, y=stencil(observed.shape, [(0, 0)]), c=data, name="data")
    kernel = correlated(observed.blur, least)
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


def correlated(blur: Array, least: int = 1) -> Array:
    """Return the array whose correlation with an image is the convolution with the blur.

    Of odd sizes; the centre of the blur, entry (⌊a/2⌋, ⌊b/2⌋), becomes that of the array.
    """
    margins = []
    for size in blur.shape:
        whole = max(size, least) | 1
        before = whole // 2 - size // 2
        margins.append((before, whole - size - before))
    return np.pad(blur, margins)[::-1, ::-1].copy()
