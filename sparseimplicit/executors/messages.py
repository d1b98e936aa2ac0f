"""What goes from one process to another, by pipe or network; never from disk."""

from __future__ import annotations

import pickle
import traceback
from typing import Any

from .._optional import available, require
from ..errors import ConfigError, SparseImplicitError


def packed(value: Any) -> bytes:
    """Return a value as bytes: by cloudpickle, which knows lambdas too, where it is installed.

    Raises
    ------
    ConfigError
        If it cannot be sent.
    """
    try:
        if available("cloudpickle"):
            purpose = "functions in other processes"
            cloudpickle = require("cloudpickle", extra="dask", purpose=purpose)
            return bytes(cloudpickle.dumps(value))
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"a problem cannot be sent to another process: {error}",
            where="executor",
            fix="define its functions at the top of a module that can be imported"
            + ("." if available("cloudpickle") else "; or pip install 'sparseimplicit[dask]'."),
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
