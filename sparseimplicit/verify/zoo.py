"""Small named matrices on which every solver is tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

from ..linear import Structure

SPD = Structure.POSITIVE_DEFINITE


@dataclass(frozen=True)
class Specimen:
    """A matrix with what is true of it.

    declared: what the user says of it (None: nothing). hard: conditioned so badly that a Krylov
    method may give up; a wrong answer is no better for it. dense: the oracle's copy.
    """

    name: str
    matrix: Any
    structure: Structure
    declared: Structure | None = None
    singular: bool = False
    hard: bool = False

    @property
    def dense(self) -> Any:
        """The matrix as a dense float64 array."""
        if sparse.issparse(self.matrix):
            return np.asarray(self.matrix.toarray(), dtype=np.float64)
        n = self.matrix.shape[0]
        return np.asarray(self.matrix @ np.eye(n), dtype=np.float64).reshape(n, n)

    @property
    def products_only(self) -> bool:
        """Whether the entries are hidden."""
        return not sparse.issparse(self.matrix) and not isinstance(self.matrix, np.ndarray)


def laplacian(height: int, width: int, shift: float = 0.0) -> sparse.csr_array:
    """Return the 5-point Laplacian with natural borders plus shift·I; singular for shift 0."""

    def second(n: int) -> Any:
        d = sparse.diags_array([-np.ones(n - 1), np.ones(n - 1)], offsets=[0, 1], shape=(n - 1, n))
        return d.T @ d

    grid = sparse.kron(second(height), sparse.eye_array(width)) + sparse.kron(
        sparse.eye_array(height), second(width)
    )
    return sparse.csr_array(grid + shift * sparse.eye_array(height * width))


def convection_diffusion(height: int, width: int) -> sparse.csr_array:
    """Return a nonsymmetric matrix: diffusion with an upwind flow along the rows."""
    n = height * width
    flow = sparse.diags_array([np.ones(n), -0.9 * np.ones(n - 1)], offsets=[0, -1])
    return sparse.csr_array(laplacian(height, width, 0.05) + 0.8 * flow)


def zoo() -> tuple[Specimen, ...]:
    """Return all specimens; the same at every call."""
    rng = np.random.default_rng(7)
    spd = laplacian(7, 9, 0.3)
    scale = sparse.diags_array(10.0 ** rng.uniform(-3, 3, spd.shape[0]))
    indefinite = sparse.csr_array(
        laplacian(7, 9, 0.3) - sparse.diags_array(np.where(np.arange(63) % 3 == 0, 9.0, 0.0))
    )
    empty_row = sparse.lil_array(spd)
    empty_row[5, :] = 0.0
    empty_row[:, 5] = 0.0
    general = convection_diffusion(6, 8)
    formats = [
        Specimen(f"positive definite, {name}", spd.asformat(name), SPD)
        for name in ("csr", "csc", "coo", "bsr", "dia", "lil", "dok")
    ]
    return (
        *formats,
        Specimen("positive definite, sparse matrix class", sparse.csr_matrix(spd), SPD),
        Specimen("positive definite, dense", spd.toarray(), SPD),
        Specimen("positive definite, declared", spd, SPD, SPD),
        Specimen("positive definite, float32", spd.astype(np.float32), SPD),
        Specimen("positive definite, int64 indices", _wide(spd), SPD),
        Specimen("positive definite, unsorted with duplicates", _shuffled(spd), SPD),
        Specimen("positive definite, badly scaled", sparse.csr_array(scale @ spd @ scale), SPD,
                 hard=True),
        Specimen("positive definite, scaled by 1e-200", spd * 1e-200, SPD),
        Specimen("positive definite, scaled by 1e+200", spd * 1e200, SPD),
        Specimen("positive definite, LinearOperator", aslinearoperator(spd), SPD, SPD),
        Specimen("indefinite", indefinite, Structure.SYMMETRIC),
        Specimen("indefinite, wrongly declared definite", indefinite, Structure.SYMMETRIC, SPD),
        Specimen("indefinite, LinearOperator", aslinearoperator(indefinite),
                 Structure.SYMMETRIC, Structure.SYMMETRIC),
        Specimen("nonsymmetric", general, Structure.GENERAL),
        Specimen("nonsymmetric, csc", general.tocsc(), Structure.GENERAL),
        Specimen("nonsymmetric, int64 indices", _wide(general), Structure.GENERAL),
        Specimen("nonsymmetric, LinearOperator", aslinearoperator(general), Structure.GENERAL),
        Specimen("singular, natural borders", laplacian(7, 9), Structure.SYMMETRIC,
                 singular=True),
        Specimen("singular, declared definite", laplacian(7, 9), Structure.SYMMETRIC, SPD, True),
        Specimen("singular, empty row", sparse.csr_array(empty_row), Structure.SYMMETRIC,
                 singular=True),
        Specimen("singular, zero", sparse.csr_array((5, 5)), Structure.SYMMETRIC, singular=True),
        Specimen("one unknown", sparse.csr_array(np.array([[4.0]])), SPD),
        Specimen("no unknowns", sparse.csr_array((0, 0)), SPD),
    )  # fmt: skip


def _wide(matrix: sparse.csr_array) -> sparse.csr_array:
    wide = matrix.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    return wide


def _shuffled(matrix: sparse.csr_array) -> sparse.csr_array:
    coo = matrix.tocoo()
    row, column = np.append(coo.row, coo.row)[::-1], np.append(coo.col, coo.col)[::-1]
    data = np.append(0.25 * coo.data, 0.75 * coo.data)[::-1]
    order = np.argsort(row, kind="stable")
    indptr = np.searchsorted(row[order], np.arange(matrix.shape[0] + 1))
    return sparse.csr_array((data[order], column[order], indptr), shape=matrix.shape)
