"""A prepared system on its way from one solve to the next."""

from __future__ import annotations

from typing import Any

import numpy as np

from .contract import PreparedSystem, Solver
from .method import Needs
from .operator import Operator
from .preconditioning import Preconditioner


class Passed:
    """A prepared system for the next solve, which takes it if its matrix is the same, or drops it.

    Either way it is given away once: whoever prepares another matrix then has the memory of this
    one, unless its first owner still holds it.

    Parameters
    ----------
    system : PreparedSystem
    """

    def __init__(self, system: PreparedSystem) -> None:
        self._system: PreparedSystem | None = system

    def take(self, operator: Operator, solver: Solver) -> PreparedSystem | None:
        """Return the system if a fresh one of this matrix by this solver would be the same.

        Cost: one comparison of all entries, and where they agree one fingerprint.
        """
        system, self._system = self._system, None
        if system is None or not _alike(system.solver, solver) or not system.is_of(operator):
            return None
        return system


def _alike(one: Any, other: Any) -> bool:
    """Whether two solvers, preconditioners or settings of theirs are the same."""
    if one is other or type(one) is not type(other):
        return one is other
    if isinstance(one, Solver | Preconditioner):
        mine, theirs = vars(one), vars(other)
        return mine.keys() == theirs.keys() and all(_alike(mine[k], theirs[k]) for k in mine)
    return isinstance(one, bool | int | float | str | np.dtype | Needs) and bool(one == other)
