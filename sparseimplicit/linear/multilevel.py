"""What multigrid would cost, on a grid and algebraic: bounds first, then trials on a part."""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np

from ..kernels import PARALLEL_ROWS
from .factorizations import WORTH, Candidate
from .operator import Operator
from .probe import SAMPLE, Part, numbering_of, try_amg, try_multigrid
from .rates import Rates
from .recognition import may_be_on_grid, stencil_of
from .solvers.multigrid import Recognised
from .stencil import StencilOperator, is_near

AMG_LEAST: Final = 5  # iterations that AMG needs at best, to 1e-8
AMG_MOST: Final = 100
GRID_LEAST: Final = 4  # cycles of multigrid on grids at best, with the one before the iterations
GRID_MOST: Final = 60
GRID_USUAL: Final = 20  # at most, where coefficients jump by 10⁴: scripts/bench/kernels.py
MILD: Final = 50.0  # a condition number below which it does with about the least
TRIAL: Final = 6e-3  # seconds of a trial on a window of a thousand points, mostly of calls
GRID_TRIAL: Final = 0.06  # of the time at stake that it may cost where it cannot change the choice
GRID_BYTES: Final = 130  # a point: the hierarchy in float32
CG_BYTES: Final = 100  # an unknown: nine vectors and the right-hand side


class Multilevel:
    """The candidates of both kinds for one symmetric matrix.

    iteration : seconds of one of CG, as far as is known when a method is called.
    """

    def __init__(self, operator: Operator, solves: int, rtol: float, rates: Rates) -> None:
        self.operator = operator
        self.n = operator.n
        self.solves = solves
        self.rtol = rtol
        self.rates = rates

    @property
    def _nonzeros(self) -> int:
        return int(self.operator.entries.nnz)

    @cached_property
    def _stencil(self) -> StencilOperator | None:
        """The matrix as a stencil of nearest neighbours on a grid, if it is one."""
        source = self.operator.source
        if isinstance(source, StencilOperator):
            return source if is_near(source) else None
        return stencil_of(self.operator.entries, self.operator.grid)

    @cached_property
    def _gridded(self) -> bool:
        given = isinstance(self.operator.source, StencilOperator)
        return given or may_be_on_grid(self.operator.entries, self.operator.grid)

    def _grid_seconds(self, cycles: float) -> float:
        at_rtol = cycles * np.log(1.0 / self.rtol) / np.log(1e8)
        rates = self.rates
        cycle = self.solves * max(float(at_rtol), 2.0) * rates.grid_cycle
        # One core alone works below PARALLEL_ROWS; of a cycle, much is then in its caches.
        alone = self.n < PARALLEL_ROWS
        return self.n * (
            rates.grid_setup * (2.4 if alone else 1.0) + cycle * (1.5 if alone else 1.0)
        )

    def grid_at_best(self) -> float:
        """Return the seconds of multigrid at best; infinity for what is on no grid."""
        return self._grid_seconds(GRID_LEAST) if self._gridded else np.inf

    def on_grid(
        self, best: float, word: str, rival: float = 0.0, condition: float = np.inf
    ) -> list[Candidate]:
        """Try multigrid on a window of the grid, where it could win and the matrix is on one.

        best : seconds of the best method so far. rival : a bound from below for all to come.
        condition : number of D⁻¹A, as far as CG has seen; where it is small, so are the cycles.
        """
        if not self._gridded:
            return []
        least = self.grid_at_best()
        held = (GRID_BYTES + CG_BYTES + 32) * self.n
        mild = condition < MILD
        if least > (1.0 if mild else WORTH) * best:
            because = (
                f"hardly faster, even with {GRID_LEAST} cycles a solve and on a grid; not tried"
            )
            return [Candidate("multigrid", least, held, because, at_least=True)]
        stencil = self._stencil
        if stencil is None:
            because = "nearest neighbours on a grid are needed"
            return [Candidate("multigrid", np.inf, held, because, possible=False)]
        if mild:
            because = f"{word}; grid {stencil.grid}, about {GRID_LEAST - 1} iterations; not tried"
            return [self._on(stencil, least, held, because)]
        most = self._grid_seconds(GRID_USUAL)
        if most < min(best, rival) and TRIAL * self.rates.pace > GRID_TRIAL * least:
            because = f"{word}; grid {stencil.grid}, up to {GRID_USUAL} iterations; not tried"
            return [self._on(stencil, 0.5 * (least + most), held, because)]
        # Half of the way tells the rate.
        points = int(np.clip(self.n // 32, 1000, SAMPLE))
        half = try_multigrid(stencil, points, 1e-4, GRID_MOST // 2)
        if half is None:
            because = f"more than {GRID_MOST} iterations on {points} of the points"
            return [Candidate("multigrid", max(best, least), held, because, at_least=True)]
        tried = 2 * half
        # Coefficients that change from point to point slow it down as the grid grows: by up to 1.25
        # for each doubling of a plane's sides, by 1.15 in space; 3 iterations stay 3.
        axes = sum(size > 1 for size in stencil.shape3)
        doublings = np.log2(max(self.n / points, 1.0)) / axes
        slower = 0.25 if axes < 3 else 0.15
        count = tried * (1.0 + slower * np.clip((tried - 3) / 5, 0.0, 1.0)) ** doublings
        because = f"{word}; grid {stencil.grid}, about {count:.0f} iterations, {tried} on a part"
        return [self._on(stencil, self._grid_seconds(count + 1.0), held, because)]

    def _on(self, stencil: StencilOperator, seconds: float, held: int, because: str) -> Candidate:
        analysis = Recognised(self.operator, stencil)
        return Candidate("multigrid", seconds, held, because, analysis=analysis)

    def amg_at_best(self, iteration: float) -> float:
        """Return the seconds of AMG at best."""
        return self._algebraic_at_best(self.rates.classical, iteration)

    def _algebraic_at_best(self, made: float, iteration: float) -> float:
        cycles = AMG_LEAST * (2.0 * self.rates.cycle * self._nonzeros + iteration)
        return made * self._nonzeros + self.solves * cycles

    def algebraic(self, part: Part, iteration: float, best: float, word: str) -> list[Candidate]:
        """Try both kinds on the part, for as many iterations as would still win."""
        nonzeros, size = self._nonzeros, part.operator.n
        held = 40 * nonzeros + CG_BYTES * self.n
        trial_seconds = size / self.n * best
        found: list[Candidate] = []
        kinds = (
            ("classical", "cg+amg", 1.3, self.rates.classical),
            ("aggregation", "cg+sa", 3.1, self.rates.aggregation),
        )
        # Where the numbers say nothing of the neighbourhood, all that moves entries takes longer.
        scattered = numbering_of(self.operator).scattered
        for kind, name, peak, usual in kinds:
            made = (1.0 + 0.6 * scattered) * usual
            least, setup = self._algebraic_at_best(made, iteration), made * nonzeros
            best = min([best, *(c.seconds for c in found if not c.at_least)])
            if least > WORTH * best or best - least < 6.0 * trial_seconds:
                because = f"hardly faster, even with {AMG_LEAST} iterations a solve; not tried"
                found.append(Candidate(name, least, held, because, at_least=True))
                continue
            limit = int(min(AMG_LEAST * (best - setup) / (least - setup) + 1.0, AMG_MOST))
            trial = try_amg(part.operator, kind, self.rtol, limit)
            if trial is None:
                because = f"more than {limit} iterations on {size} of the unknowns"
                found.append(Candidate(name, max(best, least), held, because, at_least=True))
                continue
            count = grown(part, trial.iterations)
            # Not by the part's seconds: of small levels, half is the interpreter's.
            cycle = (1.0 + 0.4 * scattered) * self.rates.cycle * trial.bytes / 12 * nonzeros
            cycle += iteration
            seconds = setup + self.solves * count * cycle
            because = (
                f"{word}; about {count:.0f} iterations, "
                f"{trial.iterations} on {size} of the unknowns"
            )
            bytes_ = int(peak * trial.bytes * nonzeros) + CG_BYTES * self.n
            found.append(Candidate(name, seconds, bytes_, because))
        return found


def grown(part: Part, iterations: int) -> float:
    """Return AMG's iterations on the whole from those on a part: as many, if they are few.

    Of a part with 5 the whole has 5; with 8 at 20³ it has 15 at 64³ and 21 at 100³.
    """
    ratio = max(part.whole_radius / part.radius, 1.0)
    slower = 1.0 + 0.35 * np.log2(ratio) * np.clip((iterations - 4) / 4, 0.0, 1.0)
    return float(slower * iterations)
