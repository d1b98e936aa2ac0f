"""What each method would cost on a matrix: seconds and bytes, before any heavy work.

Counts come from the matrix itself (a few steps of CG, AMG on a part, CHOLMOD's symbolic analysis),
rates from the machine. An experiment is made only where its method could still win, and costs a
small part of what it decides about; the methods left out are listed with a bound, ``≥``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property, partial
from typing import Final

import numpy as np

from ..kernels.batches import LANES
from .blocks import falls_apart
from .factorizations import WORTH, Candidate, Factorizations, least_seconds
from .filters import FilterOperator
from .multilevel import AMG_LEAST, AMG_MOST, CG_BYTES, Multilevel, grown
from .operator import Operator, Structure
from .probe import SAMPLE, Course, Part, part_of, run_cg, try_amg
from .rates import Rates
from .rates import rates as rates_of_this_machine
from .solvers.banded import bandwidths
from .solvers.batched import analysis_of
from .stencil import StencilOperator

DENSE_LIMIT: Final = 400  # below it LAPACK beats the overhead of every other method
PART_STEPS: Final = 100
PART_LEAST: Final = 24
EFFORT: Final = 0.06  # of the time at stake that one more step of planning may cost
BAND_MOST: Final = 200
CG_LEAST: Final = 20  # iterations that CG needs at best
CG_MOST: Final = 5000  # its default limit of iterations


class Forecast:
    """The candidates for one matrix; experiments are made when they are asked for, once."""

    def __init__(self, operator: Operator, solves: int, rtol: float, rates: Rates | None) -> None:
        self.operator = operator
        self.n = operator.n
        self.solves = solves
        self.rtol = rtol
        self._rates = rates
        self._pace: float | None = None  # seconds of an iteration of CG, once some have been run

    @property
    def _nonzeros(self) -> int:
        return int(self.operator.entries.nnz)

    @cached_property
    def rates(self) -> Rates:
        """The speeds to reckon with; those of this machine are measured at first need."""
        return self._rates or rates_of_this_machine()

    @cached_property
    def _part(self) -> Part:
        entries_a_row = self._nonzeros / self.n
        # Of a small matrix a small part: what is at stake is little too.
        count = min(8 * SAMPLE / entries_a_row, max(self.n / 16, 1500))
        return part_of(self.operator, int(np.clip(count, 1500, SAMPLE)))

    @cached_property
    def _direct(self) -> Factorizations:
        return Factorizations(self.operator, self.solves, self.rates, self._part.dimension)

    @cached_property
    def _multilevel(self) -> Multilevel:
        return Multilevel(self.operator, self.solves, self.rtol, self.rates)

    def _amg(self, best: float, word: str) -> list[Candidate]:
        best = min(best, 1.2 * self._direct.guessed().seconds)
        return self._multilevel.algebraic(self._part, self._iteration, best, word)

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
        found = self._banded() + self._batched()
        # A narrow band: no experiment pays.
        if WORTH * least_seconds(found) < CG_LEAST * self._iteration:
            return found + self._beaten()
        at_stake = min(
            least_seconds(found),
            self._direct.at_best(),
            self._multilevel.amg_at_best(self._iteration),
            self._multilevel.grid_at_best(),
        )
        course, count = self._cg_course(at_stake)
        indefinite = course is None or course.indefinite
        if indefinite and self.operator.structure is not Structure.POSITIVE_DEFINITE:
            return self._indefinite()
        word = self._word(indefinite)
        if course is not None and not indefinite:
            found.append(self._cg(course, count, word))
        # What promises more goes first; the other is then looked into only if it can still win.
        algebraic, direct = self._multilevel.amg_at_best(self._iteration), self._direct.at_best()
        on_grid = partial(
            self._multilevel.on_grid,
            rival=min(algebraic, direct),
            condition=np.inf if course is None or indefinite else course.condition,
        )
        groups: list[tuple[float, Callable[[float, str], list[Candidate]]]] = [
            (self._multilevel.grid_at_best(), on_grid),
            (algebraic, self._amg),
            (direct, self._direct.weigh),
        ]
        for _, weigh in sorted(groups, key=lambda group: group[0]):
            found += weigh(least_seconds(found), word)
        return found

    def _beaten(self) -> list[Candidate]:
        """List the general methods with what they would cost at best."""
        told = f"no faster, even with {CG_LEAST} iterations; not tried"
        seconds = self.solves * CG_LEAST * self._iteration
        cg = Candidate("cg+jacobi", seconds, CG_BYTES * self.n, told, at_least=True)
        # For their bounds the shape of the graph is not looked into: a plane's, which fills least.
        direct = Factorizations(self.operator, self.solves, self.rates, 2.0)
        return [cg, *direct.weigh(0.0, "")]

    def _word(self, indefinite: bool) -> str:
        declared = self.operator.structure is Structure.POSITIVE_DEFINITE
        word = "declared positive definite" if declared else "no negative curvature found"
        # The method will find it again and say so; the declaration rules.
        return f"{word}, though a probe met negative curvature" if indefinite else word

    def _cg_course(self, at_stake: float) -> tuple[Course | None, float]:
        """Run CG on a part, and for some steps on the whole where that could change the choice.

        On a part small enough to be solved for nothing CG comes to its end. Where it needed hardly
        more iterations than carry news across the part, the whole needs as many.
        """
        part = self._part
        # Half of the way tells the rate; it can be half of the iterations with which CG would win.
        worth = at_stake / max(self._cg_seconds(1.0), 1e-12)
        steps = int(np.clip(0.6 * worth, PART_LEAST, PART_STEPS))
        course = run_cg(part.operator, steps, float(np.sqrt(self.rtol)))
        if course is None or course.indefinite:
            return course, np.inf
        count = 1.1 * course.iterations(self.rtol)
        if count <= 2.0 * part.radius or part.whole_radius <= part.radius:
            return course, count
        # On the whole they grow, by up to the ratio of the radii: by its root is a guess.
        count *= float(np.sqrt(part.whole_radius / part.radius))
        for steps, more in ((8, 28), (28, 28), (112, 112), (448, 448)):  # fewer have misled
            seconds = self._cg_seconds(count)
            near = 0.3 < seconds / at_stake < 2.0
            time_left = (2.5 if near else 1.0) * EFFORT * min(at_stake, seconds)
            affordable = more * self._iteration < time_left
            if (steps == 8 and not near) or (steps > 8 and not affordable):
                break
            if steps == 8 and affordable:
                continue
            course = run_cg(self.operator, steps)
            if course is None or course.indefinite:
                return course, np.inf
            self._pace = course.pace
            # CG needs about seven iterations for each step from the border to the middle.
            count = min(course.iterations(self.rtol), 7.0 * part.whole_radius)
        return course, count

    def _cg_seconds(self, iterations: float) -> float:
        return self.solves * iterations * self._iteration

    @property
    def _iteration(self) -> float:
        return self._pace or self.rates.iteration_of_cg(self.n, self._nonzeros)

    def _cg(self, course: Course, count: float, word: str) -> Candidate:
        tried = f"after {len(course.residuals)} tried"
        because = (
            f"{word}; condition ≥ {course.condition:.3g}, about {count:.0f} iterations, {tried}"
        )
        return Candidate(
            "cg+jacobi", self._cg_seconds(count), CG_BYTES * self.n, because,
            possible=count < 2 * CG_MOST,
        )  # fmt: skip

    def _banded(self) -> list[Candidate]:
        """Weigh LAPACK's banded factorizations, where the band is narrow."""
        lower, upper = bandwidths(self.operator.entries)
        if max(lower, upper) > BAND_MOST:
            return []
        definite = self.operator.structure is Structure.POSITIVE_DEFINITE
        rows = lower + 1 if definite else 2 * lower + upper + 1
        width = lower if definite else lower + 0.5 * upper
        # Per unknown and band, mostly memory's; the first solve has a random column beside it.
        each = (4.0e-8 + 1.3e-8 * width) + (1.2e-7 + 7e-9 * width)
        each += (self.solves - 1) * (4.5e-8 + 3.5e-9 * width)
        seconds = each * self.n * self.rates.pace
        because = f"{lower} + {upper} bands beside the diagonal"
        return [Candidate("banded", seconds, 16 * rows * self.n, because)]

    def _batched(self) -> list[Candidate]:
        """Weigh the systems that the matrix falls into, where they are small and many."""
        if not falls_apart(self.operator.entries):
            return []
        started = time.perf_counter()
        analysis = analysis_of(self.operator)
        spent = time.perf_counter() - started
        batch = analysis.batch
        if batch.count < LANES:
            return []
        # Filling in; memory new to the process; operations. Then the solves, the first with a
        # random column beside it.
        ahead = 1e-3 + 2e-9 * self._nonzeros + 2.5e-9 * batch.numbers + 1.5e-11 * batch.operations
        ahead += (0.6 + 0.4 * self.solves) * (1e-3 + 4.5e-8 * self.n + 1.8e-9 * batch.numbers)
        seconds = spent + ahead * self.rates.pace
        because = f"{batch.count} systems of {self.n // batch.count} unknowns on average"
        bytes_ = 8 * batch.numbers + 60 * self.n
        return [Candidate("batched", seconds, bytes_, because, analysis=analysis, spent=spent)]

    def _indefinite(self) -> list[Candidate]:
        minres = Candidate(
            "minres+jacobi", 1000 * self.solves * self._iteration, CG_BYTES * self.n,
            "indefinite; the iterations are a guess",
        )  # fmt: skip
        found = self._banded()
        return [
            *found,
            *self._direct.weigh(least_seconds(found), "indefinite", definite=False),
            minres,
        ]

    def _general(self) -> list[Candidate]:
        nonzeros = self._nonzeros
        found = self._banded()
        found += self._direct.weigh(least_seconds(found), "sparse LU")
        found.append(self._gmres_with_amg(least_seconds(found)))
        # Its iterations grow with the grid; half a step from border to middle each is a guess.
        steps = max(30.0, 0.5 * self._part.whole_radius) * np.log(1 / self.rtol) / 18
        ilu = (2e-6 + self.solves * steps * 4e-8) * nonzeros
        told = "GMRES, incomplete LU; iterations are a guess"
        return [*found, Candidate("gmres+ilu", ilu, 300 * nonzeros, told)]

    def _gmres_with_amg(self, best: float) -> Candidate:
        """Try GMRES with smoothed aggregation on the part, if it could win."""
        nonzeros, size, rates = self._nonzeros, self._part.operator.n, self.rates
        # Both the hierarchy and its transpose, for adjoints.
        setup = 2.0 * rates.aggregation * nonzeros
        least = setup + self.solves * AMG_LEAST * (
            3.0 * rates.cycle * nonzeros + 2.0 * self._iteration
        )
        held = 80 * nonzeros + 60 * 8 * self.n
        if least > WORTH * best:
            because = f"no faster, even with {AMG_LEAST} iterations a solve; not tried"
            return Candidate("gmres+amg", least, held, because, at_least=True)
        trial = try_amg(self._part.operator, "auto", self.rtol, AMG_MOST)
        if trial is None:
            because = f"more than {AMG_MOST} iterations on {size} of the unknowns"
            return Candidate("gmres+amg", max(best, least), held, because, at_least=True)
        cycle = 1.3 * rates.cycle * trial.bytes / 12 * nonzeros + 2.0 * self._iteration
        seconds = setup + self.solves * grown(self._part, trial.iterations) * cycle
        because = f"GMRES, AMG: {trial.iterations} iterations on {size} of the unknowns"
        return Candidate("gmres+amg", seconds, held, because)

    def _products(self) -> Candidate:
        helped = self.operator.preconditioning_entries is not None
        definite = self.operator.structure is Structure.POSITIVE_DEFINITE
        if definite and isinstance(self.operator.source, StencilOperator):
            found = self._multilevel.on_grid(np.inf, "declared positive definite")
            if found and not found[0].at_least:
                return found[0]
        if definite and isinstance(self.operator.source, FilterOperator):
            because = "filters with averaged weights as preconditioner"
            return Candidate("cg+spectral", 0.0, CG_BYTES * self.n, because)
        if definite:
            name = "cg+jacobi" if helped else "cg"
        elif self.operator.structure is Structure.SYMMETRIC:
            name = "minres+jacobi" if helped else "minres"
        else:
            name = "gmres+ilu" if helped else "gmres"
        because = f"products alone, {self.operator.structure.value}"
        return Candidate(name, 0.0, CG_BYTES * self.n, because)
