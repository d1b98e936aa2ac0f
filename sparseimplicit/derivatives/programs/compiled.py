"""Where generated kernels are kept: in the cache folder of the package, named by content."""

from __future__ import annotations

import hashlib
import warnings
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from ...errors import ConfigError
from ...files import write_atomically
from ...kernels import generated
from ...linear.rates import cache_path


@lru_cache(maxsize=4096)
def compiled(source: str) -> ModuleType:
    """Return the module of a generated text, with machine code from disk where it is known."""
    key = generated.key_of(source)
    return generated.load(source, _stored(key, source))


@lru_cache(maxsize=1)
def folder() -> Path:
    """Return where generated kernels are kept: ``$XDG_CACHE_HOME/sparseimplicit/generated``."""
    return cache_path().parent / "generated"


def _stored(key: str, source: str) -> Path | None:
    """Return a file of this text; None where the folder cannot be written, which is said once."""
    file = folder() / f"{key}.py"
    try:
        if not (file.is_file() and _same(file, source)):
            write_atomically(file, lambda stream: stream.write(source.encode()))
        return file
    except (ConfigError, OSError) as error:
        _say_once(str(file.parent), type(error).__name__)
        return None


def _same(file: Path, source: str) -> bool:
    return hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(source.encode()).digest()


@lru_cache(maxsize=1)
def _say_once(place: str, reason: str) -> None:
    warnings.warn(
        f"kernels of local terms cannot be kept on disk in {place} ({reason}) and are compiled "
        "anew in each process. Set XDG_CACHE_HOME to a folder that can be written.",
        RuntimeWarning,
        stacklevel=5,
    )
