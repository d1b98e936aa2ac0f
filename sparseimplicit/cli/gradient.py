"""``sparseimplicit gradient``: the bare theorem, for batch scripts in any language."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..adjoint import contract
from ..conditions import checked_parameter_jacobian
from ..errors import ConfigError
from ..linear import Ladder, Operator
from ..linear.checks import check_rtol, checked_columns
from .codes import UNCONVERGED
from .files import (
    check_writable,
    declared_structure,
    read_array,
    read_matrix,
    write_array,
    write_json,
)
from .options import RTol, StructureName
from .ranks import all_or_none, first, size, solver_on_ranks


def gradient(
    hessian: Annotated[
        Path, typer.Option(help="A = ∂c/∂y, or the Hessian g_yy: .npz (scipy.sparse), .mtx, .npy.")
    ],
    cross_hessian: Annotated[
        Path, typer.Option(help="B = ∂c/∂x, rows y, columns x: .npz, .mtx, .npy.")
    ],
    cotangent: Annotated[
        Path, typer.Option(help="∂L/∂y, shape (n_y,), or (n_y, k) for k losses: .npy, .mtx.")
    ],
    out: Annotated[Path, typer.Option(help="Where −Bᵀ A⁻ᵀ ȳ goes: .npy, and .json beside it.")],
    solver: Annotated[str, typer.Option(help="auto, or a solver: cholmod, superlu, cg+amg, …")] = (
        "auto"
    ),
    rtol: RTol = 1e-8,
    structure: StructureName = "auto",
    on_singular: Annotated[
        str, typer.Option(help="If A is singular: raise, min_norm, or damp; the .json says which.")
    ] = "raise",
) -> None:
    """Compute x̄ = −Bᵀ A⁻ᵀ ȳ from files.

    For example:

    sparseimplicit gradient --hessian H.npz --cross-hessian B.npz --cotangent v.npy --out x.npy

    sparseimplicit gradient --hessian A.mtx --cross-hessian B.mtx --cotangent v.npy --out x.npy
    --solver superlu --rtol 1e-12

    mpiexec -n 4 sparseimplicit gradient --hessian H.npz … takes PETSc on 4 ranks (--solver petsc,
    petsc+gamg, petsc+mumps); the first rank writes.

    Exit codes: 0 written, 2 bad input, 10 not converged, 11 singular or not positive definite.
    Nothing is written unless the true residual met rtol; with --on-singular damp it is written
    anyway, and the code is 10.
    """
    record = compute(
        hessian=hessian, cross_hessian=cross_hessian, cotangent=cotangent, out=out, solver=solver,
        rtol=rtol, structure=structure, on_singular=on_singular,
    )  # fmt: skip
    if unmet(record):
        if first():
            typer.echo(f"{out}: not converged: {unmet(record)}", err=True)
        raise typer.Exit(UNCONVERGED)


def compute(
    *, hessian: Path, cross_hessian: Path, cotangent: Path, out: Path, solver: str, rtol: float,
    structure: str, on_singular: str,
) -> dict[str, Any]:  # fmt: skip
    """Compute x̄ and write it, with a record beside it, which is returned; see `gradient`.

    Raises
    ------
    SparseImplicitError
    """
    started = time.perf_counter()
    if out.suffix != ".npy":
        raise ConfigError(f"--out {out}: the result is written as .npy.", fix="end it in .npy.")
    check_rtol(rtol, "--rtol")
    declared = declared_structure(structure)
    solver = solver_on_ranks(solver)
    with all_or_none("gradient"):
        check_writable(out.parent)
        operator = Operator(read_matrix(hessian), declared)
        parameter_jacobian = checked_parameter_jacobian(
            read_matrix(cross_hessian), operator.n, None, f"--cross-hessian {cross_hessian}"
        )
        y_bar = read_array(cotangent)
        columns = checked_columns(y_bar, operator.n, f"--cotangent {cotangent}", "gradient")
    ladder = Ladder(operator, solver, solves=columns.shape[1], rtol=rtol, on_singular=on_singular)
    solution, system = ladder.solve(y_bar, transpose=True)
    x_bar = contract(parameter_jacobian, solution.value)
    with all_or_none("gradient"):
        if first():
            write_array(out, x_bar)
    record = {
        "hessian": str(hessian),
        "cross_hessian": str(cross_hessian),
        "cotangent": str(cotangent),
        "out": str(out),
        "n_y": operator.n,
        "n_x": parameter_jacobian.shape[1],
        "columns": columns.shape[1],
        "residual": solution.report.residual,
        "rtol": rtol,
        "converged": solution.report.converged,
        "ranks": size(),
        "preparation": None if system is None else system.report.to_dict(),
        "solve": solution.report.to_dict(),
        "seconds": time.perf_counter() - started,
    }
    with all_or_none("gradient"):
        if first():
            write_json(out.with_suffix(".json"), record)
    report = solution.report
    if first():
        typer.echo(
            f"{out}: {x_bar.size} numbers by '{report.solver}', true residual "
            f"{report.residual:.1e} (rtol {rtol:.0e}), {report.iterations} iterations, "
            f"{record['seconds']:.2f} s"
        )
    return record


def unmet(record: Mapping[str, Any]) -> str:
    """Return how far a gradient is from its rtol, by the record of `compute`; nothing if it met it.

    Only a damped solve comes so far: any other that misses its rtol is an error.
    """
    if record["converged"]:
        return ""
    return (f"true residual {record['residual']:.1e} (rtol {record['rtol']:.0e}): "
            f"{record['solve']['reason']}")  # fmt: skip
