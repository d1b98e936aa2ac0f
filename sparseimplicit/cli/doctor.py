"""``sparseimplicit doctor``: what is wrong with a matrix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from ..linear import diagnose
from ..linear.evidence import read_bundle
from ..linear.rescue import told, try_all
from .codes import exit_code
from .files import declared_structure, read_array, read_matrix
from .options import AsJson, StructureName


def doctor(
    matrix: Annotated[
        Path, typer.Argument(help="A matrix: .npz, .mtx, .npy; or a failure bundle, a folder.")
    ],
    rhs: Annotated[
        Path | None, typer.Option(help="A right-hand side to hold against null vectors: .npy.")
    ] = None,
    grid: Annotated[str, typer.Option(help="Shape of the grid of unknowns, as 512x512.")] = "",
    structure: StructureName = "auto",
    as_json: AsJson = False,
) -> None:
    """Say what is wrong with a matrix: where, and what to do about it.

    For example:

    sparseimplicit doctor H.npz --structure positive-definite --grid 512x512

    sparseimplicit doctor A.mtx --rhs b.npy --json

    sparseimplicit doctor results/job/failure

    Looks for entries that are not finite, empty and dependent rows, asymmetry, scales, negative
    curvature, conditioning, and null vectors with the unknowns they load. The system that a failed
    run has left behind is tried with every solver, too. Exit codes: 0 sound, 2 bad input, also a
    matrix that is not what was declared, 11 singular or not positive definite.
    """
    if matrix.is_dir():
        _rescue(matrix, as_json)
        return
    source = read_matrix(matrix)
    diagnosis = diagnose(
        source,
        None if rhs is None else read_array(rhs),
        structure=declared_structure(structure),
        grid=_shape(grid) if grid else None,
    )
    if as_json:
        typer.echo(json.dumps(diagnosis.to_dict(), indent=2, ensure_ascii=False))
    else:
        typer.echo(str(diagnosis))
    codes = [exit_code(finding.raises) for finding in diagnosis.findings if finding.raises]
    if codes:
        raise typer.Exit(max(codes))


def _rescue(folder: Path, as_json: bool) -> None:
    bundle = read_bundle(folder)
    diagnosis = diagnose(bundle.operator, bundle.rhs)
    attempts = try_all(
        bundle.operator, bundle.rhs, rtol=bundle.about.get("rtol", 1e-8),
        transpose=bundle.about.get("transposed", False),
    )  # fmt: skip
    if as_json:
        record = {"failure": bundle.about, "diagnosis": diagnosis.to_dict(),
                  "attempts": [one.to_dict() for one in attempts]}  # fmt: skip
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False, default=str))
    else:
        error = bundle.about["error"]
        typer.echo(f"'{bundle.about['solver']}' failed: {error['type']}: {error['what']}\n"
                   f"{diagnosis}\n{told(attempts)}")  # fmt: skip
    codes = [exit_code(finding.raises) for finding in diagnosis.findings if finding.raises]
    if codes:
        raise typer.Exit(max(codes))


def _shape(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise ConfigError(f"--grid {text}: no shape.", fix="write it as 512x512.") from error
