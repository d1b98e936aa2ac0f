"""A run of a trust-region method: it goes on from accepted points, whose states it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Final

import numpy as np

from ..errors import ConfigError
from ..hypergradient import hypergradient
from ..implicit import SolvedState
from ..linear.operator import Array
from ..reduced_hessian import ReducedHessian, reduced_hessian
from .history import TrustStep, Work
from .lower import Kept
from .point import Point
from .run import Run
from .steihaug import Product
from .trials import Judged, Proposal


class TrustRun:
    """What `newton_cg` asks for, of a `Run`.

    The states of the accepted point are held with their factors, for products with the Hessian, and
    trial points start from them. A checkpoint has of each evaluation the step that led there, and
    what its states started from: a resumed run repeats no product, and solves again for the states
    of one point only, the accepted one, in the way in which they were solved first.
    """

    def __init__(self, run: Run) -> None:
        self.run: Final = run
        self.base = 0  # the evaluation at the accepted point
        self.since = [0]  # of each evaluation, the one it went on from
        self.at: Point  # the accepted point
        self.held: tuple[Kept, ...] | None = None
        self.hessians: list[ReducedHessian] = []  # of the step that is made

    def first(self, x: Array) -> Point:
        """Evaluate loss and gradient at the start."""
        taken = self.run.take(x, keep=True, since=0)
        self._accept(taken.point, taken.kept)
        self.run.tell(taken)
        return taken.point

    def recorded(self, point: Point, radius: float) -> Proposal | None:
        """Return the step from there, where the checkpoint has it.

        Raises
        ------
        ConfigError
            If it was made in another trust region or inner product.
        """
        record = self.run.recorded()
        if record is None or record.step is None:
            return None
        step = record.step
        length = self.run.inner.norm(record.x - point.x)
        if (step.radius, step.length) != (radius, length):
            raise self.run.another(f"was reached by a step of length {step.length:.6g} in a "
                                   f"radius of {step.radius:.6g}, not {length:.6g} in "
                                   f"{radius:.6g}")  # fmt: skip
        return Proposal(record.x, step)

    def hessian(self, point: Point, *, gauss_newton: bool) -> Product:
        """Return v ↦ Σᵢ Hᵢ v at the accepted point."""
        self.hessians = hessians = [
            reduced_hessian(loss, solved, adjoint=h, rtol=self.run.rtol, gauss_newton=gauss_newton)
            for loss, (solved, h) in zip(self.run.losses, self._states(), strict=True)
        ]
        return lambda v: np.sum([hessian.apply(v) for hessian in hessians], axis=0)

    def trial(self, proposal: Proposal, judge: Callable[[Point], Judged]) -> Judged:
        """Evaluate at the proposed point, and go on from there if it is accepted."""
        index = len(self.run.history)
        work = [Work(hessian_products=h.report.products, factorizations=h.report.factorizations)
                for h in self.hessians]  # fmt: skip
        self.hessians = []
        taken = self.run.take(
            proposal.x, keep=True, trial=True, step=proposal.step, since=self.since[-1], before=work
        )
        self.since.append(self.base)
        judged = judge(taken.point)
        if judged.accepted:
            self.base = index
            self._accept(taken.point, taken.kept)
        step = asdict(proposal.step)
        step["cg_iterations"] = step.pop("iterations")
        self.run.tell(taken, TrustStep(**step, ratio=judged.ratio, accepted=judged.accepted))
        return judged

    def solved(self, point: Point) -> list[SolvedState]:
        """Return the states at the best point, held or not."""
        held = [solved for solved, _ in self._states()]
        return held if np.array_equal(point.x, self.at.x) else self.run.solve(point.x)

    def _accept(self, point: Point, kept: tuple[Kept, ...] | None) -> None:
        self.at, self.held = point, kept
        if kept is not None:
            self.run.starts = tuple(solved.handover() for solved, _ in kept)

    def _states(self) -> tuple[Kept, ...]:
        """Return the states of the accepted point; solve as was done before, if need be."""
        if self.held is None:
            assert self.run.checkpoint is not None  # noqa: S101 - the evaluation comes from it
            given = self.run.checkpoint.starts(self.base)
            if given is None:
                raise ConfigError(
                    f"the states of evaluation {self.base} are gone from "
                    f"{self.run.checkpoint.folder}.",
                    where="minimize",
                    fix="start over with another folder.",
                )
            states = [
                self.run.state(i, self.at.x, given[i] if given else None)
                for i in range(len(self.run.losses))
            ]
            self._accept(self.at, tuple(
                (solved, hypergradient(loss, solved, rtol=self.run.rtol))
                for loss, solved in zip(self.run.losses, states, strict=True)
            ))  # fmt: skip
        assert self.held is not None  # noqa: S101 - just made
        return self.held
