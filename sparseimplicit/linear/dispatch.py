"""The chooser: from the facts of a matrix to a solver, with its reasons in print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .._optional import available
from ..errors import MemoryBudgetExceeded, NotConverged, NotPositiveDefinite
from .contract import PreparedSystem, Solver
from .memory import available_bytes
from .operator import Operator, Structure
from .registry import solver_named
from .reports import LinearSolution

# Measured on two Zen 4 cores; they decide between methods that differ by factors, no more.
SECONDS_PER_PRODUCT_ENTRY: Final = 1.0e-9  # CSR product, out of cache
SECONDS_PER_VECTOR_ENTRY: Final = 8.0e-9  # the rest of a CG iteration, per unknown
SECONDS_PER_FACTOR_ENTRY: Final = 5.7e-8  # CHOLMOD's numeric factorization, per entry of L
SECONDS_PER_SOLVE_ENTRY: Final = 3.0e-9  # one triangular solve with its transpose
SUPERLU_FACTOR: Final = 6.0  # SuperLU against CHOLMOD, same matrix
AMG_SETUP: Final = 2.5e-6  # seconds an unknown; pyamg, 7 entries a row
AMG_CYCLE: Final = 8.0  # products with A that one cycle costs
AMG_ITERATIONS: Final = 20  # to 1e-8, smooth to moderately rough coefficients
DENSE_LIMIT: Final = 400  # below it LAPACK beats the overhead of every other method
PROBE_STEPS: Final = 12


@dataclass(frozen=True)
class Candidate:
    """One method weighed: seconds and bytes predicted, and why (not).

    missing: it is impossible only for want of its backend.
    """

    solver: str
    seconds: float
    bytes: int
    because: str
    possible: bool = True
    missing: bool = False


@dataclass(frozen=True)
class Choice:
    """What `choose` recommends, and all it weighed; ``str(choice)`` is a table."""

    solver: Solver
    because: str
    candidates: tuple[Candidate, ...]

    def __str__(self) -> str:
        """Return the table of candidates, the chosen one marked."""
        lines = [f"  {'solver':<12} {'seconds':>9} {'MiB':>8}  because"]
        for c in self.candidates:
            mark = "*" if c.solver == self.solver.label else " "
            figures = (
                f"{c.seconds:9.2g} {c.bytes / 2**20:8.0f}" if c.possible else f"{'–':>9} {'–':>8}"
            )
            lines.append(f"{mark} {c.solver:<12} {figures}  {c.because}")
        return "\n".join(lines)


def choose(
    matrix: Any, *, solves: int = 1, rtol: float = 1e-8, memory: int | None = None
) -> Choice:
    """Choose a solver for a matrix from predicted seconds and bytes.

    Parameters
    ----------
    matrix : sparse or dense array, LinearOperator or Operator
    solves : int
        Right-hand sides that one preparation will serve.
    rtol : float
        Relative residual asked for.
    memory : int, optional
        Budget in bytes; by default what is available to this process.

    Raises
    ------
    MemoryBudgetExceeded
        If no method fits; the message has the table.

    Notes
    -----
    Cost: at most 12 products with A, which bound its condition number from below.
    """
    operator = matrix if isinstance(matrix, Operator) else Operator(matrix)
    budget = available_bytes() if memory is None else memory
    candidates = tuple(
        sorted(_candidates(operator, solves, rtol), key=lambda c: (not c.possible, c.seconds))
    )
    for candidate in candidates:
        if candidate.possible and candidate.bytes <= budget:
            because = candidate.because + _missed(candidate, candidates)
            return Choice(solver_named(candidate.solver), because, candidates)
    lines = "\n".join(f"    {c.solver}: {c.bytes / 2**20:.0f} MiB, {c.because}" for c in candidates)
    raise MemoryBudgetExceeded(
        f"no solver fits {operator!r} into {budget / 2**20:.0f} MiB:\n{lines}",
        where="linear.choose",
        fix="give the job more memory, or the matrix as a LinearOperator.",
    )


def _missed(chosen: Candidate, candidates: tuple[Candidate, ...]) -> str:
    """Say so where a backend that is not installed would have been the better choice."""
    return "".join(
        f"; '{c.solver}' would be faster, but {c.because}"
        for c in candidates
        if not c.possible and c.missing and c.seconds < chosen.seconds
    )


def resolve(
    linear_solver: str | Solver, operator: Operator, *, solves: int = 1, rtol: float = 1e-8
) -> tuple[Solver, str]:
    """Return the solver meant by a name, ``"auto"`` or a solver itself, with the reason."""
    if isinstance(linear_solver, Solver):
        return linear_solver, "given"
    if linear_solver == "auto":
        choice = choose(operator, solves=solves, rtol=rtol)
        return choice.solver, f"auto: {choice.because}"
    return solver_named(linear_solver), "named"


def prepare(matrix: Any, solver: str | Solver = "auto", *, rtol: float = 1e-8) -> PreparedSystem:
    """Prepare a matrix by the solver named, given or chosen."""
    operator = matrix if isinstance(matrix, Operator) else Operator(matrix)
    method, because = resolve(solver, operator, rtol=rtol)
    return method.prepare(operator, because=because)


def solve(
    A: Any,
    b: Any,
    *,
    solver: str | Solver = "auto",
    rtol: float = 1e-8,
    transpose: bool = False,
) -> LinearSolution:
    """Solve A x = b, or Aᵀ x = b, once.

    Parameters
    ----------
    A : sparse or dense array, LinearOperator or Operator, shape (n, n)
    b : array, shape (n,) or (n, k)
    solver : str or Solver
        ``"auto"``, a name of `available_solvers`, or a solver.
    rtol : float
        Bound on the true relative residual of every column.
    transpose : bool
        Solve with Aᵀ.

    Returns
    -------
    LinearSolution
        ``.value`` of b's shape and ``.report``.

    Raises
    ------
    ShapeError, NonFinite, StructureError, NotPositiveDefinite, SingularSystem, NotConverged
    """
    operator = A if isinstance(A, Operator) else Operator(A)
    return Ladder(operator, solver, rtol=rtol).solve(b, transpose=transpose)[0]


class Ladder:
    """A system whose solver, when chosen by ``auto``, gives way to the next where it fails.

    Only what `choose` listed is tried, in its order, and the report's ``because`` says what
    failed. A solver that was named or given is never replaced, and a matrix *declared* positive
    definite that is not so is an error.
    """

    def __init__(
        self,
        operator: Operator,
        linear_solver: str | Solver,
        *,
        solves: int = 1,
        rtol: float,
        after: str = "",
    ) -> None:
        self.operator = operator
        self.rtol = rtol
        self._after = after  # what failed before, for the report
        self._steps: list[tuple[Solver, str]]
        if linear_solver == "auto":
            choice = choose(operator, solves=solves, rtol=rtol)
            self._steps = [(choice.solver, f"auto: {choice.because}")] + [
                (solver_named(c.solver), f"auto: {c.because}")
                for c in choice.candidates
                if c.possible and c.solver != choice.solver.label
            ]
        else:
            self._steps = [resolve(linear_solver, operator, rtol=rtol)]

    def solve(self, b: Any, *, transpose: bool = False) -> tuple[LinearSolution, PreparedSystem]:
        """Solve, stepping on where a method fails; return what solved it too."""
        failed = f"; {self._after}" if self._after else ""
        for step, (solver, because) in enumerate(self._steps):
            try:
                system = solver.prepare(self.operator, because=because + failed)
                run = system.solve_adjoint if transpose else system.solve
                return run(b, rtol=self.rtol), system
            except (NotConverged, NotPositiveDefinite) as error:
                declared = self.operator.structure is Structure.POSITIVE_DEFINITE
                if step + 1 == len(self._steps) or (
                    declared and isinstance(error, NotPositiveDefinite)
                ):
                    raise
                failed += f"; '{solver.label}' failed: {type(error).__name__}"
        raise AssertionError("a ladder has at least one step")


def _candidates(operator: Operator, solves: int, rtol: float) -> list[Candidate]:
    if operator.entries is None:
        return _product_candidates(operator)
    n, nnz = operator.n, operator.entries.nnz
    if n <= DENSE_LIMIT:
        return [Candidate("dense", 1e-9 * n**3, 16 * n * n, f"{n} unknowns are few")]
    product = SECONDS_PER_PRODUCT_ENTRY * nnz + SECONDS_PER_VECTOR_ENTRY * n
    fill = _fill_estimate(operator)
    direct = fill * (SECONDS_PER_FACTOR_ENTRY + solves * SECONDS_PER_SOLVE_ENTRY)
    lu = Candidate(
        "superlu",
        SUPERLU_FACTOR * direct,
        int(28 * fill),
        f"sparse LU with about {fill / 1e6:.1f}e6 entries a factor",
        possible=fill < 2**30,
    )
    if not operator.structure.symmetric:
        steps = 60 * np.log(1 / rtol) / 18
        return [
            lu,
            Candidate("gmres+ilu", (2e-7 + solves * steps * 4e-9) * nnz * 10, 300 * nnz,
                      "GMRES, incomplete LU; iterations are a guess"),
        ]  # fmt: skip
    definite = operator.structure is Structure.POSITIVE_DEFINITE
    spread = _condition_probe(operator)
    if spread is None and not definite:
        minres = Candidate("minres+jacobi", 500 * product * solves, 100 * n, "indefinite")
        return [lu, minres]
    word = "declared positive definite" if definite else "no negative curvature found"
    if spread is None:  # the method will find it again and say so; the declaration rules
        spread, word = 1e4, f"{word}, though a probe met negative curvature"
    steps = max(4.0, 0.5 * np.sqrt(spread) * np.log(2 / rtol))
    amg = AMG_ITERATIONS * np.log(1 / rtol) / 18
    have = available("sksparse")
    return [
        Candidate("cg+jacobi", solves * steps * product, 60 * n,
                  f"{word}; condition ≳ {spread:.0f}, about {steps:.0f} products"),
        Candidate("cholmod", direct, int(20 * fill),
                  f"{word}; about {fill / 1e6:.1f}e6 entries in the factor" if have else
                  "scikit-sparse is not installed: pip install 'sparseimplicit[cholmod]'",
                  possible=have, missing=not have),
        lu,
        Candidate("cg+amg", AMG_SETUP * nnz / 7 + solves * amg * AMG_CYCLE * product, 500 * n,
                  f"{word}; iterations independent of the size", possible=n > 5000),
    ]  # fmt: skip


def _product_candidates(operator: Operator) -> list[Candidate]:
    helped = operator.preconditioning_entries is not None
    if operator.structure is Structure.POSITIVE_DEFINITE:
        name = "cg+jacobi" if helped else "cg"
    elif operator.structure is Structure.SYMMETRIC:
        name = "minres+jacobi" if helped else "minres"
    else:
        name = "gmres+ilu" if helped else "gmres"
    because = f"products alone, {operator.structure.value}"
    return [Candidate(name, 0.0, 100 * operator.n, because)]


def _fill_estimate(operator: Operator) -> float:
    """Guess nnz(L) from size and bandwidth: 2.3 n log₂ n on planar graphs, 3 n^(4/3) in 3-D.

    The first is what 5-point grids of 512² to 2048² gave, the second what 64³ gave; the bandwidth
    tells the two apart for natural orderings: about n^(1/2) and n^(2/3).
    """
    entries = operator.entries
    assert entries is not None  # noqa: S101 - the caller has looked
    n = operator.n
    last = np.maximum(entries.indptr[1:].astype(np.int64) - 1, 0)
    reach = entries.indices[last].astype(np.int64) - np.arange(n) if entries.nnz else np.zeros(n)
    band = float(np.median(np.abs(reach))) + 1.0
    density = max(entries.nnz / n / 6.0, 0.3)
    planar = 2.3 * n * np.log2(n) * density
    spatial = 3.0 * n ** (4 / 3) * density
    return float(min(n * band, spatial if band > n**0.58 else planar))


def _condition_probe(operator: Operator) -> float | None:
    """Bound the condition number of the Jacobi-scaled matrix from below; None if indefinite.

    The Ritz values of a few Lanczos steps lie inside the spectrum; where they spread as wide as
    the steps allow, the true condition is larger, and the ratio is raised accordingly.
    """
    assert operator.entries is not None  # noqa: S101 - the caller has looked
    diagonal = operator.entries.diagonal()
    if not (diagonal > 0).all():
        return None
    scale = 1.0 / np.sqrt(diagonal)
    v = np.random.default_rng(0).standard_normal(operator.n)
    v /= np.linalg.norm(v)
    previous, beta = np.zeros_like(v), 0.0
    alphas: list[float] = []
    betas: list[float] = []
    for _ in range(min(PROBE_STEPS, operator.n)):
        w = scale * operator.apply(scale * v) - beta * previous
        alphas.append(float(w @ v))
        w -= alphas[-1] * v
        beta = float(np.linalg.norm(w))
        if beta <= 1e-12:
            break
        betas.append(beta)
        previous, v = v, w / beta
    ritz = np.linalg.eigvalsh(
        np.diag(alphas)
        + np.diag(betas[: len(alphas) - 1], 1)
        + np.diag(betas[: len(alphas) - 1], -1)
    )
    if ritz[0] <= 0:
        return None
    return float(3.0 * ritz[-1] / ritz[0])
