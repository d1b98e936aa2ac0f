"""The vector operations of conjugate gradients, by numpy."""

import numpy as np


def dots(a, b):
    return np.einsum("ij,ij->j", a, b)


def step(alpha, p, q, x, r):
    return x + alpha * p, r - alpha * q


def direction(beta, z, p):
    return z + beta * p


def shorten(p):
    length = np.linalg.norm(p, axis=0)
    return np.where(np.isnan(length), 0.0, p / np.maximum(length, 1.0))


def mixed(words):
    h = odd = 0x9E3779B97F4A7C15
    for word in words.tolist():
        h = ((h ^ word) * odd) % 2**64
        h ^= h >> 32
    return h
