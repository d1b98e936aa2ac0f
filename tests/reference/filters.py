"""Filter energies by scipy.ndimage, one pixel after another."""

import numpy as np
from scipy import ndimage

MODES = {"zero": "constant", "reflect": "reflect", "periodic": "wrap"}


def matrix(f, shape, border):
    """Return K of one filter, dense: each column is the filtered image of one pixel."""
    columns = []
    for unit in np.eye(shape[0] * shape[1]):
        image = unit.reshape(shape)
        columns.append(ndimage.correlate(image, f, mode=MODES[border]).ravel())
    return np.stack(columns, axis=1)


def hessian(filters, weights, data, border):
    """Return diag(d) + Σ_k Kᵏᵀ diag(wᵏ) Kᵏ, dense."""
    shape = weights.shape[1:]
    h = np.diag(np.broadcast_to(data, shape).ravel()).astype(float)
    for f, w in zip(filters, weights, strict=True):
        k = matrix(f, shape, border)
        h += k.T @ (w.ravel()[:, None] * k)
    return h
