"""What a trust-region method and the run that it belongs to tell each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..linear.operator import Array
from .bounds import Limits, projected_step
from .checkpoint import StepRecord
from .inner import InnerProduct
from .point import Point
from .steihaug import Product


@dataclass(frozen=True)
class Proposal:
    """A step from an accepted point: where to, x (n_x,), and what the model expects of it."""

    x: Array
    step: StepRecord


@dataclass(frozen=True)
class Judged:
    """A trial point: actual over predicted decrease, and whether it was accepted.

    drowned: the decrease is too small for the accuracy of the loss, and was taken from gradients.
    """

    point: Point
    ratio: float
    accepted: bool
    drowned: bool


class Problem(Protocol):
    """What `newton_cg` asks of its caller."""

    def first(self, x: Array) -> Point:
        """Evaluate loss and gradient at the start."""

    def recorded(self, point: Point, radius: float) -> Proposal | None:
        """Return the step from there of a run that is taken up again, None if it has to be made."""

    def hessian(self, point: Point, *, gauss_newton: bool) -> Product:
        """Return v ↦ H v at the last accepted point."""

    def trial(self, proposal: Proposal, judge: Callable[[Point], Judged]) -> Judged:
        """Evaluate at the proposed point, which is then accepted or not."""


@dataclass(frozen=True)
class Metric:
    """The bounds, and M; with bounds the diagonal of its row sums too."""

    inner: InnerProduct
    limits: Limits

    def size(self, point: Point, scale: float) -> float:
        """Return what is left of the gradient: its dual norm, or the projected step's length.

        With bounds, ``‖x − P(x − D⁻¹ g)‖_D``, of the loss over scale; it is 0 where the conditions
        of Karush, Kuhn and Tucker hold.
        """
        if self.limits is None:
            return point.size / scale
        d = self.inner.lumped()
        return d.norm(projected_step(point.x, d.riesz(point.gradient) / scale, self.limits))
