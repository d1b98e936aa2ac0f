"""NumPy twins of the kernels in `sparseimplicit.kernels.lifts`."""

import numpy as np


def lift(filters, u, places):
    """r = F u_loc of every element, (R, E)."""
    return filters @ u[places].T


def lower(filters, q, places, n):
    """Σ_e of Fᵀ q_e at the places of e."""
    out = np.zeros(n)
    np.add.at(out, places, (filters.T @ q).T)
    return out


def outer(q, u, places):
    """Σ_e q_e u_locᵀ, (R, k)."""
    return q @ u[places]


def beyond(shape, points, mode, fields=1):
    """Places of the unknowns of each pixel, (pixels, points), by np.pad of their numbers.

    points : (field, offset) of each unknown.
    """
    far = max(abs(d) for _, offset in points for d in offset)
    numbers = np.arange(fields * int(np.prod(shape))).reshape(fields, *shape)
    padded = np.stack([np.pad(image, far, mode=mode) for image in numbers])
    columns = []
    for field, offset in points:
        window = tuple(slice(far + d, far + d + n) for d, n in zip(offset, shape, strict=True))
        columns.append(padded[(field, *window)].ravel())
    return np.stack(columns, axis=1)


def matrix(f, places, n):
    """Return K of one filter, dense: (K u)_e = Σ_i f_i u[places[e, i]]."""
    out = np.zeros((len(places), n))
    for i, value in enumerate(f):
        np.add.at(out, (np.arange(len(places)), places[:, i]), value)
    return out
