"""A system that one solver failed on, tried with all of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import MemoryBudgetExceeded, MissingBackend, SparseImplicitError
from .dispatch import choose
from .operator import Array, Operator
from .registry import available_solvers, solver_named


@dataclass(frozen=True)
class Attempt:
    """What one solver made of a system.

    Attributes
    ----------
    outcome : {"works", "fails", "not tried"}
    residual : float or None
        True and relative, the largest of all columns.
    why : str
        Of what failed or was not tried.
    """

    solver: str
    outcome: str
    residual: float | None = None
    iterations: int = 0
    seconds: float = 0.0
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the attempt as plain values."""
        return dict(vars(self))


def try_all(
    operator: Operator, b: Array | None = None, *, rtol: float = 1e-8, transpose: bool = False
) -> list[Attempt]:
    """Solve a system with every solver there is, the best first.

    Parameters
    ----------
    b : array (n,) or (n, k), optional
        A random one if left out.

    Notes
    -----
    A solver that the planner holds for impossible or too large for the memory is not tried.
    """
    if b is None:
        b = np.random.default_rng(0).standard_normal(operator.n)
    barred = _barred(operator, rtol)
    tried = [_attempt(name, operator, b, rtol, transpose, barred.get(name, ""))
             for name in available_solvers()]  # fmt: skip
    order = ("works", "fails", "not tried")
    return sorted(tried, key=lambda one: (order.index(one.outcome), one.seconds))


def told(attempts: list[Attempt]) -> str:
    """Return attempts as a table, and what helps as a sentence."""
    lines = [f"  {'solver':<16} {'outcome':<10} {'residual':>9} {'steps':>6} {'seconds':>8}"]
    for one in attempts:
        size = "" if one.residual is None else f"{one.residual:.1e}"
        lines.append(f"  {one.solver:<16} {one.outcome:<10} {size:>9} {one.iterations:>6} "
                     f"{one.seconds:>8.2g}  {one.why}".rstrip())  # fmt: skip
    works = [one.solver for one in attempts if one.outcome == "works"]
    lines.append(
        f'this helps: solver.linear = "{works[0]}"' + (f"; or {', '.join(works[1:4])}"
        if works[1:] else "")
        if works else "no solver has an answer: see what is wrong with the matrix"
    )  # fmt: skip
    return "\n".join(lines)


def _attempt(
    name: str, operator: Operator, b: Array, rtol: float, transpose: bool, barred: str
) -> Attempt:
    if barred:
        return Attempt(name, "not tried", why=barred)
    started = time.perf_counter()
    try:
        system = solver_named(name).prepare(operator)
        run = system.solve_adjoint if transpose else system.solve
        report = run(b, rtol=rtol, strict=False).report
    except MissingBackend as error:
        return Attempt(name, "not tried", why=error.what)
    except SparseImplicitError as error:
        seconds = time.perf_counter() - started
        return Attempt(name, "fails", seconds=seconds, why=f"{type(error).__name__}: {error.what}")
    return Attempt(
        name, "works" if report.converged else "fails", report.residual, report.iterations,
        time.perf_counter() - started, "" if report.converged else report.reason.value,
    )  # fmt: skip


def _barred(operator: Operator, rtol: float) -> dict[str, str]:
    """Return solvers that need not be tried, with the reason."""
    try:
        choice = choose(operator, rtol=rtol)
    except MemoryBudgetExceeded as error:
        return dict.fromkeys(available_solvers(), error.what)
    except SparseImplicitError:
        return {}
    return {
        one.solver: f"{'not possible' if not one.possible else 'over the memory'}: {one.because}"
        for one in choice.candidates
        if not one.possible or one.bytes > choice.budget
    }
