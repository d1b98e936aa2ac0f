"""The linear systems of a state: solved with Newton's last factorization, or with one of its own.

The last step's factorization is of A at the iterate before: as a preconditioner it brings every
solve at the state to full accuracy in a few products. Whether to rent it or to buy one of A at the
state: rent until that has cost what buying costs, and so pay twice the least at most.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from .errors import NotConverged, NotPositiveDefinite, SingularSystem
from .linear import (
    CG,
    GMRES,
    Lagged,
    LinearSolution,
    Operator,
    PreparationReport,
    PreparedSystem,
    Solver,
    Structure,
    change_between,
    foretold_iterations,
)
from .linear.operator import Array

# A factor from the last Newton step is so near that it needs one to four products; where it needs
# this many, a factorization at the solution is the cheaper way.
LAGGED_ITERATIONS: Final = 40
FEWEST: Final = 4  # products that a lagged factor is allowed, however cheap another one is
WORTHLESS: Final = 0.01  # seconds: where a preparation takes less, there is little to gain


class StateSystem:
    """What solves with A at a state; it owns the factorization, one at a time.

    Parameters
    ----------
    matrix : Operator
        A at the state.
    solver : Solver
        What prepares it.
    last : PreparedSystem or None
        What Newton's last step left.
    analysis : optional
        A symbolic analysis of the pattern.
    because : str
    by_clock : bool
        Whether measured times decide when A is factorized itself. Without, it is where the last
        factorization leads nowhere.
    """

    def __init__(
        self,
        matrix: Operator,
        solver: Solver,
        *,
        last: PreparedSystem | None,
        analysis: Any,
        because: str,
        by_clock: bool,
    ) -> None:
        self.matrix: Final = matrix
        self.solver: Final = solver
        self.because: Final = because
        self.by_clock: Final = by_clock
        useful = last is not None and last.report.factorizations > 0
        self.lags = last is not None and useful and not last.is_of(matrix)
        self._last = last if useful else None
        self._analysis = analysis
        self._made: PreparedSystem | None = None
        self._spent = 0.0  # seconds that solves took more than with a factor of A itself
        self._rate: float | None = None  # the same for a column and a factor of e in accuracy

    @property
    def system(self) -> PreparedSystem:
        """The prepared system of A, made at first need."""
        if self._made is None:
            self._made = self._prepared()
        return self._made

    @property
    def preparation(self) -> PreparationReport | None:
        """What preparing A took beyond Newton's own steps; None if nothing was needed (yet)."""
        made = self._made
        return None if made is None or made is self._last else made.report

    @property
    def factor(self) -> PreparedSystem | None:
        """The costly preparation of A itself, where there is one."""
        made = self._last if self._made is None else self._made
        return made if made is not None and made.is_of(self.matrix) else None

    @property
    def analysis(self) -> Any:
        """Symbolic work for the next matrix of this pattern."""
        made = self._last if self._made is None else self._made
        return made.analysis if self._analysis is None and made is not None else self._analysis

    def anew(self) -> StateSystem:
        """Return the same without Newton's last factorization."""
        return StateSystem(
            self.matrix, self.solver, last=None, because=self.because, by_clock=self.by_clock,
            analysis=self._analysis if self._last is None else self._last.analysis,
        )  # fmt: skip

    def solve(
        self, b: Any, *, rtol: float, start: Array | None = None, transpose: bool = False
    ) -> LinearSolution:
        """Solve A x = b, or Aᵀ x = b, b (n,) or (n, k); in the way that looks cheaper.

        Raises
        ------
        NotConverged, NotPositiveDefinite, SingularSystem, ShapeError, NonFinite
        """
        if self.lags:
            self._weigh(rtol, 1 if np.ndim(b) < 2 else np.shape(b)[1])
        try:
            run = self.system.solve_adjoint if transpose else self.system.solve
            solution = run(b, rtol=rtol, start=start)
        except (NotConverged, NotPositiveDefinite, SingularSystem) as error:
            if not self.lags:
                raise
            failed = f"'{self.system.solver.label}' failed: {type(error).__name__}"
        else:
            if self.lags:
                self._learn(solution)
            return solution
        self._buy(failed)
        return self.solve(b, rtol=rtol, start=start, transpose=transpose)

    def _prepared(self) -> PreparedSystem:
        a, last = self.matrix, self._last
        if last is None:
            return self.solver.prepare(a, analysis=self._analysis, because=self.because)
        if not self.lags:
            return last
        most = LAGGED_ITERATIONS
        if self._counted(last):
            affordable = self._price(last) / max(last.seconds_each, 1e-9)
            most = int(np.clip(affordable, FEWEST, LAGGED_ITERATIONS))
        lagged: Solver = GMRES(Lagged(last), restart=most, max_iterations=most)
        if a.structure is Structure.POSITIVE_DEFINITE:
            lagged = CG(Lagged(last), max_iterations=most)
        because = f"the factorization of the last Newton step ('{self.solver.label}') preconditions"
        return lagged.prepare(a, because=because)

    def _counted(self, last: PreparedSystem) -> bool:
        """Whether measured times decide: a hierarchy of A itself needs iterations as well."""
        return self.by_clock and last.method.direct and self._price(last) > WORTHLESS

    def _price(self, last: PreparedSystem) -> float:
        return sum(last.report.seconds.values())

    def _weigh(self, rtol: float, columns: int) -> None:
        """Factorize A itself where renting would have cost as much after the next solve."""
        last = self._last
        if last is None or not self._counted(last):
            return
        if self._rate is None:
            change = change_between(last.operator, self.matrix)
            products = min(foretold_iterations(change, rtol), float(LAGGED_ITERATIONS))
            expected = columns * products * last.seconds_each
        else:
            expected = columns * self._rate * float(np.log(2.0 / rtol))
        if self._spent + expected > self._price(last):
            self._buy(
                f"a preparation takes {self._price(last):.2g} s; '{last.solver.label}' of the last "
                f"Newton step has taken {self._spent:.2g} s longer than it would, and "
                f"{expected:.2g} s more were expected"
            )

    def _learn(self, solution: LinearSolution) -> None:
        assert self._last is not None  # noqa: S101 - it lags
        report = solution.report
        longer = max(report.seconds - report.columns * self._last.seconds_each, 0.0)
        self._spent += longer
        self._rate = longer / (report.columns * float(np.log(2.0 / report.rtol)))

    def _buy(self, why: str) -> None:
        assert self._last is not None  # noqa: S101 - it lags
        self._analysis = self._last.analysis
        # Dropped before the next one is made: two factors at once would double the memory.
        self._made = self._last = None
        self.lags = False
        because = f"{self.because}; {why}"
        self._made = self.solver.prepare(self.matrix, analysis=self._analysis, because=because)
