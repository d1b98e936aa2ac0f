"""What to do with a singular matrix, if the user says so: the least solution, or a damped one."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Final

import numpy as np
from scipy import sparse

from .._optional import available
from ..errors import ConfigError, SingularSystem, StructureError
from .checks import checked_columns
from .loads import loads
from .nullspace import NullSpace, null_space
from .operator import Array, Operator, Structure, column_norms
from .reports import LinearSolution, Reason
from .solvers import Pardiso, SuperLU

POLICIES: Final = ("raise", "min_norm", "damp")
DAMPING: Final = 1e-8  # times the size of each row, where the matrix is equilibrated
WHERE: Final = "linear.solve"


def check_policy(policy: str, operator: Operator | None = None, where: str = WHERE) -> None:
    """Refuse a policy that there is not, or that the operator does not allow."""
    if policy not in POLICIES:
        raise ConfigError(
            f"on_singular={policy!r} is unknown.",
            where=where,
            fix=f"use one of {', '.join(map(repr, POLICIES))}.",
        )
    if policy != "raise" and operator is not None and operator.entries is None:
        raise StructureError(
            f"on_singular={policy!r} needs the entries of the matrix; this one gives products "
            "alone.",
            where=where,
            fix="give a sparse matrix, or on_singular='raise'.",
        )


def solve_singular(
    operator: Operator, b: Any, policy: str, *, rtol: float, transpose: bool = False
) -> LinearSolution:
    """Solve with a matrix that has turned out singular, by a factorization for any kind.

    Parameters
    ----------
    operator : Operator
    b : array, shape (n,) or (n, k)
    policy : "min_norm" or "damp"
        ``min_norm``: the solution without a part in the null space, from the bordered system
        [[A, U], [Vᵀ, 0]]; b must have no part along the left null vectors U. ``damp``: the
        solution with A + δ D, D the sizes of the rows; its residual with A is the bias.
    rtol : float
    transpose : bool

    Raises
    ------
    SingularSystem
        If no null vector is found, or b has a part along the left ones: then no solution exists.
    """
    started = time.perf_counter()
    check_policy(policy, operator)
    rhs = checked_columns(b, operator.n, "the right-hand side", WHERE)
    if transpose:
        operator = _transposed(operator)
    if policy == "damp":
        return _damped(operator, b, rhs, rtol, transpose, started)
    space = null_space(operator)
    if space.dimension == 0 or not space.complete:
        raise SingularSystem(
            "the matrix is singular or nearly so, and its null space is not known: "
            + (
                space.how
                if space.dimension == 0
                else f"it has {space.dimension} dimensions or more"
            )
            + ".",
            where=WHERE,
            fix="see si.linear.diagnose(A); on_singular='damp' solves a neighbouring system.",
        )
    _refuse_incompatible(space, rhs, rtol, operator)
    right = sparse.csr_array(space.right)
    bordered = sparse.block_array(
        [[operator.entries, sparse.csr_array(space.left)], [right.T, None]]
    )
    structure = Structure.SYMMETRIC if operator.structure.symmetric else Structure.GENERAL
    system = _direct().prepare(
        Operator(sparse.csr_array(bordered), structure),
        because=f"on_singular='min_norm': {space.dimension} null vector(s), "
        f"{loads(space.localised()[:, 0], grid=operator.grid)}",
    )
    padded = np.concatenate([rhs, np.zeros((space.dimension, rhs.shape[1]))])
    solution = system.solve(padded, rtol=0.5 * rtol)
    value = solution.value[: operator.n]
    value -= space.right @ (space.right.T @ value)
    report = dataclasses.replace(
        solution.report,
        transposed=transpose,
        rtol=rtol,
        residual=_residual(operator, value, rhs),
        null_dimension=space.dimension,
        seconds=time.perf_counter() - started,
    )
    return LinearSolution(value.reshape(np.shape(b)), report)


def _refuse_incompatible(space: NullSpace, rhs: Array, rtol: float, operator: Operator) -> None:
    norms = column_norms(rhs)
    part = column_norms(space.left.T @ rhs) / np.where(norms > 0, norms, 1.0)
    if part.max(initial=0.0) > max(rtol, 1e-12):
        raise SingularSystem(
            f"the matrix is singular, and no solution exists: a part {part.max():.1e} of the "
            "right-hand side lies along the left null vector, which is "
            f"{loads(space.left[:, 0], grid=operator.grid)}.",
            where=WHERE,
            fix="the loss depends on what the conditions leave free: take that part out of it (a "
            "mean value), or fix the gauge; on_singular='damp' solves a neighbouring system.",
        )


def _direct() -> Pardiso | SuperLU:
    return Pardiso() if available("pypardiso") else SuperLU()


def _damped(
    operator: Operator, b: Any, rhs: Array, rtol: float, transpose: bool, started: float
) -> LinearSolution:
    rows, columns, size = operator.equilibration()
    damping = sparse.diags_array(DAMPING * size * rows * columns)
    structure = Structure.SYMMETRIC if operator.structure.symmetric else Structure.GENERAL
    system = _direct().prepare(
        Operator(sparse.csr_array(operator.entries + damping), structure),
        because=f"on_singular='damp': {DAMPING:.0e} of each row's size added to the diagonal",
    )
    solution = system.solve(rhs, rtol=rtol)
    residual = _residual(operator, solution.value, rhs)
    report = dataclasses.replace(
        solution.report,
        transposed=transpose,
        residual=residual,
        converged=residual <= rtol,
        reason=Reason.DAMPED,
        damping=DAMPING,
        seconds=time.perf_counter() - started,
    )
    return LinearSolution(solution.value.reshape(np.shape(b)), report)


def _residual(operator: Operator, value: Array, rhs: Array) -> float:
    norms = column_norms(rhs)
    left = column_norms(rhs - operator.apply(value))
    return float(np.max(left / np.where(norms > 0, norms, 1.0), initial=0.0))


def _transposed(operator: Operator) -> Operator:
    if operator.structure.symmetric:
        return operator
    return Operator(sparse.csr_array(operator.entries.T), operator.structure, operator.grid)
