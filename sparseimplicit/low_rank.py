"""Leading eigenpairs of a Hessian against an inner product, ``H v = σ M v``, by its products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy import linalg, sparse

from .errors import NonFinite, NotPositiveDefinite, ShapeError, StructureError
from .linear import Operator, Structure, prepare
from .linear.checks import check_count
from .linear.operator import Array
from .reduced_hessian import ReducedHessian

WHERE: Final = "low_rank"
RIESZ_RTOL: Final = 1e-8  # M⁻¹ shapes the subspace alone, not the eigenvalues in it
SYMMETRIC: Final = 1e-4  # relative asymmetry of QᵀHQ; that of solves to 1e-8 is far below
Block = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class LowRank:
    """H ≈ M U diag(σ) Uᵀ M, with Uᵀ M U = I.

    Attributes
    ----------
    eigenvalues : array, shape (r,)
        σ, those of largest magnitude, by falling magnitude.
    vectors : array, shape (n, r)
        U, orthonormal in M.
    left_out : float or None
        The next eigenvalue, roughly: what the approximation misses is of this size. None where
        there is none.
    products : int
        Products with H.
    asymmetry : float
        Of QᵀHQ, relative to its largest entry: the size of the errors in the products.
    """

    eigenvalues: Array
    vectors: Array
    left_out: float | None
    products: int
    asymmetry: float


def low_rank(
    hessian: ReducedHessian | Any,
    rank: int,
    *,
    inner: Any = None,
    oversampling: int = 10,
    seed: int = 0,
) -> LowRank:
    """Find the leading eigenpairs of ``H v = σ M v`` by random directions, in two passes.

    Where H is the Hessian of a misfit and M the precision of a Gaussian prior, (M + H)⁻¹ ≈ M⁻¹ −
    U diag(σ/(1 + σ)) Uᵀ is the covariance of Laplace's approximation of the posterior.

    Parameters
    ----------
    hessian : ReducedHessian, or symmetric matrix or LinearOperator, shape (n, n)
    rank : int
        r, from 1 to n.
    inner : sparse or dense matrix, diagonal (n,), or object with ``apply`` and ``riesz``, optional
        M, symmetric positive definite; ``riesz`` is M⁻¹. Default: the identity.
    oversampling : int
        p, random directions beyond r; r + p above n is n, which is exact.
    seed : int
        Of the random directions.

    Returns
    -------
    LowRank

    Raises
    ------
    ShapeError, NonFinite
    NotPositiveDefinite
        If M is not.
    StructureError
        If H shows to be not symmetric.

    Notes
    -----
    Cost: 2 (r + p) products with H in two blocks, which for a `ReducedHessian` are four solves a
    direction; r + p solves with M; room for four blocks (n, r + p).
    Eigenvalues err by about the square of σ_{r+p+1}/σ_r, vectors by that ratio: where the spectrum
    falls slowly, take more oversampling.
    Source: Villa, Petra, Ghattas 2021, "hIPPYlib", ACM TOMS 47(2), algorithm "double pass";
    Saibaba, Lee, Kitanidis 2016, doi:10.1002/nla.2026. M-orthogonalisation by QR and Cholesky.

    Examples
    --------
    >>> import numpy as np, sparseimplicit as si
    >>> found = si.low_rank(np.diag([8.0, 1.0, 0.5]), rank=2, inner=np.array([4.0, 1.0, 1.0]))
    >>> found.eigenvalues.round(6)
    array([2., 1.])
    """
    apply, n = _products(hessian)
    check_count(rank, "rank", WHERE)
    check_count(oversampling, "oversampling", WHERE, least=0)
    if rank > n:
        raise ShapeError(f"rank is {rank}; the Hessian has {n} rows.", where=WHERE)
    metric, riesz = _metric(inner, n)
    samples = min(rank + oversampling, n)
    omega = np.random.default_rng(seed).standard_normal((n, samples))
    q = _orthonormal(riesz(apply(omega)), metric)
    small = q.T @ apply(q)
    size = float(np.max(np.abs(small)))
    asymmetry = float(np.max(np.abs(small - small.T))) / size if size else 0.0
    if asymmetry > SYMMETRIC:
        raise StructureError(
            f"the Hessian is not symmetric: QᵀHQ is off by {asymmetry:.1e} of its largest entry.",
            where=WHERE,
            fix="see verify.hessian_symmetry and verify.hessian_taylor; if these are small, lower "
            "the rtol of reduced_hessian.",
        )
    values, rotation = linalg.eigh(0.5 * (small + small.T))
    order = np.argsort(-np.abs(values), kind="stable")
    kept = order[:rank]
    left_out = float(values[order[rank]]) if samples > rank else None
    return LowRank(values[kept], q @ rotation[:, kept], left_out, 2 * samples, asymmetry)


def _products(hessian: Any) -> tuple[Block, int]:
    """Return v ↦ H v of blocks, finite, and n."""
    if isinstance(hessian, ReducedHessian):
        given, n = hessian.apply, hessian.shape[0]
    else:
        operator = hessian if isinstance(hessian, Operator) else Operator(hessian)
        given, n = operator.apply, operator.n

    def apply(v: Array) -> Array:
        product = np.asarray(given(np.ascontiguousarray(v)))
        if not np.isfinite(product).all():
            raise NonFinite("a product with the Hessian is not finite.", where=WHERE)
        return product

    return apply, n


def _metric(inner: Any, n: int) -> tuple[Block, Block]:
    """Return v ↦ M v and g ↦ M⁻¹ g, of blocks."""
    if inner is None:
        return (lambda v: v), (lambda g: g)
    if callable(getattr(inner, "apply", None)) and callable(getattr(inner, "riesz", None)):
        return _by_columns(inner.apply, n, "apply"), _by_columns(inner.riesz, n, "riesz")
    if not (sparse.issparse(inner) or isinstance(inner, Operator)) and np.ndim(inner) == 1:
        diagonal = np.asarray(inner, dtype=np.float64)[:, None]
        if diagonal.shape[0] != n or not (np.isfinite(diagonal).all() and (diagonal > 0).all()):
            raise NotPositiveDefinite(
                f"the diagonal `inner` has {diagonal.shape[0]} numbers, or some are not positive.",
                where=WHERE,
                fix=f"give {n} positive, finite numbers.",
            )
        return (lambda v: diagonal * v), (lambda g: g / diagonal)
    operator = inner if isinstance(inner, Operator) else Operator(
        inner, structure=Structure.POSITIVE_DEFINITE
    )  # fmt: skip
    if operator.n != n:
        raise ShapeError(
            f"`inner` has {operator.n} rows, the Hessian {n}.",
            where=WHERE,
            fix=f"give a matrix of shape ({n}, {n}).",
        )
    system = prepare(operator, rtol=RIESZ_RTOL)
    return operator.apply, lambda g: system.solve(g, rtol=RIESZ_RTOL).value


def _by_columns(given: Callable[[Array], Any], n: int, name: str) -> Block:
    def run(v: Array) -> Array:
        columns = [np.asarray(given(column.copy()), dtype=np.float64) for column in v.T]
        if any(column.shape != (n,) for column in columns):
            raise ShapeError(f"`{name}` of `inner` must return shape ({n},).", where=WHERE)
        return np.stack(columns, axis=1)

    return run


def _orthonormal(y: Array, metric: Block) -> Array:
    """Return a basis of the columns, orthonormal in M, also where they depend on one another.

    QR first, then Cholesky of the Gram matrix in M, twice: the second takes what a badly
    conditioned M leaves.
    """
    q = linalg.qr(y, mode="economic")[0]
    for _ in range(2):
        gram = q.T @ metric(q)
        try:
            factor = linalg.cholesky(0.5 * (gram + gram.T), lower=True)
        except linalg.LinAlgError as error:
            raise NotPositiveDefinite(
                f"the inner product is not positive definite in {q.shape[1]} directions ({error}).",
                where=WHERE,
                fix="give a symmetric positive definite matrix, or a positive diagonal.",
            ) from error
        q = linalg.solve_triangular(factor, q.T, lower=True).T
    return np.ascontiguousarray(q)
