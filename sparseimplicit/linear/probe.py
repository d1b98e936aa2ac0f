"""Cheap experiments on a matrix, from which the cost of solving with it is foretold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import SparseImplicitError
from ..kernels import course
from ..kernels.graph import ball, distances, induced
from .conjugate_gradients import RITZ_STEPS, ritz_values
from .operator import Operator, Structure, csr_from_parts
from .preconditioners import AMG, Jacobi
from .reports import Reason
from .solvers import CG, GMRES, Multigrid
from .stencil import StencilOperator

SAMPLE: Final = 8000  # unknowns on which CG and AMG are tried
# After so many iterations without a tenth of the residual gone, CG has not seen the bottom of the
# spectrum yet, and its rate will fall: by this factor, on the matrices of scripts/bench/zoo.py.
SLOWDOWN: Final = 3.5


@dataclass(frozen=True)
class Course:
    """How CG with Jacobi's preconditioner went on a random right-hand side, as far as it went.

    residuals: relative, one an iteration. spectrum: Ritz values of D⁻¹A. indefinite: a direction
    of curvature ≤ 0 was met. pace: seconds an iteration.
    """

    residuals: tuple[float, ...]
    spectrum: tuple[float, float] | None
    indefinite: bool
    pace: float = 0.0

    @property
    def condition(self) -> float:
        """A lower bound of the condition number of D⁻¹A."""
        return 1.0 if self.spectrum is None else self.spectrum[1] / self.spectrum[0]

    def iterations(self, rtol: float) -> float:
        """Foretell the iterations to rtol from the rate of the second half of the course."""
        reached = np.array(self.residuals)
        below = np.flatnonzero(reached <= rtol)
        if below.size:
            return float(below[0] + 1)
        k, last = reached.size, float(reached[-1])
        rate = np.log(reached[k // 2 - 1] / last) / (k - k // 2) if k >= 2 else 0.0
        # Never better for long than the classical bound with the condition seen so far.
        slowest = 0.5 * np.sqrt(self.condition) * np.log(2.0 / rtol)
        left = np.log(last / rtol) / rate if rate > 0 else 10.0 * slowest
        doubt = np.clip(np.log(last / 0.02) / np.log(5.0), 0.0, 1.0)
        return float(k + left * (1.0 + (SLOWDOWN - 1.0) * doubt))


def run_cg(operator: Operator, steps: int, rtol: float = 1e-14) -> Course | None:
    """Run some steps of CG; None where a diagonal entry ≤ 0 forbids it."""
    if operator.n <= SAMPLE:
        return _run_small(operator, steps, rtol)
    try:
        method = CG(Jacobi(), max_iterations=steps).prepare(operator).method
    except SparseImplicitError:
        return None
    attempt = method._solve(_random(operator.n), np.array([rtol]))
    curved = attempt.reason is Reason.NEGATIVE_CURVATURE
    return Course(attempt.residuals, attempt.spectrum, curved, attempt.pace)


def _run_small(operator: Operator, steps: int, rtol: float) -> Course | None:
    """Do as `run_cg` in compiled code alone."""
    diagonal = operator.diagonal
    if not (diagonal > 0.0).all():
        return None
    lengths, turns, residuals = np.zeros((3, steps))
    a, b = operator.entries, _random(operator.n)[:, 0]
    done, curved = course.run(
        a.indptr, a.indices, a.data, diagonal, b, rtol, lengths, turns, residuals
    )
    known = int(min(done, RITZ_STEPS))
    spectrum = ritz_values(lengths[:known], turns[: known - 1]) if known else None
    return Course(tuple(residuals[:done].tolist()), spectrum, bool(curved))


@dataclass(frozen=True)
class Part:
    """Some balls of unknowns, taken out of a matrix with their diagonal kept.

    It is as if the border of each were held fixed: a part of a positive definite matrix is so too.

    dimension: d where a ball of radius r has about rᵈ members: 2 for grids and meshes of the
    plane, 3 in space, far more for random graphs. radius: of these balls. whole_radius: of one
    with all unknowns.
    """

    operator: Operator
    dimension: float
    radius: float
    whole_radius: float


def part_of(operator: Operator, count: int, balls: int = 3) -> Part:
    """Take about ``count`` unknowns in balls spread over the numbering; costs their edges."""
    entries, n = operator.entries, operator.n
    grown = [
        ball(entries.indptr, entries.indices, (2 * k + 1) * n // (2 * balls), count // balls)
        for k in range(balls)
    ]
    members = np.unique(np.concatenate([found for found, _ in grown]))
    # The shape from one larger ball, which costs little: it is not taken out.
    found, starts = ball(entries.indptr, entries.indices, n // 2, count)
    levels = starts.size - 1
    radius = grown[balls // 2][1].size - 1
    if found.size < count:  # a whole component: its size does not grow with the matrix
        return Part(_submatrix(operator, members), 1.0, radius, radius)
    if levels < 4:
        return Part(_submatrix(operator, members), np.inf, radius, levels)
    half = levels // 2  # of whole levels alone: the last one is cut off
    dimension = float(np.log(starts[levels - 1] / starts[half]) / np.log((levels - 1) / half))
    whole = levels * (n / found.size) ** (1.0 / max(dimension, 1.0))
    return Part(_submatrix(operator, members), dimension, radius, whole)


@dataclass(frozen=True)
class Numbering:
    """How the unknowns of a matrix are numbered, as far as an ordering's time depends on it.

    scattered: how far from its row an entry lies, over n/3: 1 where numbered at random, near 0
    where neighbours are near. distinct: part of the rows whose pattern is not that of the row
    before: 1/m where m unknowns of a node follow each other.
    """

    scattered: float
    distinct: float


def numbering_of(operator: Operator, count: int = 300) -> Numbering:
    """Look at ``count`` rows taken at random, or at all if there are fewer."""
    entries, n = operator.entries, operator.n
    if n < 3:
        return Numbering(0.0, 1.0)
    rows = np.random.default_rng(0).integers(1, n, count) if n > count else np.arange(1, n)
    far, beside, repeated = distances(entries.indptr, entries.indices, rows)
    scattered = min(3.0 * far / max(beside, 1) / n, 1.0)
    return Numbering(float(scattered), float(max(1.0 - repeated / rows.size, 0.1)))


@dataclass(frozen=True)
class Trial:
    """AMG on a part of the matrix: iterations, and bytes of the hierarchy an entry."""

    iterations: int
    bytes: float


def try_amg(part: Operator, kind: str, rtol: float, limit: int) -> Trial | None:
    """Set AMG up on a part and solve; None where ``limit`` iterations do not do.

    With CG where the part is symmetric, else with GMRES. AMG converges on a part nearly as on the
    whole, whatever the size.
    """
    b = _random(part.n)
    try:
        krylov = CG if part.structure.symmetric else GMRES
        method = krylov(AMG(kind), max_iterations=limit).prepare(part).method
        attempt = method._solve(b, np.array([rtol]))
    except SparseImplicitError:
        return None
    if attempt.reason is not Reason.CONVERGED or attempt.iterations == 0:
        return None
    return Trial(attempt.iterations, (method.bytes_estimate or 0) / max(part.entries.nnz, 1))


def try_multigrid(stencil: StencilOperator, count: int, rtol: float, limit: int) -> int | None:
    """Return the iterations of multigrid on about ``count`` points from the middle of a grid.

    The diagonal is kept, as if the border of the window were held fixed; None where ``limit``
    iterations do not do.
    """
    window = stencil.window(count)
    operator = Operator(window, Structure.POSITIVE_DEFINITE)
    try:
        method = Multigrid(max_iterations=limit, lean=False).prepare(operator).method
        attempt = method._solve(_random(operator.n), np.array([rtol]))
    except SparseImplicitError:
        return None
    return attempt.iterations if attempt.reason is Reason.CONVERGED else None


def _random(n: int) -> Any:
    b = np.random.default_rng(0).random((n, 1)) - 0.5
    return b / np.sqrt(n / 12.0)


def _submatrix(operator: Operator, chosen: NDArray[np.int64]) -> Operator:
    """Return the rows and columns of some unknowns, which are sorted."""
    entries = operator.entries
    indptr, indices, values = induced(entries.indptr, entries.indices, entries.data, chosen)
    part = csr_from_parts(values, indices, indptr, (chosen.size, chosen.size))
    return Operator(part, operator.structure)
