"""``sparseimplicit doctor``: what is wrong with a matrix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from ..linear import diagnose
from .codes import exit_code
from .files import declared_structure, read_array, read_matrix
from .options import AsJson, MatrixFile, StructureName


def doctor(
    matrix: MatrixFile,
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

    Looks for entries that are not finite, empty and dependent rows, asymmetry, scales, negative
    curvature, conditioning, and null vectors with the unknowns they load. Exit codes: 0 sound, 2
    bad input, also a matrix that is not what was declared, 11 singular or not positive definite.
    """
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


def _shape(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise ConfigError(f"--grid {text}: no shape.", fix="write it as 512x512.") from error
