"""Inner products of functions as matrices: what `minimize` takes as ``inner=``."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from ..errors import NonFinite, StructureError
from .shapes import check_basis, skfem


def mass(basis: Any, *, lumped: bool = False, dofs: Any = None) -> sparse.csr_array:
    """Return M_ij = ∫ φ_i · φ_j, the inner product of L².

    Parameters
    ----------
    basis : of scikit-fem, on elements or facets
    lumped : bool
        Put the sum of each row on the diagonal: for bounds by projection, which need a diagonal.
    dofs : integer array, optional
        The numbers that are wanted, such as ``equation.control_dofs[name]``.

    Raises
    ------
    StructureError
        If a lumped entry is not positive, as that of a vertex of quadratic triangles is 0.
    """
    made = _kept(_form(basis, 1.0, 0.0), dofs)
    if not lumped:
        return made
    rows = np.asarray(made.sum(axis=1)).reshape(-1)
    if not (rows > 1e-12 * rows.max(initial=0.0)).all():
        raise StructureError(
            f"the lumped mass of number {int(np.argmin(rows))} is {rows.min():.1e}.",
            where="pde.mass",
            fix="lump elements of degree 1, or of degree 0, alone.",
        )
    return sparse.csr_array(sparse.diags_array(rows))


def h1(basis: Any, scale: float = 1.0, *, dofs: Any = None) -> sparse.csr_array:
    """Return ∫ φ_i · φ_j + ℓ² ∇φ_i : ∇φ_j, the inner product of H¹ with the length ℓ = ``scale``.

    Its Riesz map smooths gradients over the length ℓ.
    """
    return _kept(_form(basis, 1.0, _finite(scale) ** 2), dofs)


def stiffness(basis: Any, *, dofs: Any = None) -> sparse.csr_array:
    """Return ∫ ∇φ_i : ∇φ_j, for regularisation: positive semidefinite, constants have norm 0."""
    return _kept(_form(basis, 0.0, 1.0), dofs)


def _form(basis: Any, of_values: float, of_slopes: float) -> sparse.csr_array:
    check_basis(basis, "basis")

    def contracted(a: Any, b: Any) -> Any:
        product = np.asarray(a) * np.asarray(b)
        return product.sum(axis=tuple(range(product.ndim - 2)))

    def form(u: Any, v: Any, _: Any) -> Any:
        total = of_values * contracted(u, v) if of_values else 0.0
        return total + of_slopes * contracted(u.grad, v.grad) if of_slopes else total

    assembled = skfem("inner products").BilinearForm(form).assemble(basis)
    return sparse.csr_array(assembled)


def _kept(matrix: sparse.csr_array, dofs: Any) -> sparse.csr_array:
    if dofs is None:
        return matrix
    places = np.asarray(dofs)
    return sparse.csr_array(matrix[places][:, places])


def _finite(scale: float) -> float:
    if not np.isfinite(scale) or scale < 0:
        raise NonFinite(f"the length of H¹ is {scale}.", where="pde.h1", fix="give a length ≥ 0.")
    return float(scale)
