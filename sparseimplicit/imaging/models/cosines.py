"""The cosine basis of small patches, from which filters are made."""

from __future__ import annotations

import numpy as np

from ...linear.operator import Array


def cosine_filters(size: int) -> Array:
    """Return the orthonormal DCT-II basis of patches without the constant, (size² − 1, size²).

    Row by row ``c_i c_j cos(π (p + ½) i / k) cos(π (q + ½) j / k)`` for patches k × k, those of low
    frequency i + j first.
    """
    places = np.arange(size)
    waves = np.cos(np.pi * np.outer(places, places + 0.5) / size) * np.sqrt(2.0 / size)
    waves[0] = 1.0 / np.sqrt(size)
    pairs = sorted(
        ((i, j) for i in range(size) for j in range(size) if i or j), key=lambda p: (sum(p), p)
    )
    return np.array([np.outer(waves[i], waves[j]).ravel() for i, j in pairs]).reshape(
        size**2 - 1, size**2
    )
