"""Generated kernels: source text in, compiled functions out; machine code is kept on disk.

numba keeps machine code beside the source file of a function, so that each text has a file named by
its content. Where none can be had, functions are compiled in memory.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from pathlib import Path
from types import ModuleType

_LOADED: dict[str, ModuleType] = {}
_LOCK = threading.Lock()


def key_of(source: str) -> str:
    """Return the name of a text: 64 digits of its content."""
    return hashlib.sha256(source.encode()).hexdigest()


def load(source: str, file: Path | None) -> ModuleType:
    """Return the module that a text makes, once a process.

    Parameters
    ----------
    source : str
        A module; its functions are decorated with ``njit(cache=CACHE)``.
    file : path or None
        A file that holds this text, beside which machine code may be kept; None compiles in memory.
    """
    key = key_of(source)
    with _LOCK:
        module = _LOADED.get(key)
        if module is None:
            name = f"sparseimplicit_generated_{key[:16]}"
            module = ModuleType(name)
            module.__dict__["CACHE"] = file is not None
            path = "<generated kernel>" if file is None else str(file)
            module.__file__ = path
            sys.modules[name] = module  # numba finds the globals of cached functions by it
            exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102 - our own text
            _LOADED[key] = module
    return module
