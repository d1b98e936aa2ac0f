"""Exit codes that a batch script can read."""

from __future__ import annotations

from typing import Final

import typer

from ..cluster.interruption import REQUEUE
from ..errors import (
    Interrupted,
    NotConverged,
    NotPositiveDefinite,
    SingularSystem,
    SparseImplicitError,
)

OK: Final = 0
BAD_INPUT: Final = 2
UNCONVERGED: Final = 10
SINGULAR: Final = 11
INCOMPLETE: Final = 12


def end(code: int) -> None:
    """End the command with a code, if it is not 0."""
    if code != OK:
        raise typer.Exit(code)


def exit_code(error: type[SparseImplicitError]) -> int:
    """Return the exit code for an error."""
    if issubclass(error, NotConverged):
        return UNCONVERGED
    if issubclass(error, SingularSystem | NotPositiveDefinite):
        return SINGULAR
    if issubclass(error, Interrupted):
        return REQUEUE
    return BAD_INPUT
