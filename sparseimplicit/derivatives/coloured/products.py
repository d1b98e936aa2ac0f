"""Jacobians that are never stored: J v is one directional derivative; and how to have Jᵀ λ."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator

from ...errors import ShapeError, StructureError
from .jacobian import ColouredJacobian
from .steps import Array, Step

FEW = 32  # parameters that are taken as shared by all states, without a look at the pattern


class Products:
    """The LinearOperator of ∂f/∂z at (x, y).

    Parameters
    ----------
    step : Step
        In z: gives J v.
    transposed : Step, optional
        Gives Jᵀ λ. For a Hessian the step itself. For B = ∂²g/∂y∂xᵀ the step in y of g_x, as
        Bᵀ λ = d/dt g_x(x, y + t λ). Without it Jᵀ λ is made of J's columns, one at a time.
    max_columns : int
        How many columns may be made for one Jᵀ λ. 0: there is no Jᵀ λ.
    name : str

    Notes
    -----
    Cost of J v: one product. Of Jᵀ λ: one; by columns n_z of them, for any number of λ. Memory:
    some vectors.
    """

    def __init__(self, step: Step, transposed: Step | None, *, max_columns: int, name: str) -> None:
        self.step, self.transposed = step, transposed
        self.max_columns, self.name = max_columns, name
        self._compared = transposed is None

    def __call__(self, x: Array, y: Array) -> LinearOperator:
        """Return the operator at a copy of (x, y)."""
        x, y = x.copy(), y.copy()
        self.step.verify_once(x, y)
        if self.transposed is not None:
            self.transposed.verify_once(x, y)
        if not self._compared:
            self._compare(x, y)
            self._compared = True
        n = self.step.point(x, y).size
        return _ByProducts(self, x, y, (y.size, n))

    def forward(self, x: Array, y: Array, v: Array) -> Array:
        """Return J v, (n_y,)."""
        return self._sized(self.step, self.step.along(x, y, v), y.size)

    def backward(self, x: Array, y: Array, weights: Array) -> Array:
        """Return Jᵀ λ, (n_z, k), for λ (n_y, k)."""
        n = self.step.point(x, y).size
        if self.transposed is not None:
            back = [self.transposed.along(x, y, column) for column in weights.T]
            for column in back:
                self._sized(self.transposed, column, n)
            return np.stack(back, axis=1) if back else np.zeros((n, 0))
        if n > self.max_columns:
            raise StructureError(
                f"the contraction needs Bᵀ λ, which would take {n} products, one for each column; "
                f"the limit is {self.max_columns}.",
                where=self.name,
                fix="give parameter_gradient= (g_x, of shape (n_x,)): one product then; or the "
                "pattern of a sparse matrix; or write local terms."
                if self.max_columns
                else "the transpose of a state Jacobian needs its entries: give its pattern.",
            )
        out = np.empty((n, weights.shape[1]))
        for j in range(n):
            seed = np.zeros(n)
            seed[j] = 1.0
            out[j] = self.forward(x, y, seed) @ weights
        return out

    def _compare(self, x: Array, y: Array) -> None:
        """Hold ⟨λ, J v⟩ = ⟨Jᵀ λ, v⟩ for random λ and v, where Jᵀ has a step of its own."""
        rng = np.random.default_rng(4)
        v, weight = rng.standard_normal(self.step.point(x, y).size), rng.standard_normal(y.size)
        ahead = self.forward(x, y, v)
        back = self.backward(x, y, weight[:, None])[:, 0]
        scale = float(np.abs(weight) @ np.abs(ahead) + np.abs(back) @ np.abs(v))
        error = abs(float(weight @ ahead) - float(back @ v))
        if error <= 10 * self.step.tolerance * scale:
            return
        if self.transposed is None or self.transposed is self.step:
            raise StructureError(
                f"the derivative of {self.step.name} is not symmetric: ⟨w, H v⟩ and ⟨H w, v⟩ "
                f"differ by {error / scale:.1e}.",
                where=self.name,
                fix="it is no gradient of an objective then: correct it, or use from_residual.",
            )
        raise StructureError(
            f"{self.transposed.name} and {self.step.name} are not derivatives of one objective: "
            f"⟨λ, B ẋ⟩ and ⟨Bᵀ λ, ẋ⟩ differ by {error / scale:.1e}.",
            where=self.name,
            fix=f"{self.transposed.name} must be g_x(x, y), and {self.step.name} g_y(x, y).",
        )

    @staticmethod
    def _sized(step: Step, product: Array, n: int) -> Array:
        if product.size != n:
            raise ShapeError(f"{step.name}(x, y) has {product.size} entries.",
                             fix=f"return shape ({n},).")  # fmt: skip
        return product


class _ByProducts(LinearOperator):  # type: ignore[misc]
    """One Jacobian at one point."""

    def __init__(self, jacobian: Products, x: Array, y: Array, shape: tuple[int, int]) -> None:
        super().__init__(dtype=np.float64, shape=shape)
        self._jacobian, self._x, self._y = jacobian, x, y

    def _matvec(self, v: Any) -> Array:
        v = np.asarray(v, dtype=np.float64).reshape(-1)
        return self._jacobian.forward(self._x, self._y, v)

    def _rmatvec(self, v: Any) -> Array:
        return self._rmatmat(np.asarray(v, dtype=np.float64).reshape(-1, 1))[:, 0]

    def _rmatmat(self, v: Any) -> Array:
        return self._jacobian.backward(self._x, self._y, np.asarray(v, dtype=np.float64))


class ParameterJacobian:
    """B without a pattern: products where it is dense, else by the colours of what NaN finds.

    Up to `FEW` parameters, or where a fourth of all places has entries, B is never stored.
    """

    def __init__(self, coloured: ColouredJacobian, products: Products) -> None:
        self.coloured, self.products = coloured, products
        self._chosen: ColouredJacobian | Products | None = None

    def __call__(self, x: Array, y: Array) -> Any:
        """Return B at (x, y)."""
        if self._chosen is None:
            self._chosen = self._choice(x, y)
        return self._chosen(x, y)

    def _choice(self, x: Array, y: Array) -> ColouredJacobian | Products:
        if x.size <= FEW:
            return self.products
        found = self.coloured.found(x, y)
        if 4 * found.nnz > x.size * y.size:
            return self.products
        return self.coloured.with_pattern(found)
