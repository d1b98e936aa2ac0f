"""Compressed sparse rows, by scipy and by dense algebra."""

import numpy as np


def multiply(matrix, x):
    return matrix.toarray() @ x


def asymmetric(matrix, tolerance):
    """Return by row the first stored column with |a_ij − a_ji| > tolerance min(m_i, m_j), or −1."""
    dense = matrix.toarray()
    largest = np.abs(dense).max(axis=1, initial=0.0)
    far = np.abs(dense - dense.T) > tolerance * np.minimum.outer(largest, largest)
    stored = [matrix.indices[matrix.indptr[i] : matrix.indptr[i + 1]] for i in range(len(dense))]
    return np.array([next((j for j in row if far[i, j]), -1) for i, row in enumerate(stored)])


def conjugate_gradients(a, b, steps):
    """Return αₖ, βₖ and ‖rₖ‖/‖b‖ of CG with the diagonal, as textbooks have it."""
    d = a.diagonal()
    x, r = np.zeros_like(b), b.copy()
    p = r / d
    lengths, turns, residuals = [], [], []
    for _ in range(steps):
        rho = r @ (r / d)
        lengths.append(rho / (p @ (a @ p)))
        x = x + lengths[-1] * p
        r = b - a @ x
        residuals.append(np.linalg.norm(r) / np.linalg.norm(b))
        turns.append(r @ (r / d) / rho)
        p = r / d + turns[-1] * p
    return lengths, turns, residuals
