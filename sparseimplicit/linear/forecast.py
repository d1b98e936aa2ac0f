"""What each method would cost on a matrix: seconds and bytes, before any heavy work.

Counts come from the matrix itself (a few steps of CG, AMG on a part, CHOLMOD's symbolic analysis),
rates from the machine. An experiment is made only where its method could still win, and costs a
small part of what it decides about; the methods left out are listed with a bound, ``≥``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np

from .._optional import available
from ..errors import SparseImplicitError
from .operator import Operator, Structure
from .pardiso_api import GENERAL
from .probe import Course, Part, part_of, run_cg, try_amg
from .rates import Rates
from .rates import rates as rates_of_this_machine
from .solvers.banded import bandwidths
from .solvers.cholmod import Analysis, analysis_of
from .solvers.pardiso import Pardiso, PardisoAnalysis

DENSE_LIMIT: Final = 400  # below it LAPACK beats the overhead of every other method
SAMPLE: Final = 8000  # unknowns on which CG and AMG are tried
PART_STEPS: Final = 100
EFFORT: Final = 0.06  # of the time at stake that one more step of planning may cost
WORTH: Final = 0.85  # a method is looked into if it could take less than this part of the best
AMG_LEAST: Final = 5  # iterations that AMG needs at best, to 1e-8
BAND_MOST: Final = 200
AMG_MOST: Final = 100
CG_LEAST: Final = 20  # iterations that CG needs at best
CG_MOST: Final = 5000  # its default limit of iterations
CG_BYTES: Final = 100  # an unknown: nine vectors and the right-hand side


@dataclass(frozen=True)
class Candidate:
    """One method weighed: seconds and bytes predicted, and why (not).

    missing: it is impossible only for want of its backend. at_least: the figures are bounds from
    below, and no more was asked, since another method beats even these. analysis: what the plan
    has already done of the method's work.
    """

    solver: str
    seconds: float
    bytes: int
    because: str
    possible: bool = True
    missing: bool = False
    at_least: bool = False
    analysis: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Fill:
    """Entries of L and operations of the factorization."""

    entries: float
    operations: float


class Forecast:
    """The candidates for one matrix; experiments are made when they are asked for, once."""

    def __init__(self, operator: Operator, solves: int, rtol: float, rates: Rates | None) -> None:
        self.operator = operator
        self.n = operator.n
        self.solves = solves
        self.rtol = rtol
        self._rates = rates

    @property
    def _nonzeros(self) -> int:
        return int(self.operator.entries.nnz)

    @cached_property
    def rates(self) -> Rates:
        """The speeds to reckon with; those of this machine are measured at first need."""
        return self._rates or rates_of_this_machine()

    def candidates(self) -> list[Candidate]:
        """Return the methods for this matrix, looked into as deeply as the choice needs."""
        if self.operator.entries is None:
            return [self._products()]
        if self.n <= DENSE_LIMIT:
            return [
                Candidate("dense", 1e-9 * self.n**3, 16 * self.n**2, f"{self.n} unknowns are few")
            ]
        if not self.operator.structure.symmetric:
            return self._general()
        return self._symmetric()

    # -- symmetric matrices ------------------------------------------------------------------

    def _symmetric(self) -> list[Candidate]:
        found = self._banded()
        if _least(found) < CG_LEAST * self._iteration:  # a narrow band: no experiment pays
            return found + self._beaten(_least(found))
        at_stake = min(_least(found), self._direct_at_best(), self._amg_at_best())
        course, count = self._cg_course(at_stake)
        indefinite = course is None or course.indefinite
        if indefinite and self.operator.structure is not Structure.POSITIVE_DEFINITE:
            return self._indefinite()
        word = self._word(indefinite)
        if course is not None and not indefinite:
            found.append(self._cg(course, count, word))
        # What promises more goes first; the other is then looked into only if it can still win.
        groups = [(self._amg_at_best(), self._amg), (self._direct_at_best(), self._direct)]
        for _, weigh in sorted(groups, key=lambda group: group[0]):
            found += weigh(_least(found), word)
        return found

    def _beaten(self, best: float) -> list[Candidate]:
        """List the general methods with what they would cost at best."""
        told = f"no faster, even with {CG_LEAST} iterations; not tried"
        seconds = self.solves * CG_LEAST * self._iteration
        cg = Candidate("cg+jacobi", seconds, CG_BYTES * self.n, told, at_least=True)
        return [cg, *self._direct(min(best, 0.0), "")]

    def _word(self, indefinite: bool) -> str:
        declared = self.operator.structure is Structure.POSITIVE_DEFINITE
        word = "declared positive definite" if declared else "no negative curvature found"
        # The method will find it again and say so; the declaration rules.
        return f"{word}, though a probe met negative curvature" if indefinite else word

    def _cg_course(self, at_stake: float) -> tuple[Course | None, float]:
        """Run CG on a part, and for some steps on the whole where that could change the choice.

        On a part small enough to be solved for nothing CG comes to its end. Where it needed fewer
        iterations than would carry news across the part, the whole needs as many.
        """
        part = self._part
        course = run_cg(part.operator, PART_STEPS, self.rtol)
        if course is None or course.indefinite:
            return course, np.inf
        count = 1.1 * course.iterations(self.rtol)
        if count <= 1.5 * part.radius or part.whole_radius <= part.radius:
            return course, count
        for steps in (8, 32, 128, 512):
            time_left = EFFORT * min(at_stake, self._cg_seconds(count))
            lost = self._cg_seconds(count) > 3.0 * at_stake
            if lost or (steps > 8 and steps * self._iteration > time_left):
                break
            course = run_cg(self.operator, steps)
            if course is None or course.indefinite:
                return course, np.inf
            # CG needs about seven iterations for each step from the border to the middle.
            count = min(course.iterations(self.rtol), 7.0 * part.whole_radius)
        return course, count

    def _cg_seconds(self, iterations: float) -> float:
        return self.solves * iterations * self._iteration

    @property
    def _iteration(self) -> float:
        return self.rates.iteration_of_cg(self.n, self._nonzeros)

    def _cg(self, course: Course, count: float, word: str) -> Candidate:
        tried = f"after {len(course.residuals)} tried"
        because = (
            f"{word}; condition ≥ {course.condition:.3g}, about {count:.0f} iterations, {tried}"
        )
        return Candidate(
            "cg+jacobi", self._cg_seconds(count), CG_BYTES * self.n, because,
            possible=count < 2 * CG_MOST,
        )  # fmt: skip

    # -- multigrid ---------------------------------------------------------------------------

    def _amg_at_best(self) -> float:
        nonzeros = self._nonzeros
        cycles = AMG_LEAST * (2.0 * self.rates.cycle * nonzeros + self._iteration)
        return self.rates.classical * nonzeros + self.solves * cycles

    def _amg(self, best: float, word: str) -> list[Candidate]:
        """Try both kinds on the part, for as many iterations as would still win."""
        nonzeros, size = self._nonzeros, self._part.operator.n
        least, setup = self._amg_at_best(), self.rates.classical * nonzeros
        held = 40 * nonzeros + CG_BYTES * self.n
        trials = 2.0 * size / self.n * best  # what trying both kinds would cost
        if least > WORTH * best or best - least < 3.0 * trials:
            because = f"hardly faster, even with {AMG_LEAST} iterations a solve; not tried"
            return [Candidate("cg+amg", least, held, because, at_least=True)]
        limit = int(min(AMG_LEAST * (best - setup) / (least - setup) + 1.0, AMG_MOST))
        found = []
        for kind, name, peak in (("classical", "cg+amg", 1.3), ("aggregation", "cg+sa", 3.1)):
            trial = try_amg(self._part.operator, kind, self.rtol, limit)
            if trial is None:
                because = f"more than {limit} iterations on {size} of the unknowns"
                found.append(Candidate(name, max(best, least), held, because, at_least=True))
                continue
            growth = self._growth(trial.iterations)
            # Not by the part's seconds: of a small cycle, half is the interpreter's.
            cycle = 1.3 * self.rates.cycle * trial.bytes / 12 * nonzeros + self._iteration
            solve = growth * trial.iterations * cycle
            seconds = nonzeros * trial.setup + self.solves * solve
            because = (
                f"{word}; about {growth * trial.iterations:.0f} iterations, "
                f"{trial.iterations} on {size} of the unknowns"
            )
            bytes_ = int(peak * trial.bytes * nonzeros) + CG_BYTES * self.n
            found.append(Candidate(name, seconds, bytes_, because))
        return found

    # -- direct methods ----------------------------------------------------------------------

    @cached_property
    def _part(self) -> Part:
        entries_a_row = self._nonzeros / self.n
        return part_of(self.operator, int(np.clip(8 * SAMPLE / entries_a_row, 1500, SAMPLE)))

    def _guess(self) -> Fill:
        """Guess nnz(L) from size, entries a row and dimension d: separators have n^(1 − 1/d).

        2.3 n log₂ n for planar five-point grids, 6.7 n^(4/3) for seven points in space; both from
        512² to 2048² and at 64³. Operations: nnz(L)²/n grows as these do, times 5.
        """
        n, dimension = self.n, self._part.dimension
        density = max(self._nonzeros / n / 5.0, 0.3)
        planar = 2.3 * n * np.log2(n) * density
        spatial = 6.7 * n ** (2.0 * (1.0 - 1.0 / max(dimension, 2.0))) * density / 1.4
        entries = float(min(max(planar, spatial) if dimension > 2.3 else planar, 0.5 * n * n))
        return Fill(entries, 5.0 * entries * entries / n)

    def _guess_at_best(self) -> Fill:
        guess = self._guess()
        spread = 2.2 if self._part.dimension < 2.4 else 1.5  # how far it has been off
        return Fill(guess.entries / spread, guess.operations / spread**2)

    def _direct_at_best(self) -> float:
        least = self._guess_at_best()
        return min(self._factored(name, least, "").seconds for name in self._backends())

    def _backends(self) -> list[str]:
        """Return the direct methods that are installed and right for the structure."""
        names = []
        if available("pypardiso"):
            names += ["pardiso+amd", "pardiso", "pardiso+single"]
        if available("sksparse") and self.operator.structure.symmetric:
            names += ["cholmod+amd", "cholmod+metis"]
        return [*names, "superlu"]

    def _direct(self, best: float, word: str, *, definite: bool = True) -> list[Candidate]:
        """Weigh the factorizations: by bounds first, by an analysis where one could win."""
        found: list[Candidate] = []
        names = self._backends()
        guess, least = self._guess(), self._guess_at_best()
        if not definite:
            names = [name for name in names if not name.startswith("cholmod")]
        analysed: Fill | None = None
        for name in sorted(names, key=lambda name: self._factored(name, guess, "").seconds):
            at_best = (
                least if analysed is None else Fill(0.8 * analysed.entries, analysed.operations)
            )
            bound = self._factored(name, at_best, "")
            if name == "pardiso+single":  # not for speed: its refinement fails beyond 1e7
                told = "float32, refined in float64: where memory is short"
                found.append(self._factored(name, analysed or guess, told, at_least=True))
                continue
            if bound.seconds > WORTH * min(best, _least(found)) or (name == "superlu" and found):
                told = f"no faster, even with only {at_best.entries / 1e6:.1f}e6 entries"
                found.append(self._factored(name, at_best, f"{told}; not analysed", at_least=True))
                continue
            started = time.perf_counter()
            analysis = self._analyse(name)
            ordered = time.perf_counter() - started
            if isinstance(analysis, str):
                found.append(self._factored(name, guess, analysis, possible=False))
            elif analysis is None:
                fill = analysed or guess
                found.append(self._factored(name, fill, f"{word}; {_told(fill)} (guessed)"))
            else:
                analysed = fill_of(analysis)
                because = f"{word}; {_told(analysed)} (analysed)"
                found.append(self._factored(name, analysed, because, ordered, analysis=analysis))
        return found + self._missing(guess)

    def _missing(self, guess: Fill) -> list[Candidate]:
        """List a backend that is not installed, with what it would have cost."""
        found = []
        for name, module, package in (
            ("pardiso", "pypardiso", "pypardiso"),
            ("cholmod+amd", "sksparse", "scikit-sparse"),
        ):
            if available(module) or (name != "pardiso" and not self.operator.structure.symmetric):
                continue
            extra = name.partition("+")[0]
            because = f"{package} is not installed: pip install 'sparseimplicit[{extra}]'"
            found.append(self._factored(name, guess, because, possible=False, missing=True))
        return found

    def _factored(
        self, name: str, fill: Fill, because: str, ordered: float | None = None, **flags: Any
    ) -> Candidate:
        """Return the candidate for a factorization of that size, with its ordering and solves.

        ordered : seconds that the analysis took, where it has been made.
        """
        rates, nonzeros, solves = self.rates, self._nonzeros, self.solves
        if name == "superlu":
            # L and U; without symmetry its ordering fills half as much again, and it is serial.
            both = 2.0 * fill.entries * (1.0 if self.operator.structure.symmetric else 1.5)
            seconds = (
                rates.lu + solves * rates.lu_solve
            ) * both + 6.0 * rates.flop * fill.operations
            possible = both < 2**31
            return Candidate(
                name, seconds, int(14 * both), because, **{"possible": possible} | flags
            )
        sides = 1.0 if self.operator.structure.symmetric else 2.0
        entries = sides * fill.entries
        arithmetic = sides * rates.flop * fill.operations
        if name.startswith("cholmod"):
            ordering = rates.ordering if name == "cholmod+amd" else rates.dissection
            seconds = rates.factor * entries + arithmetic + solves * rates.solve * entries
            held = 11.0 * entries + 33.0 * nonzeros
        else:
            quick = name == "pardiso+amd"
            ordering = rates.pardiso_ordering if quick else rates.pardiso_dissection
            # Minimum degree is quick for symmetric matrices alone.
            ordering *= 6.0 if quick and sides == 2.0 else 1.0
            # Small factors lie in cache: 1.9e-8 s an entry at 200², 2.4e-8 at 512², 3e-8 at 1024².
            spilled = 1.0 + 0.1 * np.log2(max(entries / 1e6, 1.0))
            seconds = spilled * rates.pardiso_factor * entries
            seconds += solves * rates.pardiso_solve * entries
            seconds += 0.5 * arithmetic
            half = 0.5 if name == "pardiso+single" else 1.0
            held = 9.0 * half * entries + 40.0 * nonzeros
        seconds += ordering * nonzeros if ordered is None else ordered
        return Candidate(name, seconds, int(held), because, **flags)

    def _analyse(self, name: str) -> Analysis | PardisoAnalysis | str | None:
        """Return the symbolic analysis of a method, None if it has none, or why it failed."""
        try:
            if name.startswith("pardiso"):
                return Pardiso("amd" if name.endswith("+amd") else "metis").analyse(self.operator)
            if name.startswith("cholmod"):
                return analysis_of(self.operator.entries, name.partition("+")[2])
        except SparseImplicitError as error:
            return f"its analysis failed: {error.what}"
        return None

    # -- the rest ----------------------------------------------------------------------------

    def _banded(self) -> list[Candidate]:
        """Weigh LAPACK's banded factorizations, where the band is narrow."""
        lower, upper = bandwidths(self.operator.entries)
        if max(lower, upper) > BAND_MOST:
            return []
        definite = self.operator.structure is Structure.POSITIVE_DEFINITE
        rows = lower + 1 if definite else 2 * lower + upper + 1
        # A column costs a call of BLAS or two, and b² operations; a solve reads the band twice.
        seconds = self.n * (6e-8 + rows * lower * 2e-10)
        seconds += self.solves * self.n * (2e-8 + rows * 2e-9)
        because = f"{lower} + {upper} bands beside the diagonal"
        return [Candidate("banded", seconds, 16 * rows * self.n, because)]

    def _indefinite(self) -> list[Candidate]:
        minres = Candidate(
            "minres+jacobi", 1000 * self.solves * self._iteration, CG_BYTES * self.n,
            "indefinite; the iterations are a guess",
        )  # fmt: skip
        found = self._banded()
        return [*found, *self._direct(_least(found), "indefinite", definite=False), minres]

    def _general(self) -> list[Candidate]:
        nonzeros = self._nonzeros
        found = self._banded()
        found += self._direct(_least(found), "sparse LU")
        found.append(self._gmres_with_amg(_least(found)))
        # Its iterations grow with the grid; half a step from border to middle each is a guess.
        steps = max(30.0, 0.5 * self._part.whole_radius) * np.log(1 / self.rtol) / 18
        ilu = (2e-6 + self.solves * steps * 4e-8) * nonzeros
        told = "GMRES, incomplete LU; iterations are a guess"
        return [*found, Candidate("gmres+ilu", ilu, 300 * nonzeros, told)]

    def _gmres_with_amg(self, best: float) -> Candidate:
        """Try GMRES with smoothed aggregation on the part, if it could win."""
        nonzeros, size, rates = self._nonzeros, self._part.operator.n, self.rates
        # Both the hierarchy and its transpose, for adjoints.
        least = 2.0 * rates.aggregation * nonzeros
        least += self.solves * AMG_LEAST * (3.0 * rates.cycle * nonzeros + 2.0 * self._iteration)
        held = 80 * nonzeros + 60 * 8 * self.n
        if least > WORTH * best:
            because = f"no faster, even with {AMG_LEAST} iterations a solve; not tried"
            return Candidate("gmres+amg", least, held, because, at_least=True)
        trial = try_amg(self._part.operator, "auto", self.rtol, AMG_MOST)
        if trial is None:
            because = f"more than {AMG_MOST} iterations on {size} of the unknowns"
            return Candidate("gmres+amg", max(best, least), held, because, at_least=True)
        growth = self._growth(trial.iterations)
        seconds = nonzeros * (trial.setup + self.solves * growth * trial.cycles)
        because = f"GMRES, AMG: {trial.iterations} iterations on {size} of the unknowns"
        return Candidate("gmres+amg", seconds, held, because)

    def _growth(self, iterations: int) -> float:
        """By how much AMG's iterations grow from the part to the whole: not at all if they are few.

        Of a part with 5 the whole has 5; with 8 at 20³ it has 15 at 64³ and 21 at 100³.
        """
        ratio = max(self._part.whole_radius / self._part.radius, 1.0)
        return float(1.0 + 0.35 * np.log2(ratio) * np.clip((iterations - 4) / 4, 0.0, 1.0))

    def _products(self) -> Candidate:
        helped = self.operator.preconditioning_entries is not None
        if self.operator.structure is Structure.POSITIVE_DEFINITE:
            name = "cg+jacobi" if helped else "cg"
        elif self.operator.structure is Structure.SYMMETRIC:
            name = "minres+jacobi" if helped else "minres"
        else:
            name = "gmres+ilu" if helped else "gmres"
        because = f"products alone, {self.operator.structure.value}"
        return Candidate(name, 0.0, CG_BYTES * self.n, because)


def fill_of(analysis: Analysis | PardisoAnalysis) -> Fill:
    """Return the entries and operations that a symbolic analysis foretells."""
    if isinstance(analysis, PardisoAnalysis):
        sides = 2.0 if analysis.kind == GENERAL else 1.0
        return Fill(analysis.handle.entries / sides, analysis.handle.operations / sides)
    counts = analysis.counts.astype(np.float64)
    return Fill(float(counts.sum()), float(counts @ counts))


def _told(fill: Fill) -> str:
    return (
        f"{fill.entries / 1e6:.1f}e6 entries in the factor, "
        f"{fill.operations / 1e9:.1f}e9 operations"
    )


def _least(candidates: Iterable[Candidate]) -> float:
    return min((c.seconds for c in candidates if c.possible), default=np.inf)
