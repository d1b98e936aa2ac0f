"""What the author of a solver writes: what it needs, and a method prepared for one matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from .operator import Array, Structure
from .preconditioning import PreparedPreconditioner
from .reports import Reason


@dataclass(frozen=True)
class Needs:
    """What a method relies on, as data that can be read without its backend.

    structure : the weakest structure it is right for.
    definite : it wants a positive definite matrix, and finds out itself when it is not.
    entries : it wants the entries, not products alone.
    preconditioning_entries : it wants them, or those of a matrix to precondition from.
    grid : it wants neighbours on a regular grid, and finds out itself whether they are.
    """

    structure: Structure = Structure.GENERAL
    definite: bool = False
    entries: bool = True
    preconditioning_entries: bool = False
    grid: bool = False


@dataclass(frozen=True)
class Attempt:
    """What a method's `_solve` hands back, before anybody believes it.

    spectrum: bounds from inside, (smallest, largest), of the eigenvalues of M⁻¹A, where it has
    met them on its way. residuals: relative, of the worst column, by its own recursion. pace:
    seconds of an iteration.
    """

    value: Array
    iterations: int = 0
    reason: Reason = Reason.CONVERGED
    spectrum: tuple[float, float] | None = None
    residuals: tuple[float, ...] = ()
    pace: float = 0.0


class PreparedMethod(ABC):
    """A method ready for one matrix: a factorization, a preconditioner with its Krylov method.

    direct : the answer does not depend on a tolerance.
    analysis : what a matrix with the same pattern can take over, or None.
    perturbed : pivots near zero that were replaced by larger ones.
    """

    direct: ClassVar[bool] = False
    analysis: Any = None
    perturbed: int = 0
    analyses: int = 0
    factorizations: int = 0
    reused: str | None = None
    bytes_estimate: int | None = None

    @abstractmethod
    def _solve(self, b: Array, rtol: Array) -> Attempt:
        """Approximate A⁻¹ b for b (n, k) with columns of norm 1, to rtol (k,) each.

        b is not to be changed.
        """

    @abstractmethod
    def _solve_adjoint(self, b: Array, rtol: Array) -> Attempt:
        """The same for A⁻ᵀ b."""

    def as_preconditioner(self) -> PreparedPreconditioner | None:
        """Return what preconditions a neighbouring matrix: the factor itself, where direct."""
        return _Inverse(self) if self.direct else None


@final
class _Inverse(PreparedPreconditioner):
    """A direct method as preconditioner."""

    def __init__(self, method: PreparedMethod) -> None:
        self._method = method
        self.bytes_estimate = method.bytes_estimate

    def apply(self, r: Array) -> Array:
        return self._method._solve(r, np.ones(r.shape[1])).value

    def apply_transpose(self, r: Array) -> Array:
        return self._method._solve_adjoint(r, np.ones(r.shape[1])).value


class Empty(PreparedMethod):
    """The system of no unknowns."""

    direct = True

    def _solve(self, b: Array, rtol: Array) -> Attempt:
        return Attempt(b)

    def _solve_adjoint(self, b: Array, rtol: Array) -> Attempt:
        return Attempt(b)
