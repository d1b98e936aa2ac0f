"""The error tree. Every message says *what* happened, *where*, and *how to fix* it.

Backends' own exceptions never leave the package: they are re-raised as one of these, ``from`` the
original. ``SparseImplicitError`` catches them all.
"""

from __future__ import annotations

from typing import Any


class SparseImplicitError(Exception):
    """Root of all errors raised by this package.

    Parameters
    ----------
    what : str
        What is wrong, in one sentence, with the figures that show it.
    where : str, optional
        The object and the call in which it happened.
    fix : str, optional
        What the caller can do about it.

    Attributes
    ----------
    evidence : Any
        The linear system that it is of, where there is one: for a failure bundle.
    """

    evidence: Any = None

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def at(self, where: str) -> SparseImplicitError:
        """Return this same error with an outer place put before the inner one."""
        self.where = where if self.where is None else f"{where}, {self.where}"
        return self

    def __str__(self) -> str:
        """Compose the three lines; absent ones are left out."""
        lines = [self.what]
        if self.where is not None:
            lines.append(f"  where: {self.where}")
        if self.fix is not None:
            lines.append(f"  fix:   {self.fix}")
        return "\n".join(lines)


class ShapeError(SparseImplicitError):
    """An array, a matrix or the result of a callable has the wrong shape."""


class StructureError(SparseImplicitError):
    """A matrix lacks a structure that was declared or that a solver needs."""


class NotPositiveDefinite(StructureError):
    """A factorization or a curvature found that the matrix is not positive definite.

    Attributes
    ----------
    unknown : int or None
        The unknown (row) at which it showed, where the method can tell.
    """

    def __init__(self, what: str, *, unknown: int | None = None, **places: Any) -> None:
        super().__init__(what, **places)
        self.unknown = unknown


class SingularSystem(SparseImplicitError):
    """The matrix is singular, exactly or to working precision."""


class NotConverged(SparseImplicitError):
    """An iteration ended before its tolerance was met.

    Attributes
    ----------
    best : Any
        The best iterate found: an array for a linear solve or a state.
    report : Any
        The report of the failed solve: residuals, iterations, reason.
    """

    def __init__(self, what: str, *, best: Any = None, report: Any = None, **places: Any) -> None:
        super().__init__(what, **places)
        self.best = best
        self.report = report


class NotDifferentiable(SparseImplicitError):
    """The state has no derivative here, only one-sided ones.

    Attributes
    ----------
    unknowns : array of int
        Those at which it shows.
    """

    def __init__(self, what: str, *, unknowns: Any = (), **places: Any) -> None:
        super().__init__(what, **places)
        self.unknowns = unknowns


class MemoryBudgetExceeded(SparseImplicitError):
    """The request would need more memory than is available; nothing was allocated."""


class NonFinite(SparseImplicitError):
    """NaN or infinity where finite numbers are needed."""


class MissingBackend(SparseImplicitError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class ConfigError(SparseImplicitError):
    """A configuration or an input file is unreadable or wrong; names file and key."""


class Interrupted(SparseImplicitError):
    """A run was asked to stop before it was done; what it has done is on disk."""
