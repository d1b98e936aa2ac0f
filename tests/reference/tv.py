"""Smoothed isotropic total variation, by sparse difference matrices."""

import numpy as np
from scipy import sparse


def differences(height, width):
    """Return D_x and D_y: forward differences, zero at the far border."""

    def forward(n):
        main = -np.ones(n)
        main[-1] = 0.0
        return sparse.diags_array([main, np.ones(n - 1)], offsets=[0, 1], shape=(n, n))

    dx = sparse.kron(sparse.eye_array(height), forward(width))
    dy = sparse.kron(forward(height), sparse.eye_array(width))
    return sparse.csr_array(dx), sparse.csr_array(dy)


def parts(u, epsilon):
    dx, dy = differences(*u.shape)
    ux, uy = dx @ u.ravel(), dy @ u.ravel()
    return dx, dy, ux, uy, np.sqrt(ux**2 + uy**2 + epsilon**2)


def energy(u, weight, epsilon):
    return np.sum(weight * parts(u, epsilon)[-1])


def gradient(u, weight, epsilon):
    dx, dy, ux, uy, s = parts(u, epsilon)
    return dx.T @ (weight * ux / s) + dy.T @ (weight * uy / s)


def hessian(u, weight, epsilon):
    """I + R″."""
    dx, dy, ux, uy, s = parts(u, epsilon)
    xx = sparse.diags_array(weight * (uy**2 + epsilon**2) / s**3)
    yy = sparse.diags_array(weight * (ux**2 + epsilon**2) / s**3)
    xy = sparse.diags_array(-weight * ux * uy / s**3)
    mixed = dx.T @ xy @ dy
    return sparse.eye_array(u.size) + dx.T @ xx @ dx + dy.T @ yy @ dy + mixed + mixed.T


def cross(u, weight, epsilon):
    """∂(∇R)/∂(log w)ᵀ for a map of weights: rows pixels, columns weights."""
    dx, dy, ux, uy, s = parts(u, epsilon)
    return dx.T @ sparse.diags_array(weight * ux / s) + dy.T @ sparse.diags_array(weight * uy / s)


def hessian_pattern(height, width):
    """Return indptr and indices of the seven points: above, above right, left, …, in order."""
    return _stencil(height, width, [(-1, 0), (-1, 1), (0, -1), (0, 0), (0, 1), (1, -1), (1, 0)])


def cross_pattern(height, width):
    """Return indptr and indices of the cross-Hessian of a weight map: above, left, itself."""
    return _stencil(height, width, [(-1, 0), (0, -1), (0, 0)])


def _stencil(height, width, offsets):
    indices = [
        (i + di) * width + j + dj
        for i in range(height)
        for j in range(width)
        for di, dj in offsets
        if 0 <= i + di < height and 0 <= j + dj < width
    ]
    counts = [
        sum(0 <= i + di < height and 0 <= j + dj < width for di, dj in offsets)
        for i in range(height)
        for j in range(width)
    ]
    return np.cumsum([0, *counts], dtype=np.int32), np.array(indices, dtype=np.int32)
