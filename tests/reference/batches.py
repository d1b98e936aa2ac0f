"""What the kernels of batches compute, in dense algebra."""

import numpy as np


def factor(systems, size, band):
    """Return F (size, band + 1, 8): F[j, d, s] = L[j + d, j], but 1 / L[j, j] for d = 0."""
    out = np.zeros((size, band + 1, 8))
    out[:, 0] = 1.0
    for lane, a in enumerate(systems):
        lower = np.linalg.cholesky(a)
        for j in range(len(a)):
            for d in range(min(band, len(a) - 1 - j) + 1):
                out[j, d, lane] = lower[j + d, j] if d else 1.0 / lower[j, j]
    return out
