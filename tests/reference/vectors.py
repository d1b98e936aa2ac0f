"""The vector operations of conjugate gradients, by numpy."""

import numpy as np


def dots(a, b):
    return np.einsum("ij,ij->j", a, b)


def step(alpha, p, q, x, r):
    return x + alpha * p, r - alpha * q


def direction(beta, z, p):
    return z + beta * p
