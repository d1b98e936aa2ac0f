"""Symmetric matrices that are never assembled, but know their products and their diagonal."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from ..kernels.vectors import dot

Array = NDArray[np.float64]


class MatrixFree(LinearOperator):  # type: ignore[misc]
    """A real symmetric matrix by its products; what is written is `multiply` and `diagonal`.

    grid : shape of the regular grid whose points, row by row, are the unknowns.
    """

    grid: tuple[int, ...]

    def __init__(self, n: int) -> None:
        super().__init__(dtype=np.float64, shape=(n, n))

    @abstractmethod
    def multiply(self, v: Array, out: Array) -> Array:
        """out = A v for contiguous v (n,) and out (n,); returns out."""

    @abstractmethod
    def diagonal(self) -> Array:
        """Return the diagonal, (n,)."""

    def multiply_and_dot(self, v: Array, out: Array) -> float:
        """out = A v; return vᵀ A v."""
        return dot(v, self.multiply(v, out))

    def expect(self, products: int) -> None:
        """Take note that about so many products will follow: a matrix may prepare for them."""
        del products

    def _matvec(self, x: Array) -> Array:
        v = np.ascontiguousarray(x, dtype=np.float64).reshape(-1)
        return self.multiply(v, np.empty_like(v))

    _rmatvec = _matvec

    def _matmat(self, X: Array) -> Array:
        return np.stack([self._matvec(X[:, k]) for k in range(X.shape[1])], axis=1)

    _rmatmat = _matmat

    def _adjoint(self) -> MatrixFree:
        return self

    _transpose = _adjoint
