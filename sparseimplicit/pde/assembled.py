"""Root problems from a user's own assembly, and from matrices that are affine in the control."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from ..errors import ShapeError
from ..linear import Structure
from ..linear.entries import canonical
from ..problem import RootProblem
from .dirichlet import Split, fixed

Array = NDArray[np.float64]
Function = Callable[[Any, Any], Any]


def from_assembly(
    residual: Function,
    jacobian: Function,
    parameter_jacobian: Function,
    *,
    size: int,
    free: Any = None,
    values: Any = 0.0,
    second_order: Callable[..., Any] | None = None,
    structure: Structure | None = None,
    linear: bool = False,
) -> RootProblem:
    """Return a root problem in the free unknowns of a state whose assembly is the user's own.

    Parameters
    ----------
    residual, jacobian, parameter_jacobian : callable
        ``f(x, u)`` of all unknowns u, (size,), without boundary conditions: c, (size,); ∂c/∂u,
        (size, size), sparse; ∂c/∂x, (size, n_x), sparse, dense or a LinearOperator.
    size : int
        Number of all unknowns.
    free : integer array or mask, optional
        Those that are solved for; all by default. The state y of the problem holds these.
    values : number or array, (size − free,)
        Of the other unknowns, in ascending order.
    second_order : callable, optional
        ``f(x, u, adjoint, x_dot, u_dot)`` of all unknowns, as for `RootProblem`.
    structure : Structure, optional
        Of the Jacobian in the free unknowns.
    linear : bool
        Whether the residual is affine in u, as for `RootProblem`.

    Returns
    -------
    RootProblem

    Raises
    ------
    ShapeError
    """
    held = np.ones(size, dtype=bool)
    held[np.arange(size) if free is None else np.asarray(free)] = False
    split = Split(size, [fixed(held, values)], {}, 0)

    def state(x: Any, y: Any) -> Array:
        return split.state(np.asarray(x), np.asarray(y))

    def reduced(x: Any, y: Any) -> Array:
        whole = np.asarray(residual(x, state(x, y)))
        if whole.shape != (size,):
            raise ShapeError(
                f"the residual has shape {whole.shape}.",
                where="pde.from_assembly",
                fix=f"return shape ({size},): all unknowns, without boundary conditions.",
            )
        return np.asarray(whole[split.free])

    def square(x: Any, y: Any) -> Any:
        matrix = jacobian(x, state(x, y))
        if getattr(matrix, "shape", None) != (size, size):
            raise ShapeError(
                f"the Jacobian has shape {getattr(matrix, 'shape', None)}.",
                where="pde.from_assembly",
                fix=f"return a sparse matrix of shape ({size}, {size}).",
            )
        return canonical(matrix, None)[split.free][:, split.free]

    def cross(x: Any, y: Any) -> Any:
        matrix = parameter_jacobian(x, state(x, y))
        if isinstance(matrix, LinearOperator):
            return LinearOperator(
                (split.free.size, matrix.shape[1]),
                matvec=lambda v: np.asarray(matrix @ np.ravel(v))[split.free],
                rmatvec=lambda v: np.asarray(matrix.T @ split.padded(np.ravel(v))),
                dtype=np.float64,
            )
        if sparse.issparse(matrix):
            return sparse.csr_array(matrix)[split.free]
        return np.asarray(matrix)[split.free]

    def seconds(x: Any, y: Any, adjoint: Any, x_dot: Any, y_dot: Any) -> tuple[Any, Any]:
        assert second_order is not None  # noqa: S101 - the caller has looked
        pads = (split.padded(np.asarray(v)) for v in (adjoint, y_dot))
        weight, u_dot = pads
        by_x, by_u = second_order(x, state(x, y), weight, x_dot, u_dot)
        return by_x, np.asarray(by_u)[split.free]

    return RootProblem(
        residual=reduced, state_jacobian=square, parameter_jacobian=cross, structure=structure,
        second_order=None if second_order is None else seconds, linear=linear,
    )  # fmt: skip


def affine(
    matrices: Sequence[Any],
    load: Any,
    load_by_control: Any = None,
    *,
    free: Any = None,
    values: Any = 0.0,
    structure: Structure | None = None,
) -> RootProblem:
    """Return ``(K₀ + Σ_i x_i K_i) u = b + F x``: matrices that are affine in the control.

    Parameters
    ----------
    matrices : sequence of sparse arrays, shape (size, size)
        K₀, and K_i for each number of the control; only K₀ where the control is in the load.
    load : array, shape (size,)
        b.
    load_by_control : sparse or dense array, shape (size, n_x), optional
        F.
    free, values, structure :
        As for `from_assembly`.

    Returns
    -------
    RootProblem
        With exact second derivatives.

    Notes
    -----
    All matrices are kept on one pattern, so that symbolic work is done once; a weak form with a
    control in P0, `Equation`, serves where there is a matrix an element.
    """
    first, *others = [canonical(k, None) for k in matrices]
    size, count = first.shape[0], len(others)
    b = np.asarray(load, dtype=np.float64).reshape(-1)
    extra = None if load_by_control is None else sparse.csr_array(load_by_control)
    n_x = count if extra is None else extra.shape[1]
    sizes = {k.shape for k in (first, *others)} | {(b.size, b.size)}
    if sizes != {(size, size)} or (count and count != n_x) or (extra is not None and
                                                               extra.shape[0] != size):  # fmt: skip
        raise ShapeError(
            f"{1 + count} matrices of shapes {sorted(sizes)}, load of {b.size}, F of shape "
            f"{None if extra is None else extra.shape} do not fit.",
            where="pde.affine",
            fix="give K₀, then one matrix for each number of the control, all of one size.",
        )
    pattern = _ones(first)  # ones, that no entry cancels
    for k in others:
        pattern = _ones(sparse.csr_array(pattern + _ones(k)))
    data = np.stack([_on(k, pattern) for k in (first, *others)])

    def matrix(x: Any) -> sparse.csr_array:
        weights = np.concatenate([[1.0], np.asarray(x)[:count]])
        return sparse.csr_array((weights @ data, pattern.indices, pattern.indptr), pattern.shape)

    def columns(_x: Any, u: Any) -> Any:
        slopes = np.stack([k @ u for k in others], axis=1) if count else 0.0
        if extra is None:
            return slopes
        # The few numbers of the control have dense columns: so has their sum with F's.
        return slopes - extra.toarray() if count else -extra

    def residual(x: Any, u: Any) -> Array:
        out = matrix(x) @ u - b
        return np.asarray(out if extra is None else out - extra @ np.asarray(x))

    def seconds(_x: Any, _u: Any, adjoint: Any, x_dot: Any, u_dot: Any) -> tuple[Any, Any]:
        by_x = np.array([adjoint @ (k @ u_dot) for k in others]) if count else np.zeros(n_x)
        by_u = np.zeros(size)
        for weight, k in zip(np.asarray(x_dot)[:count], others, strict=True):
            by_u += weight * (k.T @ adjoint)
        return by_x, by_u

    return from_assembly(
        residual, lambda x, u: matrix(x), columns, size=size, free=free, values=values,
        second_order=seconds, structure=structure, linear=True,
    )  # fmt: skip


def _ones(matrix: sparse.csr_array) -> sparse.csr_array:
    return sparse.csr_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), matrix.shape)


def _on(matrix: sparse.csr_array, pattern: sparse.csr_array) -> Array:
    """Return the entries of a matrix on a larger pattern."""
    numbers = pattern.copy()
    numbers.data = np.arange(1.0, pattern.nnz + 1)
    places = numbers.multiply(_ones(matrix)).tocsr()
    out = np.zeros(pattern.nnz)
    places.sort_indices()
    out[places.data.astype(np.int64) - 1] = matrix.data
    return out
