"""What goes from one process to another, by pipe or network; never from disk."""

from __future__ import annotations

import pickle
import traceback
from typing import Any

from .._optional import require
from ..errors import ConfigError, SparseImplicitError


def packed(value: Any) -> bytes:
    """Return a value as bytes; lambdas, and what a script defines, by their code.

    Raises
    ------
    ConfigError
        If it cannot be sent.
    MissingBackend
        Without cloudpickle (extra ``parallel``).
    """
    cloudpickle = require("cloudpickle", extra="parallel", purpose="work in other processes")
    try:
        return bytes(cloudpickle.dumps(value))
    except (pickle.PicklingError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"a problem cannot be sent to another process: {error}",
            where="executor",
            fix="let its functions refer to arrays and plain values only: no locks, no open files.",
        ) from error


def unpacked(data: bytes) -> Any:
    """Return what `packed` was given, from this very run's own processes."""
    return pickle.loads(data)  # noqa: S301


def told(error: Exception) -> SparseImplicitError:
    """Return an error as it is sent: ours as it is, another one with where it came from."""
    if isinstance(error, SparseImplicitError):
        return error
    text = "".join(traceback.format_exception(error)[-3:])
    return SparseImplicitError(
        f"a process that computes failed: {type(error).__name__}: {error}",
        where=text.strip().replace("\n", " | "),
        fix="try executor='serial', which shows where.",
    )
