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
