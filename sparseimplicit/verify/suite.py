"""The conformance suite: what every solver keeps to, ours and those of plug-ins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from scipy import sparse

from ..errors import (
    NonFinite,
    NotConverged,
    NotPositiveDefinite,
    ShapeError,
    SingularSystem,
    SparseImplicitError,
    StructureError,
)
from ..linear import Operator, PreparedSystem, Solver, Structure
from ..linear.operator import column_norms, norm
from ..linear.recognition import stencil_of
from .zoo import Specimen, laplacian, zoo

RTOL: Final = 1e-8
REFUSALS: Final = (SingularSystem, NotConverged, NotPositiveDefinite, StructureError)


def conformance(solver: Solver) -> list[str]:
    """Try a solver on every matrix of the zoo; return a sentence for each rule it breaks.

    Parameters
    ----------
    solver : Solver

    Returns
    -------
    list of str
        Empty for a solver that keeps to the contract.

    Notes
    -----
    The oracle is dense algebra. The rules: a matrix that ``needs`` admits is solved, forward and
    adjoint, one column and several, with a true residual within rtol and an honest report;
    ⟨A⁻¹b, c⟩ = ⟨b, A⁻ᵀc⟩; any other matrix is solved as rightly or refused by an error of ours,
    never answered wrongly; inputs are left unchanged; a refreshed system equals a new one and the
    old still solves; bad input gets the error of its class; a tiny or huge right-hand side gets
    the same relative accuracy.
    """
    issues: list[str] = []
    for specimen in zoo():
        issues += [f"{specimen.name}: {issue}" for issue in _specimen(solver, specimen)]
    issues += [f"refresh: {issue}" for issue in _refresh(solver)]
    issues += [f"bad input: {issue}" for issue in _bad_input(solver)]
    return issues


def admits(solver: Solver, specimen: Specimen) -> bool:
    """Tell whether a solver's needs admit a matrix, so that it has to solve it."""
    needs = solver.needs
    entries = needs.entries or needs.preconditioning_entries
    if specimen.singular or specimen.hard or (entries and specimen.products_only):
        return False
    if specimen.declared is not None and specimen.declared is not specimen.structure:
        return False  # wrongly declared: an error is the right answer
    if needs.grid and not _on_grid(specimen):
        return False
    if needs.definite:
        return specimen.structure is Structure.POSITIVE_DEFINITE
    return specimen.structure.symmetric or not needs.structure.symmetric


def _on_grid(specimen: Specimen) -> bool:
    entries = None if specimen.products_only else Operator(specimen.matrix).entries
    return entries is not None and stencil_of(entries, None) is not None


def _specimen(solver: Solver, specimen: Specimen) -> Iterator[str]:
    must = admits(solver, specimen)
    before = _image(specimen.matrix)
    try:
        system = solver.prepare(Operator(specimen.matrix, specimen.declared))
    except SparseImplicitError as error:
        if must:
            yield f"refused, though its needs admit it ({error.what})"
        elif not isinstance(error, REFUSALS):
            yield f"refused with {type(error).__name__}, which is not the class for it"
        return
    dense = specimen.dense
    rng = np.random.default_rng(3)
    n = dense.shape[0]
    single, several = rng.standard_normal(n), rng.standard_normal((n, 3))
    strided = np.asfortranarray(rng.standard_normal((2 * n, 3)))[::2]
    for b in (single, several, strided, 1e-12 * single, 1e12 * single, 0 * single):
        for transposed in (False, True):
            yield from _solve(system, dense, b, transposed, must)
    if must and n:
        yield from _duality(system, single, several[:, 0])
    if not all(np.array_equal(a, b) for a, b in zip(before, _image(specimen.matrix), strict=True)):
        yield "the matrix was changed"


def _duality(system: PreparedSystem, b: Any, c: Any) -> Iterator[str]:
    try:
        x, z = system.solve(b, rtol=1e-10).value, system.solve_adjoint(c, rtol=1e-10).value
    except SparseImplicitError as error:
        yield f"a solve to 1e-10 failed ({error.what})"
        return
    left, right = float(x @ c), float(b @ z)
    if abs(left - right) > 1e-8 * norm(x) * norm(c):
        yield f"⟨A⁻¹b, c⟩ = {left:.6g} but ⟨b, A⁻ᵀc⟩ = {right:.6g}"


def _solve(
    system: PreparedSystem, dense: Any, b: Any, transposed: bool, must: bool
) -> Iterator[str]:
    what = f"{'adjoint ' if transposed else ''}solve of b {b.shape}"
    copy = b.copy()
    try:
        solution = (system.solve_adjoint if transposed else system.solve)(b, rtol=RTOL)
    except SparseImplicitError as error:
        if must:
            yield f"{what} failed ({type(error).__name__}: {error.what})"
        elif not isinstance(error, REFUSALS):
            yield f"{what} failed with {type(error).__name__}, which is not the class for it"
        return
    if not np.array_equal(b, copy):
        yield f"{what} changed b"
    if solution.value.shape != b.shape:
        yield f"{what} has shape {solution.value.shape}"
        return
    if not b.size:
        return
    matrix = dense.T if transposed else dense
    rhs, x = b.reshape(len(b), -1), solution.value.reshape(len(b), -1)
    size = column_norms(rhs)
    true = float(np.max(column_norms(rhs - matrix @ x) / np.where(size > 0, size, 1.0)))
    if not true <= 1.01 * RTOL:
        yield f"{what} has a true relative residual of {true:.1e} (rtol {RTOL:.0e})"
    report = solution.report
    if not report.converged or abs(report.residual - true) > 0.1 * RTOL:
        yield f"{what} reports residual {report.residual:.1e}, true is {true:.1e}"


def _refresh(solver: Solver) -> Iterator[str]:
    structure = Structure.POSITIVE_DEFINITE
    first = laplacian(6, 7, 0.5)
    same = first.copy()
    same.data = same.data * np.where(same.data > 0, 1.5, 1.0)
    wider = sparse.csr_array(first + sparse.kron(laplacian(3, 7, 0.1), np.ones((2, 2))))
    narrower = sparse.csr_array(sparse.diags_array(first.diagonal()))
    system = solver.prepare(Operator(first, structure))
    b = np.random.default_rng(5).standard_normal(first.shape[0])
    systems = {"the system itself": (system, first)}
    others = [("equal pattern", same), ("more entries", wider), ("fewer", narrower)]
    for name, matrix in others[:1] if solver.needs.grid else others:
        systems[f"a matrix of {name}"] = (system.refresh(matrix), matrix)
    systems["the old system, afterwards"] = (system, first)
    for name, (prepared, matrix) in systems.items():
        try:
            value = prepared.solve(b, rtol=RTOL).value
        except SparseImplicitError as error:
            yield f"{name}: the solve failed ({error.what})"
            continue
        residual = norm(b - matrix @ value) / norm(b)
        if not residual <= 1.01 * RTOL:
            yield f"{name}: the true residual is {residual:.1e}"


def _bad_input(solver: Solver) -> Iterator[str]:
    good = laplacian(4, 5, 0.5)
    nan, infinite = good.copy(), good.copy()
    nan.data[7], infinite.data[7] = np.nan, np.inf
    upper = sparse.csr_array(sparse.triu(good))
    declared = Structure.POSITIVE_DEFINITE
    n = good.shape[0]
    b = np.ones(n)
    system = solver.prepare(Operator(good, declared))
    trials: list[tuple[str, type[SparseImplicitError], Callable[[], Any]]] = [
        ("a matrix with NaN", NonFinite, lambda: solver.prepare(nan)),
        ("a matrix with inf", NonFinite, lambda: solver.prepare(infinite)),
        ("a matrix that is not square", ShapeError, lambda: solver.prepare(good[:3])),
        ("no matrix", ShapeError, lambda: solver.prepare("matrix")),
        ("a complex matrix", StructureError, lambda: solver.prepare(good * 1j)),
        ("the upper triangle, declared definite", StructureError,
         lambda: solver.prepare(Operator(upper, declared))),
        ("b too short", ShapeError, lambda: system.solve(b[:-1])),
        ("b of three dimensions", ShapeError, lambda: system.solve(b.reshape(n, 1, 1))),
        ("b as a row", ShapeError, lambda: system.solve_adjoint(b[None, :])),
        ("b with NaN", NonFinite, lambda: system.solve(np.where(np.arange(n) == 2, np.nan, b))),
        ("a complex b", ShapeError, lambda: system.solve(1j * b)),
        ("rtol = 0", ShapeError, lambda: system.solve(b, rtol=0.0)),
        ("rtol = NaN", ShapeError, lambda: system.solve(b, rtol=float("nan"))),
    ]  # fmt: skip
    for what, expected, trial in trials:
        try:
            trial()
        except expected:
            continue
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            yield f"{what} raised {type(error).__name__} instead of {expected.__name__}"
        else:
            yield f"{what} was accepted instead of raising {expected.__name__}"


def _image(matrix: Any) -> list[Any]:
    if isinstance(matrix, np.ndarray):
        return [matrix.copy()]
    if not sparse.issparse(matrix):
        return []
    coo = matrix.tocoo()
    return [coo.row.copy(), coo.col.copy(), coo.data.copy()]
