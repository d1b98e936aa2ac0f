"""The one door to optional dependencies."""

from __future__ import annotations

import importlib
import importlib.util
from functools import lru_cache
from types import ModuleType

from .errors import MissingBackend


@lru_cache
def available(module: str) -> bool:
    """Tell whether a module can be found, without importing it."""
    return importlib.util.find_spec(module.partition(".")[0]) is not None


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional module, or say which extra installs it.

    Parameters
    ----------
    module : str
        Dotted name, for instance ``"sksparse.cholmod"``.
    extra : str
        The extra of this package that brings it.
    purpose : str
        What it is needed for, as it completes "… is needed for".

    Raises
    ------
    MissingBackend
        If the module cannot be imported, with the reason Python gave.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingBackend(
            f"{module} is needed for {purpose} and cannot be imported ({error}).",
            fix=f"pip install 'sparseimplicit[{extra}]'",
        ) from error
