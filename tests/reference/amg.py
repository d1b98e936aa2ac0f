"""The parts of algebraic multigrid, by dense algebra."""

import numpy as np


def smoothers(a, chunk, both):
    """Return M₁ = L + D and M₂ = D + U, L and U inside the chunks, half of |others| on D.

    Both are M = (L + D) D⁻¹ (D + U) if both sweeps are wanted.
    """
    n = len(a)
    number = np.arange(n) // chunk
    inside = np.where(np.equal.outer(number, number), a, 0.0)
    outside = np.abs(a - inside).sum(axis=1)
    main = np.diag(a)
    raised = main + np.where(main > 0, 0.5, -0.5) * outside
    d = np.diag(np.where(main == 0, np.abs(a).sum(axis=1), raised))
    forward, backward = np.tril(inside, -1) + d, d + np.triu(inside, 1)
    product = forward @ np.linalg.inv(d) @ backward
    return (product, product) if both else (forward, backward)


def cycle(matrices, transfers, chunks, both):
    """Return M⁻¹ of a V-cycle: one smoothing before, one after, the coarsest level exactly."""
    inverse = np.linalg.pinv(matrices[-1])
    levels = list(zip(matrices[:-1], transfers, chunks, strict=True))
    for a, (p, r), chunk in reversed(levels):
        before, after = (np.linalg.inv(m) for m in smoothers(a, chunk, both))
        x = before + p @ inverse @ r @ (np.eye(len(a)) - a @ before)
        inverse = after + (np.eye(len(a)) - after @ a) @ x
    return inverse


def strong(a, theta):
    """Return the mask of strong couplings."""
    size = np.abs(a - np.diag(np.diag(a)))
    return (size > 0) & (size >= theta * size.max(axis=1, keepdims=True))


def classical(a, theta, coarse):
    """Return P of modified classical interpolation, entry by entry."""
    near = strong(a, theta)
    p = np.zeros((len(a), coarse.max() + 1))
    for i in range(len(a)):
        if coarse[i] >= 0:
            p[i, coarse[i]] = 1.0
            continue
        kept = [j for j in range(len(a)) if near[i, j] and coarse[j] >= 0]
        under, weights = a[i, i], {j: a[i, j] for j in kept}
        for k in range(len(a)):
            if k == i or k in weights:
                continue
            other = {j: a[k, j] if a[k, j] * a[k, k] < 0 else 0.0 for j in kept}
            if not near[i, k] or sum(other.values()) == 0.0:
                under += a[i, k]
                continue
            for j in kept:
                weights[j] += a[i, k] * other[j] / sum(other.values())
        for j in kept:
            p[i, coarse[j]] = -weights[j] / under
    return p
