"""What a failed solve leaves behind, so that it can be tried again elsewhere: a failure bundle.

failure.json     the error, the solver, rtol, structure, and what was left out for its size
matrix.npz       A, as scipy.sparse.save_npz writes it; read by ``sparseimplicit doctor``
rhs.npy          b
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy import sparse

from ..errors import ConfigError, SparseImplicitError
from ..files import write_atomically
from .filters import FilterOperator
from .memory import told_bytes
from .operator import Array, Operator, Structure
from .stencil import StencilOperator

LIMIT: Final = 256 * 2**20  # bytes of a bundle
ENTRY: Final = 12  # bytes: a number, and its column


@dataclass(frozen=True, eq=False)
class Evidence:
    """A system that could not be solved: references, not copies.

    Attributes
    ----------
    matrix : sparse array, FilterOperator, StencilOperator or None
        None where there are products alone.
    rhs : array or None
        None where preparing failed.
    about : dict
        ``solver``, ``structure``, ``n``, ``rtol``, ``transposed``, ``report``.
    """

    matrix: Any
    rhs: Array | None
    about: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle as read: the system to try again, and what is known of its failure."""

    operator: Operator
    rhs: Array | None
    about: dict[str, Any]


def keep_evidence(
    error: SparseImplicitError, operator: Operator, solver: str, rhs: Array | None = None,
    **about: Any,
) -> None:  # fmt: skip
    """Let an error carry the system that it is of; the innermost one stays."""
    if error.evidence is None:
        told = {"solver": solver, "structure": operator.structure.value, "n": operator.n, **about}
        source = operator.source
        matrix = source if isinstance(source, StencilOperator | FilterOperator) else (
            operator.entries)  # fmt: skip
        error.evidence = Evidence(matrix, rhs, told)


def evidence_of(error: BaseException | None) -> Evidence | None:
    """Return what an error carries, or one that it came from."""
    while error is not None:
        found = getattr(error, "evidence", None)
        if isinstance(found, Evidence):
            return found
        error = error.__cause__ or error.__context__
    return None


def write_bundle(folder: Path, error: SparseImplicitError, limit: int = LIMIT) -> list[str]:
    """Write all that it takes to reproduce a failed solve; return the names of the files.

    Nothing is written for an error that is of no linear system. What would go beyond ``limit``
    bytes is left out, and the bundle says so.
    """
    evidence = evidence_of(error)
    if evidence is None:
        return []
    written, left_out, room = [], {}, limit
    if evidence.matrix is None:
        left_out["matrix"] = "the solver was given products alone"
    elif (size := _bytes(evidence.matrix)) > room:
        left_out["matrix"] = f"{told_bytes(size)}, of {told_bytes(limit)} allowed"
    else:
        a = _assembled(evidence.matrix)
        write_atomically(folder / "matrix.npz", lambda file: sparse.save_npz(file, a))
        written.append("matrix.npz")
        room -= size
    rhs = evidence.rhs
    if rhs is not None:
        if rhs.nbytes <= room:
            write_atomically(folder / "rhs.npy", lambda file: np.save(file, rhs))
            written.append("rhs.npy")
        else:
            left_out["rhs"] = f"{told_bytes(rhs.nbytes)}, of {told_bytes(room)} left"
    record = {
        "error": {"type": type(error).__name__, "what": error.what, "where": error.where,
                  "fix": error.fix},
        **evidence.about, "left_out": left_out,
    }  # fmt: skip
    text = json.dumps(record, indent=2, ensure_ascii=False, default=str) + "\n"
    write_atomically(folder / "failure.json", lambda file: file.write(text.encode()))
    return ["failure.json", *written]


def _bytes(matrix: Any) -> int:
    """Return how many bytes the entries of a matrix take or, once assembled, will take at most."""
    if isinstance(matrix, StencilOperator):
        return int(matrix.shape[0] * (2 * len(matrix.offsets) - 1) * ENTRY)
    if isinstance(matrix, FilterOperator):
        _, a, b = matrix.filters.shape
        return int(matrix.shape[0] * (2 * a - 1) * (2 * b - 1) * ENTRY)
    return int(matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes)


def _assembled(matrix: Any) -> Any:
    whole = isinstance(matrix, StencilOperator | FilterOperator)
    return sparse.csr_array(matrix.assemble() if whole else matrix)


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle.

    Raises
    ------
    ConfigError
        If it is none, is damaged, or its matrix was left out.
    """
    try:
        about = json.loads((folder / "failure.json").read_text(encoding="utf-8"))
        if "matrix" in about["left_out"]:
            raise ConfigError(
                f"the matrix was left out of {folder}: {about['left_out']['matrix']}.",
                fix='run the job again with a larger run.bundle, as "4 GB".',
            )
        with (folder / "matrix.npz").open("rb") as file:
            matrix = sparse.load_npz(file)
        rhs = None
        if (folder / "rhs.npy").exists():
            with (folder / "rhs.npy").open("rb") as file:
                rhs = np.load(file, allow_pickle=False)
        return Bundle(Operator(matrix, Structure(about["structure"])), rhs, about)
    except ConfigError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise ConfigError(
            f"{folder} is no failure bundle, or a damaged one: {error or type(error).__name__}.",
            fix="give the folder `failure` of a run directory.",
        ) from error
