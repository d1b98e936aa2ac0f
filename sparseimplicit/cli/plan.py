"""``sparseimplicit plan`` and ``calibrate``: what solving would cost, before it is done."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from ..linear import Choice, Operator, choose
from ..linear.memory import told_bytes
from ..linear.rates import cache_path, calibrate, machine
from .files import declared_structure, read_matrix
from .options import AsJson, MatrixFile, RTol, StructureName


def plan(
    matrix: MatrixFile,
    solves: Annotated[
        int, typer.Option(help="Right-hand sides that one preparation will serve.")
    ] = 1,
    rtol: RTol = 1e-8,
    memory: Annotated[
        str, typer.Option(help="Budget, as 16G or 900M; by default what is available here.")
    ] = "",
    structure: StructureName = "auto",
    as_json: AsJson = False,
) -> None:
    """Print which solver would be taken, and what each would cost: seconds and memory.

    For example:

    sparseimplicit plan H.npz --structure positive-definite

    sparseimplicit plan H.npz --solves 100 --memory 16G --json

    In the table * marks the choice, ! what is over budget, ≥ a bound where no more was asked.
    Nothing is factorized. Exit codes: 0 there is a way, 2 bad input or no method fits.
    """
    operator = Operator(read_matrix(matrix), declared_structure(structure))
    choice = choose(operator, solves=solves, rtol=rtol, memory=memory or None)
    if as_json:
        typer.echo(json.dumps(choice.to_dict(), indent=2, ensure_ascii=False))
        return
    typer.echo(told_plan(operator, choice, solves, rtol))


def told_plan(operator: Operator, choice: Choice, solves: int, rtol: float) -> str:
    """Return a plan in words, with the table of what was weighed."""
    return (
        f"{operator!r}, {solves} solve{'s' if solves > 1 else ''} to {rtol:.0e}\n{choice}\n"
        f"'{choice.solver.label}': {choice.because} "
        f"({told_bytes(choice.budget)} allowed; planned in {choice.seconds:.2f} s)"
    )


def calibrate_command() -> None:
    """Measure how fast this machine is at what solvers do, and keep it for plans.

    For example, at the beginning of a job on a new kind of node:

    sparseimplicit calibrate

    Takes a few seconds; run it when the machine is idle. The first plan on a machine does it too.
    """
    rates = calibrate()
    for name, value in machine().items():
        typer.echo(f"{name:<20} {value}")
    for name, seconds in dataclasses.asdict(rates).items():
        typer.echo(f"{name:<20} {1e9 * seconds:10.3f} ns")
    typer.echo(f"kept in {cache_path()}")
