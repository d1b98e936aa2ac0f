"""The factorization or hierarchy of a neighbouring matrix as preconditioner."""

from __future__ import annotations

from typing import ClassVar

from ...errors import StructureError
from ..contract import PreparedSystem
from ..operator import Array, Operator
from ..preconditioning import Preconditioner, PreparedPreconditioner


class Lagged(Preconditioner):
    """M = what was prepared for a neighbouring matrix.

    The last Newton step's factor, of A at the iterate before the solution, brings the adjoint
    at the solution to full accuracy in a few products: no second factorization.
    """

    name = "lagged"
    entries: ClassVar[bool] = False

    def __init__(self, system: PreparedSystem) -> None:
        self.system = system

    def prepare(self, operator: Operator, analysis: object = None) -> PreparedPreconditioner:
        """Take it as it is; nothing is left to prepare."""
        held = self.system.method.as_preconditioner()
        if held is None or self.system.operator.n != operator.n:
            raise StructureError(
                f"{self.system!r} holds nothing that could precondition {operator!r}.",
                where="preconditioner 'lagged', prepare",
                fix="give a prepared system of the same size with a factor or a hierarchy.",
            )
        return _Held(held)


class _Held(PreparedPreconditioner):
    """Somebody else's work: neither it nor its memory is counted a second time."""

    def __init__(self, held: PreparedPreconditioner) -> None:
        self._held = held

    def apply(self, r: Array) -> Array:
        return self._held.apply(r)

    def apply_transpose(self, r: Array) -> Array:
        return self._held.apply_transpose(r)
