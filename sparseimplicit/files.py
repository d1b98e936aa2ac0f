"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from .errors import ConfigError

# What zipfile and numpy raise for bytes that are not those that were written.
DAMAGE: Final = (OSError, ValueError, KeyError, EOFError, RuntimeError, OverflowError,
                 zipfile.BadZipFile, zlib.error, struct.error)  # fmt: skip
END: Final = struct.Struct("<4s4H2LH")  # of a zip file: the fifth is the number of its members


def write_atomically(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file so that it is there whole or not at all, also when the process is killed.

    Raises
    ------
    ConfigError
        If it cannot be written: a missing permission, a full disk.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise ConfigError(
            f"{path} cannot be written: {error.strerror or error}.",
            fix="free space, or choose another folder.",
        ) from error


def whole(path: Path) -> bool:
    """Tell whether a file of arrays (``.npz``) is there, every byte of it: by its checksums."""
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            if archive.testzip() is not None:
                return False
            file.seek(-END.size, os.SEEK_END)
            count: int = END.unpack(file.read())[4]
            return count == len(archive.infolist())
    except DAMAGE:
        return False


def read_arrays(path: Path) -> dict[str, Any] | None:
    """Read a file of arrays (``.npz``); None if it is missing or damaged. Nothing is unpickled.

    Checksums are verified before anything is believed: an array's header, once damaged, may ask
    for fewer numbers than there are, and would be served.
    """
    if not whole(path):
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            return {name: held[name] for name in held.files}
    except DAMAGE:
        return None
