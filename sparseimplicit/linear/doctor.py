"""The doctor: what is wrong with a matrix, where, and what to do; it never raises for one."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ..errors import NotPositiveDefinite, SingularSystem, SparseImplicitError, StructureError
from ..kernels.csr import first_asymmetry, row_sizes
from .checks import checked_columns
from .contract import Solver
from .diagnosis import Diagnosis, Finding
from .evident import flaws
from .loads import Blocks, loads
from .nullspace import NullSpace, null_space
from .operator import SYMMETRY_TOLERANCE, Operator, Structure
from .preconditioners import Jacobi
from .reports import Reason
from .solvers import CG, SuperLU

LANCZOS_STEPS: Final = 80
ILL_CONDITIONED: Final = 1e10  # fewer than six of sixteen digits are left
WIDE_SCALES: Final = 10.0  # decades from the smallest row to the largest
SMALLEST: Final = float(np.finfo(float).tiny)  # numbers below it have fewer digits


def diagnose(
    matrix: Any,
    b: Any = None,
    *,
    structure: Structure | None = None,
    blocks: Blocks | None = None,
    grid: tuple[int, ...] | None = None,
) -> Diagnosis:
    """Examine a matrix, and a right-hand side for it, and say what is wrong.

    Parameters
    ----------
    matrix : sparse or dense array, LinearOperator or Operator, shape (n, n)
    b : array, shape (n,), optional
        Held against the null vectors, if there are any (Fredholm).
    structure : Structure, optional
        What the matrix should be; by default what an Operator declares.
    blocks : mapping of names to slices or (start, stop), optional
        Parts of the unknowns, by which findings name them.
    grid : tuple of int, optional
        Shape of the grid of unknowns: findings then name its points.

    Returns
    -------
    Diagnosis

    Notes
    -----
    Cost: some passes over the entries, 80 steps of CG, and one sparse LU of the matrix for its
    null vectors. Nothing is made dense.
    """
    if structure is None and isinstance(matrix, Operator):
        structure = matrix.structure
    return _Examination(blocks, grid).of(matrix, b, structure)


class _Examination:
    def __init__(self, blocks: Blocks | None, grid: tuple[int, ...] | None) -> None:
        self.blocks, self.grid = blocks, grid
        self.findings: list[Finding] = []
        self.condition: float | None = None
        self.examined = True
        self.space: NullSpace | None = None

    def of(self, matrix: Any, b: Any, declared: Structure | None) -> Diagnosis:
        try:
            source = matrix.source if isinstance(matrix, Operator) else matrix
            operator = Operator(source, Structure.GENERAL)
        except SparseImplicitError as error:
            self.note("error", error.what, error.fix, type(error))
            return self.diagnosis(f"matrix of shape {getattr(matrix, 'shape', None)}")
        subject = f"{operator.n} unknowns"
        if operator.entries is None:
            self.examined = False
            self.note("note", "products alone: only entries can be examined")
            return self.diagnosis(subject)
        subject += f", {operator.entries.nnz} entries"
        if operator.n:
            self.scales(operator)
            self.parts(operator)
            operator = self.symmetry(operator, declared)
            self.rows(operator)
            self.definiteness(operator, declared)
            self.null_vectors(operator, b)
        return self.diagnosis(subject)

    def note(
        self,
        severity: str,
        what: str,
        fix: str | None = "",
        raises: type[SparseImplicitError] = StructureError,
    ) -> None:
        error = raises if severity == "error" else None
        self.findings.append(Finding(severity, what, fix or "", error))

    def diagnosis(self, subject: str) -> Diagnosis:
        findings = tuple(self.findings)
        return Diagnosis(subject, findings, self.examined, self.condition, self.space)

    def conditioned(self, at_least: float) -> None:
        self.condition = max(at_least, self.condition or 0.0)

    def where(self, unknowns: Any, n: int) -> str:
        vector = np.zeros(n)
        vector[unknowns] = 1.0
        return loads(vector, self.blocks, self.grid)

    def rows(self, operator: Operator) -> None:
        for cause in flaws(operator, self.blocks, self.grid):
            self.note("error", cause.what, cause.fix, SingularSystem)

    def scales(self, operator: Operator) -> None:
        entries = operator.entries
        largest, _ = row_sizes(entries.indptr, entries.data)
        held = np.flatnonzero(largest)
        if not held.size:
            return
        small, big = held[largest[held].argmin()], int(largest.argmax())
        span = np.log10(largest[big]) - np.log10(largest[small])
        if span > WIDE_SCALES:
            self.note(
                "warning",
                f"rows span {span:.0f} decades: row {small} has entries up to "
                f"{largest[small]:.1e}, row {big} up to {largest[big]:.1e}",
                "bring the unknowns to comparable units: residuals see the large rows only.",
            )
        if largest[small] < SMALLEST:
            self.note(
                "error",
                f"row {small} has no entry above {largest[small]:.1e}: numbers below "
                f"{SMALLEST:.1e} have lost digits, and answers overflow",
                "multiply the row, or the whole matrix, by a power of ten.",
                SingularSystem,
            )

    def parts(self, operator: Operator) -> None:
        count, labels = connected_components(operator.entries, directed=False)
        if count > 1:
            sizes = np.bincount(labels)
            self.note(
                "note", f"{count} unconnected parts, of {sizes.min()} to {sizes.max()} unknowns"
            )

    def symmetry(self, operator: Operator, declared: Structure | None) -> Operator:
        a = operator.entries
        if not (sparse.tril(a, -1).count_nonzero() and sparse.triu(a, 1).count_nonzero()):
            if sparse.tril(a, -1).count_nonzero() + sparse.triu(a, 1).count_nonzero():
                self.note(
                    "error" if declared is not None and declared.symmetric else "warning",
                    "only one triangle is stored: as it stands the matrix is triangular",
                    "if it is symmetric, give A + A.T − diag(A).",
                )
            elif declared is None:
                return Operator(a, Structure.SYMMETRIC)
            return operator
        difference = abs(a - a.T)
        size = float(difference.max())
        if size == 0:
            return Operator(a, Structure.SYMMETRIC)
        meant = declared is not None and declared.symmetric
        rounding = first_asymmetry(a.indptr, a.indices, a.data, SYMMETRY_TOLERANCE)[0] < 0
        largest = float(np.abs(a.data).max())
        i, j = np.unravel_index(int(difference.tocsr().argmax()), a.shape)
        words = (
            f"entry ({i}, {j}) and ({j}, {i}) differ by {size:.1e}, the largest is {largest:.1e}"
        )
        if size <= 1e-6 * largest:
            # A matrix declared symmetric is refused by every solver if this is no rounding.
            self.note(
                "note" if rounding else "error" if meant else "warning",
                f"symmetric but for {'rounding' if rounding else 'a small part'}: {words}",
                "" if rounding else "symmetrise with (A + A.T)/2 if it should be symmetric.",
            )
            return Operator(sparse.csr_array((a + a.T) / 2), Structure.SYMMETRIC)
        if meant:
            self.note("error", f"declared symmetric, and is not so: {words}")
        else:
            self.note("note", f"not symmetric: {words}")
        return operator

    def definiteness(self, operator: Operator, declared: Structure | None) -> None:
        if not operator.structure.symmetric:
            return
        wanted = declared is Structure.POSITIVE_DEFINITE
        diagonal = operator.diagonal
        low = np.flatnonzero(diagonal <= 0)
        if low.size:
            self.note(
                "error" if wanted else "note",
                f"not positive definite: {low.size} diagonal entries ≤ 0, at "
                f"{self.where(low, operator.n)}",
                "at an argmin y is no strict minimiser; declare Structure.SYMMETRIC otherwise.",
                NotPositiveDefinite,
            )
            return
        method = CG(Jacobi(), max_iterations=LANCZOS_STEPS).prepare(operator).method
        b = np.random.default_rng(0).standard_normal((operator.n, 1))
        with np.errstate(over="ignore", invalid="ignore"):
            attempt = method._solve(b, np.array([1e-14]))
        if attempt.spectrum is not None and attempt.spectrum[0] > 0:
            self.conditioned(attempt.spectrum[1] / attempt.spectrum[0])
        if attempt.reason is Reason.NEGATIVE_CURVATURE:
            self.note(
                "error" if wanted else "note",
                "not positive definite: a direction of curvature ≤ 0 was met after "
                f"{attempt.iterations} steps of CG",
                "at an argmin y is no strict minimiser; declare Structure.SYMMETRIC otherwise.",
                NotPositiveDefinite,
            )
        elif wanted:
            self.pivot(operator)

    def pivot(self, operator: Operator) -> None:
        solver: Solver = SuperLU()
        try:
            solver._prepare(Operator(operator, Structure.POSITIVE_DEFINITE), None)
        except NotPositiveDefinite as error:
            at = "" if error.unknown is None else f", at {self.where(error.unknown, operator.n)}"
            what = f"not positive definite: a pivot ≤ 0{at}"
            self.note("error", what, error.fix, NotPositiveDefinite)
        except SparseImplicitError:
            return  # what else is wrong with it the null vectors tell

    def null_vectors(self, operator: Operator, b: Any) -> None:
        self.space = space = null_space(operator)
        if space.dimension == 0:
            if space.least is not None:
                self.conditioned(1.0 / space.least)
                if space.least * ILL_CONDITIONED < 1.0:
                    self.note(
                        "warning",
                        f"nearly singular: condition number ≥ {1.0 / space.least:.1e}; of sixteen "
                        f"digits an answer has {max(0.0, 15.7 + np.log10(space.least)):.0f} left",
                        "add the term, or fix the unknown, that determines what is nearly free.",
                    )
            if not space.complete:
                self.examined = False
                self.note("warning", f"null vectors could not be looked for: {space.how}")
            return
        self.note(
            "error",
            f"singular: {space.told(self.blocks, self.grid)}",
            space.remedy(),
            SingularSystem,
        )
        if b is not None:
            self.fredholm(space, b, operator.n)

    def fredholm(self, space: NullSpace, b: Any, n: int) -> None:
        try:
            rhs = checked_columns(b, n, "the right-hand side", "diagnose")
        except SparseImplicitError as error:
            self.note("error", error.what, error.fix, type(error))
            return
        size = float(np.linalg.norm(rhs))
        part = float(np.linalg.norm(space.left.T @ rhs)) / size if size else 0.0
        if part > 1e-10:
            self.note(
                "error",
                f"no solution exists for b: a part {part:.1e} of it lies along the left null "
                f"vector ({loads(space.left[:, 0], self.blocks, self.grid)})",
                "take that part out of b (a mean value), or fix the gauge.",
                SingularSystem,
            )
        else:
            self.note(
                "note",
                "b has no part along the left null vectors: solutions exist, many of them",
                "on_singular='min_norm' takes the one without a part in the null space.",
            )
