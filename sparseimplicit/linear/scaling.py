"""Rows and columns brought to like size: what a condition number is measured of."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..kernels import csr

Array = NDArray[np.float64]

NEAR: Final = 4.0  # decades that rows and columns may span and stay as they are
HALVINGS: Final = 8  # each halves these decades: 300 come down to 1
SWEEPS: Final = 10
EVEN: Final = 0.1  # of a logarithm: less is not worth another sweep


def equilibrated(entries: sparse.csr_array, *, symmetric: bool) -> tuple[Array, Array, float]:
    """Return r, c and ‖Ã‖ of Ã = diag(r)⁻¹ A diag(c)⁻¹, with rows and columns of like size.

    A symmetric matrix stays so. For any other three ways are tried: by the roots of the largest
    |entries| of rows and columns alike, by rows and then columns, by columns and then rows. From
    the most even one log |ã_ij| is evened out: a matrix of which only the rows
    were scaled, or only the columns, or both at random, comes back but for little. ‖·‖ is the
    largest row sum. Sources: Ruiz 2001; Curtis and Reid 1972.
    """
    ones = np.ones(entries.shape[0])
    largest, total, across = _sizes(entries, ones, ones)
    if max(_decades(largest), _decades(across)) < NEAR:
        return ones, ones, float(total.max(initial=0.0))
    rows, columns = _by_roots(entries)
    if symmetric:
        columns = rows
    else:
        by_rows, by_columns = _positive(largest), _positive(across)
        logs = _Logs(entries)
        ways = (
            (rows, columns),
            (by_rows, _positive(_sizes(entries, by_rows, ones)[2])),
            (_positive(_sizes(entries, ones, by_columns)[0]), by_columns),
        )
        rows, columns = logs.evened(*min(ways, key=lambda way: logs.variance(*way)))
    return rows, columns, float(_sizes(entries, rows, columns)[1].max())


def _by_roots(entries: sparse.csr_array) -> tuple[Array, Array]:
    rows, columns = np.ones(entries.shape[0]), np.ones(entries.shape[0])
    for _ in range(HALVINGS):
        largest, _, across = _sizes(entries, rows, columns)
        if max(_decades(largest), _decades(across)) < NEAR:
            break
        rows, columns = rows * np.sqrt(_positive(largest)), columns * np.sqrt(_positive(across))
    return rows, columns


class _Logs:
    """log |a_ij|, and how even it is less what was taken from rows and columns."""

    def __init__(self, entries: sparse.csr_array) -> None:
        held = entries.data != 0
        self.rows = np.repeat(np.arange(entries.shape[0]), np.diff(entries.indptr))[held]
        self.columns = entries.indices[held]
        self.logs = np.log(np.abs(entries.data[held]))

    def variance(self, rows: Array, columns: Array) -> float:
        return float(np.var(self.logs - np.log(rows)[self.rows] - np.log(columns)[self.columns]))

    def evened(self, rows: Array, columns: Array) -> tuple[Array, Array]:
        """Give each row, then each column, the mean of what the others leave it; some times."""
        r, c = np.log(rows), np.log(columns)
        for _ in range(SWEEPS):
            before, r = r, _means(self.logs - c[self.columns], self.rows, r)
            if np.abs(r - before).max() < EVEN:
                break
            c = _means(self.logs - r[self.rows], self.columns, c)
        return np.exp(r), np.exp(c)


def _means(values: Array, groups: NDArray[Any], otherwise: Array) -> Array:
    counts = np.bincount(groups, minlength=otherwise.size)
    sums = np.bincount(groups, values, minlength=otherwise.size)
    return np.where(counts > 0, sums / np.maximum(counts, 1), otherwise)


def _sizes(entries: sparse.csr_array, rows: Array, columns: Array) -> tuple[Array, Array, Array]:
    """Return row maxima, row sums and column maxima of |ã_ij|."""
    return csr.scaled_sizes(entries.indptr, entries.indices, entries.data, rows, columns)


def _decades(sizes: Array) -> float:
    held = sizes[sizes > 0]
    return float(np.log10(held.max()) - np.log10(held.min())) if held.size else 0.0


def _positive(sizes: Array) -> Array:
    return np.where(sizes > 0, sizes, 1.0)
