"""Inner products of functions as matrices: what `minimize` takes as ``inner=``."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from ..errors import NonFinite, ShapeError, StructureError
from .shapes import check_basis, check_slopes, skfem


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
        If a lumped entry is not positive, as that of a vertex of quadratic triangles is 0; if the
        quadrature has too few points to tell the shape functions of an element apart.

    Notes
    -----
    The quadrature is the basis's: exact for straight cells where its ``intorder`` is twice the
    degree of the element, as it is by scikit-fem's default.
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

    Its Riesz map smooths gradients over the length ℓ. Raises as `mass` where the quadrature has too
    few points.
    """
    return _kept(_form(basis, 1.0, _finite(scale) ** 2), dofs)


def stiffness(basis: Any, *, dofs: Any = None) -> sparse.csr_array:
    """Return ∫ ∇φ_i : ∇φ_j, for regularisation: positive semidefinite, constants have norm 0."""
    return _kept(_form(basis, 0.0, 1.0), dofs)


def _form(basis: Any, of_values: float, of_slopes: float) -> sparse.csr_array:
    check_basis(basis, "basis")
    if of_slopes:
        check_slopes(basis, "pde.h1, pde.stiffness")
    if of_values:
        _check_quadrature(basis, of_slopes != 0.0)

    def contracted(a: Any, b: Any) -> Any:
        product = np.asarray(a) * np.asarray(b)
        return product.sum(axis=tuple(range(product.ndim - 2)))

    def form(u: Any, v: Any, _: Any) -> Any:
        total = of_values * contracted(u, v) if of_values else 0.0
        return total + of_slopes * contracted(u.grad, v.grad) if of_slopes else total

    assembled = skfem("inner products").BilinearForm(form).assemble(basis)
    return sparse.csr_array(assembled)


def _check_quadrature(basis: Any, slopes: bool) -> None:
    """Refuse points that leave some function of a cell out: the inner product would be singular."""
    if not isinstance(basis, skfem("inner products").CellBasis):
        return  # on facets, functions of the inside vanish
    rows = []
    for (shape,) in basis.basis:
        seen = [shape, shape.grad] if slopes else [shape]
        rows.append(np.concatenate([np.asarray(a)[..., 0, :].ravel() for a in seen]))
    rank = int(np.linalg.matrix_rank(np.array(rows)))
    if rank < len(rows):
        degree = 2 * int(basis.elem.maxdeg)
        raise StructureError(
            f"{len(basis.W)} points of quadrature cannot tell the {len(rows)} shape functions of "
            f"a cell apart, only {rank} of them: this is no inner product.",
            where="pde.mass, pde.h1",
            fix=f"make the basis with intorder={degree}, twice the degree of its element.",
        )


def _kept(matrix: sparse.csr_array, dofs: Any) -> sparse.csr_array:
    if dofs is None:
        return matrix
    places = np.asarray(dofs)
    if (
        places.dtype.kind in "iu"
        and places.size
        and not (-matrix.shape[0] <= places.min() and places.max() < matrix.shape[0])
    ):
        raise ShapeError(
            f"dofs holds {places.min()} to {places.max()}; the basis has {matrix.shape[0]}.",
            where="pde.mass, pde.h1, pde.stiffness",
            fix="give numbers of this basis, such as problem.free or problem.control_dofs[name].",
        )
    return sparse.csr_array(matrix[places][:, places])


def _finite(scale: float) -> float:
    if not np.isfinite(scale) or scale < 0:
        raise NonFinite(f"the length of H¹ is {scale}.", where="pde.h1", fix="give a length ≥ 0.")
    return float(scale)
