"""The commands as one application."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from .. import __version__
from ..errors import MemoryBudgetExceeded, SparseImplicitError
from .codes import OK, exit_code
from .denoise import denoise
from .doctor import doctor
from .evaluate import evaluate
from .gradient import gradient
from .learn import learn
from .plan import calibrate_command, plan
from .ranks import first
from .run import run
from .status import report, status
from .sweep import collect, sweep
from .warmup import warmup

FROM_KEYBOARD: Final = 130  # the shell's code for SIGINT

app = typer.Typer(
    name="sparseimplicit",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)
app.command()(sweep)
app.command()(collect)
app.command()(status)
app.command()(report)
app.command()(learn)
app.command()(denoise)
app.command()(evaluate)
app.command()(gradient)
app.command()(plan)
app.command()(doctor)
app.command(name="calibrate")(calibrate_command)
app.command()(warmup)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"sparseimplicit {__version__}")
        raise typer.Exit


@app.callback()
def _describe(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Implicit differentiation for large sparse problems.

    Exit codes: 0 ok, 2 bad input, 10 not converged, 11 singular or not positive definite, 12 tasks
    are missing, 85 interrupted: take it up again, 130 interrupted from the keyboard.
    """


def main(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; errors go to standard error, never a traceback."""
    try:
        app(args=list(arguments), prog_name="sparseimplicit")
    except SparseImplicitError as error:
        return _told(error)
    except MemoryError as error:
        short = f"the memory does not suffice: {error}"
        return _told(MemoryBudgetExceeded(short, fix="give the job more, or a smaller problem."))
    except SystemExit as stop:  # how typer ends: after a command, --help, or wrong usage (2)
        if stop.code == FROM_KEYBOARD:
            typer.echo("interrupted from the keyboard.", err=True)
        return stop.code if isinstance(stop.code, int) else OK
    except BrokenPipeError:  # the reader of a pipe has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return OK


def _told(error: SparseImplicitError) -> int:
    """Print an error, and return its exit code."""
    if first():  # of several ranks, which all come here
        typer.echo(f"{type(error).__name__}: {error}", err=True)
    return exit_code(type(error))
