"""∂/∂xᵀ of conditions by products: shared parameters have no stored columns unless asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from ..linear.operator import Array
from .inputs import Inputs

Product = Callable[[Array], Array]


class CrossOperator(LinearOperator):  # type: ignore[misc]
    """B at a point, (n_y, n_x): ``forward`` is B ẋ, ``backward`` Bᵀ λ."""

    def __init__(self, shape: tuple[int, int], forward: Product, backward: Product) -> None:
        self.forward, self.backward = forward, backward
        super().__init__(np.dtype(np.float64), shape)

    def _matvec(self, x_dot: Array) -> Array:
        return self.forward(np.ravel(x_dot))

    def _rmatvec(self, adjoint: Array) -> Array:
        return self.backward(np.ravel(adjoint))


def assembled(operator: CrossOperator, inputs: Inputs, maps: Callable[[], sparse.csr_array]) -> Any:
    """Return B with its shared columns: a dense array, or CSR where there are maps too.

    maps : gives the entries of the parameters by index. Cost: a product for each shared parameter.
    """
    columns = inputs.shared
    dense = np.zeros((operator.shape[0], columns.size))
    for k, j in enumerate(columns):
        unit = np.zeros(operator.shape[1])
        unit[j] = 1.0
        dense[:, k] = operator.forward(unit)
    if not inputs.maps:
        whole = np.zeros(operator.shape)
        whole[:, columns] = dense
        return whole
    spread = sparse.csr_array(
        (np.ones(columns.size), (np.arange(columns.size), columns)),
        shape=(columns.size, operator.shape[1]),
    )
    kept = np.ones(operator.shape[1])
    kept[columns] = 0.0
    return maps() @ sparse.diags_array(kept) + sparse.csr_array(dense) @ spread
