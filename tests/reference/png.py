"""PNG's line filters, byte by byte, as the specification words them."""

import numpy as np


def paeth(a, b, c):
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]


def guess(kind, a, b, c):
    return (0, a, b, (a + b) // 2, paeth(a, b, c))[kind]


def filtered(raw, kinds, step):
    """Return lines (h, 1 + n) that `unfilter` turns into raw (h, n), by the filters ``kinds``."""
    padded = np.zeros((raw.shape[0] + 1, raw.shape[1] + step), dtype=int)
    padded[1:, step:] = raw
    out = np.empty((raw.shape[0], raw.shape[1] + 1), dtype=np.uint8)
    for i, kind in enumerate(kinds):
        out[i, 0] = kind
        for j in range(raw.shape[1]):
            a, b, c = padded[i + 1, j], padded[i, j + step], padded[i, j]
            out[i, j + 1] = (padded[i + 1, j + step] - guess(kind, a, b, c)) % 256
    return out
