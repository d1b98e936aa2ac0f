"""Checks of what goes into a solve, and the net under what comes out of a backend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import (
    MemoryBudgetExceeded,
    NonFinite,
    NotPositiveDefinite,
    ShapeError,
    SparseImplicitError,
)
from .operator import Array, Operator


def check_rtol(rtol: float, where: str) -> None:
    """Refuse a tolerance that is not between 0 and 1: with 1 the answer 0 would do."""
    if not isinstance(rtol, int | float | np.number) or not 0 < float(rtol) < 1:
        raise ShapeError(
            f"rtol must be a positive number below 1, got {rtol!r}.",
            where=where,
            fix="it bounds the relative residual; 1e-8 is the default.",
        )


def check_count(count: int, name: str, where: str, least: int = 1) -> None:
    """Refuse a count that is no integer, or less than the least."""
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < least:
        raise ShapeError(f"{name} must be an integer, {least} or more, got {count!r}.", where=where)


def checked_columns(b: Any, n: int, name: str, where: str) -> Array:
    """Return b (n,) or (n, k) as a new C-ordered float64 array (n, k); refuse all else."""
    if np.iscomplexobj(b):
        raise ShapeError(
            f"{name} is complex; systems here are real.",
            where=where,
            fix="solve for real and imaginary part, as two columns.",
        )
    try:
        rhs = np.array(b, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{name} is no array of numbers ({error}).", where=where) from error
    if rhs.ndim not in (1, 2) or rhs.shape[0] != n:
        raise ShapeError(
            f"{name} has shape {np.shape(b)}; the matrix has {n} unknowns.",
            where=where,
            fix=f"give shape ({n},), or ({n}, k) for k columns.",
        )
    if not np.isfinite(rhs).all():
        place = np.unravel_index(int(np.argmin(np.isfinite(rhs))), rhs.shape)
        raise NonFinite(
            f"{name} holds {rhs[place]} at {tuple(int(i) for i in place)}.",
            where=where,
            fix="find where it was computed: a division, root or logarithm near 0, or a bad input.",
        )
    return rhs.reshape(n, -1) if n else rhs.reshape(0, rhs.shape[1] if rhs.ndim == 2 else 1)


def refuse_indefinite_diagonal(operator: Operator, where: str) -> None:
    """Raise NotPositiveDefinite at the first diagonal entry that is not positive."""
    if operator.products_only or (operator.diagonal > 0).all():
        return
    diagonal = operator.diagonal
    unknown = int(np.argmin(diagonal > 0))
    raise NotPositiveDefinite(
        f"the matrix is not positive definite: its diagonal entry {unknown} is "
        f"{diagonal[unknown]:.3g}.",
        unknown=unknown,
        where=where,
        fix="use 'minres' or a direct solver for an indefinite matrix.",
    )


@contextmanager
def backend_errors(where: str) -> Iterator[None]:
    """Turn what a backend raises into an error of ours: the last resort, after a plug-in's own.

    Overflow is no warning: what is not finite is found in the answer.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            yield
    except SparseImplicitError:
        raise
    except MemoryError as error:
        raise MemoryBudgetExceeded(
            f"memory ran out ({error}).",
            where=where,
            fix="use a solver that needs less: 'cg+jacobi', 'cg+amg', 'gmres'.",
        ) from error
    except (ArithmeticError, RuntimeError, ValueError, np.linalg.LinAlgError) as error:
        raise SparseImplicitError(
            f"the backend failed: {type(error).__name__}: {error}",
            where=where,
            fix="try another solver; if the matrix is sound, this is a bug worth reporting.",
        ) from error
