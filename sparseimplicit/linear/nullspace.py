"""The null vectors of a sparse matrix, found with a sparse factorization; nothing is made dense."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import linalg, sparse

from .._optional import available
from ..errors import SparseImplicitError
from .loads import FREE_CONSTANT, SHOWN, Blocks, loads
from .method import PreparedMethod
from .operator import Array, Operator, Structure
from .solvers import Pardiso, SuperLU

TOLERANCE: Final = 1e-11  # ‖Ã v‖ below it times ‖Ã‖, Ã equilibrated: a null vector
SHIFT: Final = 1e-12  # times ‖Ã‖, on the diagonal: pivots that vanish become small ones
ITERATIONS: Final = 3


@dataclass(frozen=True)
class NullSpace:
    """Vectors with A v ≈ 0 (right) and uᵀA ≈ 0 (left), as orthonormal columns (n, m).

    sizes : ‖Ã v‖ / ‖Ã‖ of each, measured with the matrix itself, rows and columns brought to
        size 1. complete : whether there are no more than these. how : how they were found, or why
        none could be looked for. least : the smallest such size that is no null vector's, where
        measured: ‖Ã⁻¹‖ ‖Ã‖ is at least its inverse.
    """

    right: Array
    left: Array
    sizes: Array
    complete: bool
    how: str
    least: float | None = None

    @property
    def dimension(self) -> int:
        """The number of vectors found."""
        return int(self.right.shape[1])

    def first(self, count: int) -> NullSpace:
        """Return the ``count`` vectors of least size, as a null space not known to be all."""
        return replace(
            self, right=self.right[:, :count], left=self.left[:, :count],
            sizes=self.sizes[:count], complete=self.complete and count == self.dimension,
        )  # fmt: skip

    def told(self, blocks: Blocks | None = None, grid: tuple[int, ...] | None = None) -> str:
        """Say how many vectors there are, and which unknowns they load."""
        shown = "; ".join(loads(v, blocks, grid) for v in self.localised().T[:SHOWN])
        many = f"{self.dimension}{'' if self.complete else ' or more'} null vector"
        return f"{many}{'' if many.startswith('1 n') else 's'}: {shown}"

    def remedy(self) -> str:
        """Say what would determine the unknowns that are free."""
        localised = self.localised()
        even = all(np.ptp(v[np.abs(v) > 1e-6]) <= 1e-6 for v in localised.T)
        if even and np.count_nonzero(np.abs(localised[:, 0]) > 1e-6) > 1:
            return FREE_CONSTANT
        if self.dimension > 1:
            return (
                f"{self.dimension} movements are free: fix as many unknowns, or add the missing "
                "term."
            )
        return "fix one of these unknowns, or add the term that determines it."

    def localised(self) -> Array:
        """Return the right vectors combined so that each loads few unknowns, largest load 1.

        Each is 1 at one of m unknowns, chosen far apart, and 0 at the others: where the null space
        is spanned by vectors of separate components, these come out one by one.
        """
        if self.dimension == 0:
            return self.right
        _, pivots = linalg.qr(self.right.T, mode="r", pivoting=True)
        pure = self.right @ np.linalg.inv(self.right[pivots[: self.dimension]])
        return np.asarray(pure / np.abs(pure).max(axis=0))


def null_space(operator: Operator, *, most: int = 8) -> NullSpace:
    """Find up to ``most`` null vectors by inverse iteration on AᵀA and A Aᵀ.

    Parameters
    ----------
    operator : Operator
        With entries.
    most : int
        Columns iterated at once; as many null vectors or more make the answer incomplete.

    Notes
    -----
    Cost: one sparse factorization of A with its diagonal shifted by 1e-12 ‖A‖, 12 ``most`` solves.
    The shift only steers: what counts as a null vector is measured with A.
    """
    n = operator.n
    none = np.zeros((n, 0))
    if operator.entries is None:
        return NullSpace(none, none, np.zeros(0), False, "products alone: not looked for")
    if n == 0:
        return NullSpace(none, none, np.zeros(0), True, "no unknowns")
    rows, columns, size = operator.equilibration()
    if size == 0:
        unit = np.eye(n, min(most, n))
        return NullSpace(unit, unit, np.zeros(unit.shape[1]), n <= most, "the matrix is zero")
    scaled = operator.entries.copy()
    scaled.data /= np.repeat(rows, np.diff(scaled.indptr))
    scaled.data /= columns[scaled.indices]
    scaled.data /= size  # 1 from here on
    try:
        method, how = _factor(scaled)
        right, sizes = _smallest(scaled, method, min(most, n), transposed=False)
        left = right
        if not operator.structure.symmetric:
            left, _ = _smallest(scaled, method, min(most, n), transposed=True)
    except (SparseImplicitError, np.linalg.LinAlgError) as error:
        told = f"no factorization: {getattr(error, 'what', error)}"
        return NullSpace(none, none, np.zeros(0), False, told)
    count = int(min((sizes <= TOLERANCE).sum(), left.shape[1]))
    return NullSpace(
        _orthonormal(right[:, :count] / columns[:, None]),
        _orthonormal(left[:, :count] / rows[:, None]),
        sizes[:count],
        count < min(most, n) or count == n,
        how,
        float(sizes[count]) if count < sizes.size else None,
    )


def _factor(scaled: sparse.csr_array) -> tuple[PreparedMethod, str]:
    shifted = sparse.csr_array(scaled + SHIFT * sparse.eye_array(scaled.shape[0]))
    solver = Pardiso() if available("pypardiso") else SuperLU()
    # General, also where it is symmetric: the pivots of L U are the more trustworthy.
    method = solver._prepare(Operator(shifted, Structure.GENERAL), None)
    return method, f"inverse iteration with a factor by '{solver.label}'"


def _smallest(
    scaled: sparse.csr_array, method: PreparedMethod, count: int, *, transposed: bool
) -> tuple[Array, Array]:
    """Return the ``count`` smallest singular vectors, sorted, with their singular values."""
    there, back = method._solve, method._solve_adjoint
    matrix = scaled
    if transposed:
        there, back, matrix = back, there, sparse.csr_array(scaled.T)
    v = _orthonormal(np.random.default_rng(0).standard_normal((scaled.shape[0], count)))
    loose = np.ones(count)
    for _ in range(ITERATIONS):
        v = _orthonormal(there(_orthonormal(back(v, loose).value), loose).value)
    _, values, turn = np.linalg.svd(matrix @ v, full_matrices=False)
    order = np.argsort(values)
    return v @ turn.T[:, order], values[order]


def _orthonormal(v: Array) -> Array:
    if v.shape[1] == 0:
        return v
    largest = np.abs(v).max(axis=0)
    q, _ = np.linalg.qr(v / np.where(largest > 0, largest, 1.0))
    return np.asarray(q)
