"""Primal–dual active sets for bounds on the state.

    l ≤ y ≤ u,    c = 0 where l < y < u,    c ≥ 0 where y = l,    c ≤ 0 where y = u

An unknown is taken to its lower bound where y_i − l_i < c_i/d_i, d the diagonal of A, and likewise
to its upper one; for the rest follows a step of Newton's. This is semismooth Newton for
``y = clip(y − c/d, l, u)``.
"""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np
from scipy import sparse

from ..conditions import Conditions
from ..errors import NonFinite, NotConverged, NotPositiveDefinite, StructureError
from ..linear import Operator, PreparedSystem, Solver, select
from ..linear.operator import Array, norm
from .active_sets import ActiveSets, InequalityReport
from .condensed import Mask, same_entries

ROUNDING: Final = 64 * float(np.finfo(float).eps)
PATIENCE: Final = 10  # exchanges of all wrong unknowns at once, without fewer of them
ARMIJO: Final = 1e-4
# A spring of γ d reaches about 1/√γ neighbours. Sets creep where this many exchanges in a row were
# of at least so many unknowns and hardly grew smaller. On a membrane of 64², 128², 256², 512² nodes
# factorizations were 13, 24, 44, 83 with no springs, and are 13, 19, 19, 19.
PENALTIES: Final = tuple(10.0**k for k in range(-5, 1))
PENALTY_STEPS: Final = 2
CREEPING: Final = 2
FEW: Final = 300


class ActiveSetMethod:
    """One run.

    Raises
    ------
    NotConverged
        With the best y in ``error.best``.
    StructureError
        If A has no entries, or a diagonal entry that is not positive.

    Notes
    -----
    For a linear c whose matrix is an M-matrix the sets converge monotonically, but on fine meshes
    lose one layer of neighbours a step; then y is approached by springs in place of the bounds,
    stronger and stronger ones, and the sets go on from there. For any P-matrix
    (positive definite ones, symmetric or not) exchanges of single unknowns, the last wrong one each
    time, end after finitely many; they begin where ten exchanges of all wrong ones have not made
    them fewer. Where the sets stay, a nonlinear c is brought down by Newton's method with a line
    search on ‖c_I‖. Source: Hintermüller, Ito, Kunisch 2002, SIAM J. Optim. 13; Júdice and Pires
    1994, Comput. Oper. Res. 21 (the safeguard).
    """

    def __init__(
        self,
        conditions: Conditions,
        x: Array,
        low: Array,
        high: Array,
        *,
        linear_solver: str | Solver,
        start: ActiveSets | None,
        rtol: float,
        max_iterations: int,
    ) -> None:
        self.conditions: Final = conditions
        self.x: Final = x
        self.low: Final = low
        self.high: Final = high
        self.fixed: Final = low == high
        self.linear_solver: Final = linear_solver
        same = start is not None and start.linear_solver == linear_solver
        self.selection = start.selection if start is not None and same else None
        self._chosen_for = 0 if start is None else start.figures["inactive"]
        self.rtol: Final = rtol
        self.max_iterations: Final = max_iterations
        self.system: PreparedSystem | None = None
        self._inactive: Mask | None = None
        self.factorizations = self.single_exchanges = self.shortened = self.penalty_steps = 0
        self.history: list[float] = []
        self.changes: list[int] = []

    def at(self, y: Array) -> ActiveSets:
        """Return who belongs where at a y, be it a solution or not."""
        residual = self.conditions.residual(self.x, y)
        jacobian = self.conditions.state_jacobian(self.x, y)
        diagonal = self.diagonal_of(jacobian)
        lower, upper = self.sets(y, residual, diagonal)
        figures = {"inactive": int(np.count_nonzero(~(lower | upper))), "rtol": self.rtol}
        return ActiveSets(
            y, residual, lower, upper, jacobian, diagonal, None, None, self.linear_solver, figures
        )

    def run(self, y: Array) -> ActiveSets:
        """Find the solution from a first guess."""
        self.started = time.perf_counter()
        y = np.clip(y, self.low, self.high)
        sets: tuple[Mask, Mask] | None = None
        self._fewest, self._patience = y.size + 1, PATIENCE
        while True:
            residual = self.conditions.residual(self.x, y)
            jacobian = self.conditions.state_jacobian(self.x, y)
            diagonal = self.diagonal_of(jacobian)
            miss = self.natural(y, residual, diagonal)
            scale = max(norm(jacobian.apply(y)), norm(residual)) or 1.0
            self.history.append(norm(diagonal * miss) / scale)
            wanted = self.sets(y, residual, diagonal)
            done = self.history[-1] <= max(self.rtol, ROUNDING)
            if done or len(self.history) > self.max_iterations:
                return self.finish(y, residual, wanted, jacobian, diagonal, miss, done)
            if sets is not None and self.creeps(sets, wanted):
                y, sets = self.approached(y), None
                continue
            sets = wanted if sets is None else self.exchanged(sets, wanted)
            y = self.step(y, residual, jacobian, sets)

    def creeps(self, sets: tuple[Mask, Mask], wanted: tuple[Mask, Mask]) -> bool:
        """Whether the sets lose one layer of neighbours after the other; asked for once."""
        count = int(np.count_nonzero((wanted[0] != sets[0]) | (wanted[1] != sets[1])))
        last = self.changes[-CREEPING:]
        return (
            self.penalty_steps == 0
            and len(last) == CREEPING
            and min(last) >= FEW
            and 2 * count > last[-1]
            and 2 * last[-1] > last[-2]
        )

    def approached(self, y: Array) -> Array:
        """Return y of ``c + γ d (y − clip(y, l, u)) = 0`` for γ up to 1, cut at the bounds.

        A weak spring reaches over many neighbours, so that each γ takes a step or two on any mesh.
        """
        first = y
        try:
            for gamma in PENALTIES:
                for _ in range(PENALTY_STEPS):
                    over = y - np.clip(y, self.low, self.high)
                    jacobian = self.conditions.state_jacobian(self.x, y)
                    spring = gamma * self.diagonal_of(jacobian)
                    c = self.conditions.residual(self.x, y) + spring * over
                    matrix = jacobian.entries + sparse.diags_array(spring * (over != 0.0))
                    system = self.prepared(Operator(matrix, self.conditions.structure))
                    y = y + system.solve(-c, rtol=1e-6, strict=False).value
                    self.penalty_steps += 1
                    after = y - np.clip(y, self.low, self.high)
                    if np.array_equal(over != 0.0, after != 0.0):
                        break
        except NonFinite:
            y = first
        self.system = self._inactive = None
        return np.clip(y, self.low, self.high)

    def exchanged(self, sets: tuple[Mask, Mask], wanted: tuple[Mask, Mask]) -> tuple[Mask, Mask]:
        """Return the next sets: all that is wrong exchanged, or the last of it alone."""
        wrong = (wanted[0] != sets[0]) | (wanted[1] != sets[1])
        count = int(np.count_nonzero(wrong))
        if 0 < count < self._fewest:
            self._fewest, self._patience = count, PATIENCE
        elif count:
            self._patience -= 1
        if count > 1 and self._patience < 0:
            last = np.flatnonzero(wrong)[-1]
            wrong = np.zeros_like(wrong)
            wrong[last] = True
            self.single_exchanges += 1
        self.changes.append(int(np.count_nonzero(wrong)))
        return np.where(wrong, wanted[0], sets[0]), np.where(wrong, wanted[1], sets[1])

    def diagonal_of(self, jacobian: Operator) -> Array:
        """Return d, positive."""
        if jacobian.entries is None:
            raise StructureError(
                "active sets need the entries of the state Jacobian; it gives products alone.",
                where="VariationalInequality",
                fix="return a sparse array.",
            )
        diagonal = jacobian.diagonal
        if not (diagonal > 0).all():
            place = int(np.argmin(diagonal > 0))
            raise StructureError(
                f"the diagonal of the state Jacobian is {diagonal[place]:.3g} at unknown {place}; "
                "with bounds, c must rise with y.",
                where="VariationalInequality",
                fix="change the sign of the residual and its derivatives, if c falls with y.",
            )
        return diagonal

    def sets(self, y: Array, residual: Array, diagonal: Array) -> tuple[Mask, Mask]:
        """Return who belongs to the lower and to the upper bound."""
        force = residual / diagonal
        lower = (y - self.low < force) | self.fixed
        upper = (self.high - y < -force) & ~lower
        return lower, upper

    def natural(self, y: Array, residual: Array, diagonal: Array) -> Array:
        """Return y − clip(y − c/d, l, u), zero at a solution alone."""
        return np.asarray(y - np.clip(y - residual / diagonal, self.low, self.high))

    def step(self, y: Array, residual: Array, jacobian: Operator, sets: tuple[Mask, Mask]) -> Array:
        """Take the active unknowns to their bounds and the others along Newton's step."""
        lower, upper = sets
        inactive = ~(lower | upper)
        move = np.zeros_like(y)
        move[lower] = (self.low - y)[lower]
        move[upper] = (self.high - y)[upper]
        stayed = self._inactive is not None and np.array_equal(inactive, self._inactive)
        stayed = stayed and not move.any()
        rows = sparse.csr_array(jacobian.entries[inactive])
        rhs = -residual[inactive] - rows @ move
        system = self.prepared(Operator(rows[:, inactive], self.conditions.structure))
        rtol = float(np.clip(0.01 * self.rtol / self.history[-1], 1e-14, 1e-3))
        move[inactive] = system.solve(rhs, rtol=rtol, strict=False).value
        self._inactive = inactive
        t, size = 1.0, norm(residual[inactive])
        for _ in range(30):
            trial = y + t * move
            trial[lower], trial[upper] = self.low[lower], self.high[upper]
            try:
                after = norm(self.conditions.residual(self.x, trial)[inactive])
            except NonFinite:
                t *= 0.2
                continue
            if not stayed or after <= (1.0 - ARMIJO * t) * size:
                self.shortened += t < 1.0
                return trial
            t *= 0.5
        return trial

    def prepared(self, matrix: Operator) -> PreparedSystem:
        """Return the prepared A_II; the last one again, if it is of the same entries."""
        if self.system is not None and same_entries(self.system.operator, matrix):
            return self.system
        if self.selection is None or (
            self.linear_solver == "auto" and not 0.5 <= matrix.n / max(self._chosen_for, 1) <= 2.0
        ):
            self.choose(matrix)
        assert self.selection is not None  # noqa: S101 - just made
        self.system = None  # before the next one is made
        try:
            self.system = self.selection.solver.prepare(matrix, because=self.selection.because)
        except StructureError as error:
            # What was right for the whole grid is not for a part of it.
            if self.linear_solver != "auto" or isinstance(error, NotPositiveDefinite):
                raise
            self.choose(matrix)
            self.system = self.selection.solver.prepare(matrix, because=self.selection.because)
        self.factorizations += self.system.report.factorizations
        return self.system

    def choose(self, matrix: Operator) -> None:
        """Choose a solver, for matrices of about this size."""
        self.selection, self._chosen_for = select(self.linear_solver, matrix), matrix.n

    def finish(
        self,
        y: Array,
        residual: Array,
        sets: tuple[Mask, Mask],
        jacobian: Operator,
        diagonal: Array,
        miss: Array,
        converged: bool,
    ) -> ActiveSets:
        """Return the solution with its figures, or raise."""
        largest = float(np.abs(y).max(initial=0.0)) or 1.0
        lower, upper = sets
        figures: dict[str, Any] = {
            "converged": converged,
            "rtol": self.rtol,
            "residual_relative": self.history[-1],
            "complementarity": float(np.abs(miss).max(initial=0.0)) / largest,
            "iterations": len(self.history) - 1,
            "inactive": int(np.count_nonzero(~(lower | upper))),
            "lower_active": int(np.count_nonzero(lower)),
            "upper_active": int(np.count_nonzero(upper)),
            "factorizations": self.factorizations,
            "penalty_steps": self.penalty_steps,
            "single_exchanges": self.single_exchanges,
            "shortened_steps": self.shortened,
            "linear_solver": "" if self.selection is None else self.selection.solver.label,
            "because": "" if self.selection is None else self.selection.because,
            "history": tuple(self.history),
            "changes": tuple(self.changes),
            "seconds": time.perf_counter() - self.started,
        }
        if not converged:
            changes = " → ".join(map(str, self.changes[-6:]))
            raise NotConverged(
                f"the active sets did not settle in {self.max_iterations} iterations: residual "
                f"{self.history[-1]:.1e}, rtol {self.rtol:.1e} (unknowns that changed: {changes}).",
                best=y,
                report=InequalityReport(weakly_active=0, **figures),
                where="VariationalInequality",
                fix="start nearer with `y0` or `start`; check the derivatives with "
                "si.verify.derivatives; or raise max_iterations.",
            )
        return ActiveSets(
            y,
            residual,
            lower,
            upper,
            jacobian,
            diagonal,
            self.system,
            self.selection,
            self.linear_solver,
            figures,
        )
