"""The matrix of Newton's steps: A, or what takes its place where steps with A are poor."""

from __future__ import annotations

from typing import Any, Final

from .conditions import Conditions
from .linear import Operator
from .linear.operator import Array

# The share of a majorant: what makes fields of experts positive definite; below the least, none.
MOST: Final = 0.5
LEAST: Final = 0.02


class StepMatrix:
    """A, with dual vectors of smoothed norms and a share of a majorant as long as they help.

    They belong to a descent: in a root problem every step is Newton's.
    """

    def __init__(self, conditions: Conditions, *, descends: bool) -> None:
        self._conditions = conditions
        self._descends = descends
        self._majorized = False  # ever
        self.share = 0.0
        self.dual: Any = None

    @property
    def exact(self) -> bool:
        """Whether it is A itself."""
        return self.share == 0.0 and self.dual is None

    def at(self, x: Array, y: Array) -> Operator:
        """Return it where it is not A."""
        return self._conditions.majorant(x, y, self.share, self.dual)

    def majorize(self) -> bool:
        """Take the most of a majorant; False if there is none, or no more of it."""
        if not self._descends or self._conditions.majorant_of is None or self.share >= MOST:
            return False
        self.share, self._majorized = MOST, True
        return True

    def move(self, x: Array, y: Array, step: Array, *, too_long: bool) -> None:
        """Follow a step from y, of which a part was taken if it was too long.

        Dual vectors begin after the first one that was, and go along with the whole step. The
        share of a majorant is a third after a good step, and three times as large after another.
        """
        begin = self._conditions.primal_dual_of
        if self.dual is not None:
            self.dual = self.dual.moved(x, y, step)
        elif too_long and begin is not None and self._descends:
            self.dual = begin()
        if self._majorized and too_long:
            self.share = min(3.0 * max(self.share, LEAST), MOST)
        elif self._majorized:
            self.share = self.share / 3.0 if self.share > LEAST else 0.0
