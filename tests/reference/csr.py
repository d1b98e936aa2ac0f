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
