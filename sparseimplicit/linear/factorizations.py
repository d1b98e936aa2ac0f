"""What factorizations would cost: by guesses from size and dimension, then by an analysis."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import numpy as np

from .._optional import available
from ..errors import SparseImplicitError
from .operator import Operator
from .pardiso_api import GENERAL
from .probe import Numbering, numbering_of
from .rates import IN_CACHE, Rates
from .solvers.cholmod import Analysis, analysis_of
from .solvers.pardiso import Pardiso, PardisoAnalysis

GUESS_OFF: Final = 1.5  # how many times off the guessed entries of a factor have been
WORTH: Final = 0.85  # a method is looked into if it could take less than this part of the best
# How many times longer an ordering takes where numbers say nothing of the neighbourhood and the
# matrix is beyond the caches: a Delaunay mesh of 2·10⁵ points numbered at random.
SHUFFLED: Final = {"pardiso+amd": 8.0, "pardiso": 3.0, "cholmod+amd": 4.0, "cholmod+metis": 1.5}


@dataclass(frozen=True)
class Candidate:
    """One method weighed: seconds and bytes predicted, and why (not).

    missing: it is impossible only for want of its backend. at_least: the figures are bounds from
    below, and no more was asked, since another method beats even these. analysis: what the plan
    has already done of the method's work, in ``spent`` seconds of those predicted.
    """

    solver: str
    seconds: float
    bytes: int
    because: str
    possible: bool = True
    missing: bool = False
    at_least: bool = False
    analysis: Any = field(default=None, repr=False, compare=False)
    spent: float = 0.0

    @property
    def ahead(self) -> float:
        """The seconds still to come: what the plan has spent on it is spent."""
        return self.seconds - self.spent


@dataclass(frozen=True)
class Fill:
    """Entries of L and operations of the factorization."""

    entries: float
    operations: float


class Factorizations:
    """The direct methods for one matrix.

    Parameters
    ----------
    operator : Operator
        With entries.
    solves : int
    rates : Rates
    dimension : float
        Of its graph, see `probe.Part`.
    """

    def __init__(self, operator: Operator, solves: int, rates: Rates, dimension: float) -> None:
        self.operator = operator
        self.n = operator.n
        self.nonzeros = int(operator.entries.nnz)
        self.solves = solves
        self.rates = rates
        self.dimension = dimension

    @cached_property
    def numbering(self) -> Numbering:
        """How the unknowns are numbered; looked into at first need."""
        return numbering_of(self.operator)

    def _ordering(self, name: str) -> float:
        """Return the seconds of an ordering: by rows and distinct entries; see `SHUFFLED`.

        Entries beyond five a row cost a third: of 81 points, and of seven.
        """
        rate = {
            "cholmod+amd": self.rates.ordering, "cholmod+metis": self.rates.dissection,
            "pardiso+amd": self.rates.pardiso_ordering,
        }.get(name, self.rates.pardiso_dissection)  # fmt: skip
        nonzeros = self.nonzeros * self.numbering.distinct
        # The dissection of PARDISO orders nodes, of which each is the same rows in a row.
        nodes = self.numbering.distinct if name in ("pardiso", "pardiso+single") else 1.0
        counted = nodes * (5.0 * self.n + max(nonzeros - 5.0 * self.n, 0.0) / 3.0)
        spilled = np.clip(np.log2(12.0 * nonzeros / IN_CACHE) / 2.0 + 1.0, 0.0, 1.0)
        lost = (SHUFFLED.get(name, SHUFFLED["pardiso"]) - 1.0) * self.numbering.scattered
        # Minimum degree of PARDISO is quick for symmetric matrices alone.
        slow = name == "pardiso+amd" and not self.operator.structure.symmetric
        return float(rate * counted * (1.0 + lost * spilled) * (6.0 if slow else 1.0))

    def _guess(self) -> Fill:
        """Guess nnz(L) from size, entries a row and dimension d: separators have n^(1 − 1/d).

        2 n log₂ n for planar grids and triangulations, m times that for m unknowns a node; more
        where separators have to be wide. In space 6.7 n^(4/3) for seven points. Within 1.4 × on
        five points at 450², seven at 512² and 1024², 81 at 256², Delaunay meshes with one and
        two unknowns a node. Operations: nnz(L)²/n grows as these do, times 5.
        """
        n, dimension = self.n, self.dimension
        nodes = self.numbering.distinct
        neighbours = self.nonzeros / n * nodes
        width = max(min(neighbours / 5.0, max(neighbours / 6.5, 1.0)), 0.3) / nodes
        planar = 2.0 * n * np.log2(n) * width
        spatial = 6.2 * n ** (2.0 * (1.0 - 1.0 / max(dimension, 2.0))) * width
        entries = float(min(max(planar, spatial) if dimension > 2.3 else planar, 0.5 * n * n))
        return Fill(entries, 5.0 * entries * entries / n)

    def _guess_at_best(self) -> Fill:
        guess = self._guess()
        return Fill(guess.entries / GUESS_OFF, guess.operations / GUESS_OFF**2)

    def at_best(self) -> float:
        """Return the seconds that the quickest of them could take at best."""
        return self._quickest(self._guess_at_best()).seconds

    def guessed(self) -> Candidate:
        """Return the quickest, if its factor is as guessed."""
        return self._quickest(self._guess())

    def _quickest(self, fill: Fill) -> Candidate:
        found = (self._factored(name, fill, "") for name in self._backends())
        return min(found, key=lambda candidate: candidate.seconds)

    def _backends(self) -> list[str]:
        """Return the direct methods that are installed and right for the structure."""
        names = []
        if available("pypardiso"):
            names += ["pardiso+amd", "pardiso"]
        if available("sksparse") and self.operator.structure.symmetric:
            names += ["cholmod+amd", "cholmod+metis"]
        return [*names, "superlu"]

    def weigh(self, best: float, word: str, *, definite: bool = True) -> list[Candidate]:
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
            if bound.seconds > WORTH * min(best, least_seconds(found)) or (
                name == "superlu" and found
            ):
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
        return found + self._single(found, analysed or guess) + self._missing(guess)

    def _single(self, found: list[Candidate], fill: Fill) -> list[Candidate]:
        """Weigh the factor in float32, for where its double does not fit.

        Never the faster one: refinement takes two solves or three, and as the condition number
        comes near 1/ε₃₂ = 1.7e7 it takes many, then fails.
        """
        doubles = [c for c in found if c.solver.startswith("pardiso") and c.possible]
        if not doubles:
            return []
        best = min(doubles, key=lambda c: (c.at_least, c.seconds))
        told = f"{best.because}; in float32, refined in float64: for where memory is short"
        single = self._factored("pardiso+single", fill, told, at_least=best.at_least)
        return [replace(single, seconds=1.1 * max(single.seconds, best.seconds))]

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
        rates, nonzeros, solves = self.rates, self.nonzeros, self.solves
        # Residuals, norms, and a random column beside the first solve.
        checked = 1.2e-7 * rates.pace * self.n
        if name == "superlu":
            # L and U; without symmetry its ordering fills half as much again, and it is serial.
            both = 2.0 * fill.entries * (1.0 if self.operator.structure.symmetric else 1.5)
            seconds = (rates.lu + solves * rates.lu_solve) * both
            seconds += 6.0 * rates.flop * fill.operations + checked
            possible = both < 2**31
            return Candidate(
                name, seconds, int(14 * both), because, **{"possible": possible} | flags
            )
        sides = 1.0 if self.operator.structure.symmetric else 2.0
        entries = sides * fill.entries
        arithmetic = sides * rates.flop * fill.operations
        if name.startswith("cholmod"):
            seconds = rates.factor * entries + arithmetic + solves * rates.solve * entries
            held = 11.0 * entries + 33.0 * nonzeros
        else:
            # Small factors lie in cache: 1.9e-8 s an entry at 200², 2.4e-8 at 512², 3e-8 at 1024².
            spilled = 1.0 + 0.1 * np.log2(max(entries / 1e6, 1.0))
            seconds = spilled * rates.pardiso_factor * entries
            seconds += solves * rates.pardiso_solve * entries
            seconds += 0.5 * arithmetic
            half = 0.5 if name == "pardiso+single" else 1.0
            # Beyond the factor 84 to 350 bytes an unknown were seen, on six matrices of the zoo.
            held = 9.0 * half * entries + 40.0 * nonzeros + 270.0 * self.n
        seconds += checked + (self._ordering(name) if ordered is None else ordered)
        return Candidate(name, seconds, int(held), because, spent=ordered or 0.0, **flags)

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


def least_seconds(candidates: Iterable[Candidate]) -> float:
    """Return the seconds still to come of the quickest that is possible; infinity if none is."""
    return min((c.ahead for c in candidates if c.possible), default=np.inf)
