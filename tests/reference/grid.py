"""Stencils, black-box transfers and blocks of lines, by sparse and dense matrices."""

import numpy as np
from scipy import sparse


def assembled(coefficients, offsets, shape):
    """The matrix of half a stencil: array k couples i and i + offset, counted round the border."""
    n = int(np.prod(shape))
    number = np.arange(n).reshape(shape)
    total = sparse.csr_array(sparse.diags_array(coefficients[0]))
    for c, offset in zip(coefficients[1:], offsets[1:], strict=True):
        other = np.roll(number, tuple(-np.array(offset)), axis=(0, 1, 2)).ravel()
        half = sparse.coo_array((c, (np.arange(n), other)), shape=(n, n)).tocsr()
        total = total + half + half.T
    return sparse.csr_array(total)


def interpolation(matrix, shape, steps):
    """Dendy's transfer, point by point; of a grid that is not periodic."""
    matrix = matrix.toarray()
    coarse = [-(-size // step) for size, step in zip(shape, steps, strict=True)]
    points = list(np.ndindex(*shape))
    rows = np.zeros((len(points), int(np.prod(coarse))))
    odd = [tuple(i % s for i, s in zip(p, steps, strict=True)) for p in points]
    for i in sorted(range(len(points)), key=lambda i: sum(odd[i])):
        if not any(odd[i]):
            at = [c // s for c, s in zip(points[i], steps, strict=True)]
            rows[i, np.ravel_multi_index(at, coarse)] = 1.0
            continue
        center = 0.0
        for j in np.flatnonzero(matrix[i]):
            step = np.subtract(points[j], points[i]) * odd[i]  # other axes are summed over
            if not step.any():
                center += matrix[i, j]
            else:
                to = np.ravel_multi_index(np.add(points[i], step), shape)
                rows[i] -= matrix[i, j] * rows[to]
        rows[i] /= center
    return rows


def block_solve(matrix, shape, axis, size, shift, r):
    """Solve with the blocks of lines alone, nothing coupled round a border."""
    at = np.array(np.unravel_index(np.arange(matrix.shape[0]), shape))
    block = [(at[a] + shift[a]) // size[a] for a in range(3) if a != axis]
    same = np.all([b[:, None] == b[None, :] for b in block], axis=0)
    near = np.max(np.abs(at[:, :, None] - at[:, None, :]), axis=0) <= 1
    return np.linalg.solve(matrix.toarray() * same * near, r)
