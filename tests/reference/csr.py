"""Compressed sparse rows, by scipy and by dense algebra."""

import numpy as np


def multiply(matrix, x):
    return matrix.toarray() @ x


def asymmetric(matrix, tolerance):
    """Tell whether |a_ij − a_ji| > tolerance min(m_i, m_j) anywhere, m_i the largest of row i."""
    dense = matrix.toarray()
    largest = np.abs(dense).max(axis=1, initial=0.0)
    return bool((np.abs(dense - dense.T) > tolerance * np.minimum.outer(largest, largest)).any())
