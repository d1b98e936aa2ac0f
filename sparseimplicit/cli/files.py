"""Matrices and vectors from files, with errors that name the file."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from scipy import sparse

from ..errors import ConfigError
from ..files import write_atomically
from ..linear.operator import Array, Structure


def read_matrix(path: Path) -> Any:
    """Read a sparse matrix (``.npz`` of scipy.sparse.save_npz, ``.mtx``) or a dense ``.npy``.

    Raises
    ------
    ConfigError
        If the file is missing, damaged, of another kind, or would need pickle.
    """
    kinds = {".npz": _load_npz, ".mtx": _load_mtx, ".npy": _load_npy}
    return _read(path, kinds)


def declared_structure(text: str) -> Structure | None:
    """Return the structure that an option ``--structure`` names; None for ``auto``.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    known = {"auto": None} | {s.value.replace(" ", "-"): s for s in Structure}
    if text not in known:
        raise ConfigError(f"--structure {text} is unknown.", fix=f"use one of {', '.join(known)}.")
    return known[text]


def read_array(path: Path) -> Array:
    """Read an array from ``.npy``, or a vector from a dense ``.mtx``; see `read_matrix`."""
    return np.asarray(_read(path, {".npy": _load_npy, ".mtx": _load_mtx}))


def write_array(path: Path, array: Array) -> None:
    """Write ``.npy``, whole or not at all."""
    write_atomically(path, lambda file: np.save(file, array, allow_pickle=False))


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Write JSON, whole or not at all."""
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=True) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def check_writable(folder: Path) -> None:
    """Fail now, not after the work, where nothing can be written."""
    for part in (folder, *folder.parents):
        if part.exists() and not part.is_dir():
            name = "it" if part == folder else part
            raise ConfigError(
                f"{folder} cannot be written: {name} is a file, not a folder.",
                fix="choose another folder (--out).",
            )
    probe = folder / f".sparseimplicit-probe-{os.getpid()}"  # ranks try one folder at once
    write_atomically(probe, lambda file: file.write(b"x"))
    probe.unlink(missing_ok=True)


def _read(path: Path, kinds: dict[str, Any]) -> Any:
    if path.suffix not in kinds:
        raise ConfigError(
            f"{path}: files of kind '{path.suffix}' cannot be read here.",
            fix=f"give one of {', '.join(kinds)}.",
        )
    try:
        return kinds[path.suffix](path)
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist.", fix="check the path.") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(
            f"{path} cannot be read: {error or type(error).__name__}.",
            fix="write it with scipy.sparse.save_npz (.npz), scipy.io.mmwrite (.mtx) or numpy.save "
            "(.npy, no objects).",
        ) from error


def _load_npz(path: Path) -> Any:
    with path.open("rb") as file:  # opened here: numpy leaves a damaged file open
        return sparse.load_npz(file)


def _load_mtx(path: Path) -> Any:
    return scipy.io.mmread(path)


def _load_npy(path: Path) -> Array:
    with path.open("rb") as file:
        return np.asarray(np.load(file, allow_pickle=False))
