"""Broken matrices: the right error or the right answer, never a wrong number."""

import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si
from sparseimplicit.errors import (
    MemoryBudgetExceeded,
    NonFinite,
    NotConverged,
    NotPositiveDefinite,
    SingularSystem,
    StructureError,
)
from sparseimplicit.linear import Operator, Structure
from sparseimplicit.verify.zoo import convection_diffusion, laplacian

SPD = Structure.POSITIVE_DEFINITE
SOLVERS = ["auto", *si.available_solvers()]
B = np.random.default_rng(0).standard_normal(625)


def refused_or_right(matrix, structure, b, errors, solver):
    """Solve; return whether it was refused by one of the errors. An answer has to be right."""
    try:
        x = si.linear.solve(Operator(matrix, structure), b, solver=solver).value
    except errors:
        return True
    residual = np.linalg.norm(b - matrix @ x) / np.linalg.norm(b)
    assert residual <= 1.01e-8
    return False


REFUSALS = (SingularSystem, NotPositiveDefinite, NotConverged, StructureError)


@pytest.fixture(params=SOLVERS)
def solver(request):
    needs = si.linear.solver_named(request.param).extra if request.param != "auto" else None
    if needs is not None:
        module = {"cholmod": "sksparse", "pardiso": "pypardiso", "petsc": "petsc4py"}[needs]
        pytest.importorskip(module, reason=f"{module} is not installed (extra '{needs}')")
    return request.param


@pytest.mark.parametrize("structure", [None, SPD])
def test_singular_neumann(solver, structure):
    assert refused_or_right(laplacian(25, 25), structure, B, REFUSALS, solver)


def test_duplicate_row(solver):
    a = convection_diffusion(25, 25).tolil()
    a[300] = a[299]
    assert refused_or_right(sparse.csr_array(a), None, B, REFUSALS, solver)


def test_indefinite(solver):
    a = laplacian(25, 25, 1.0)
    a[300, 300] = -3.0
    assert refused_or_right(a, SPD, B, REFUSALS, solver) or solver.startswith(("minres", "gmres"))
    refused_or_right(a, None, B, REFUSALS, solver)


def test_nan(solver):
    a = laplacian(25, 25, 1.0)
    a[300, 301] = np.nan
    with pytest.raises(NonFinite, match="row 300, column 301"):
        si.linear.solve(a, B, solver=solver)


@pytest.mark.parametrize("size", [1e-9, 1.0])
def test_asymmetric(solver, size):
    a = laplacian(25, 25, 1.0)
    a[300, 301] += size
    with pytest.raises(StructureError, match=r"\(300, 301\)"):
        si.linear.solve(Operator(a, SPD), B, solver=solver)
    refused_or_right(a, None, B, REFUSALS, solver)


def test_empty_row(solver):
    keep = sparse.diags_array((np.arange(625) != 300).astype(float))
    a = sparse.csr_array(keep @ laplacian(25, 25, 1.0) @ keep)
    assert refused_or_right(a, None, B, REFUSALS, solver)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_scales(solver, scale):
    refused = refused_or_right(scale * laplacian(25, 25, 1.0), SPD, B, REFUSALS, solver)
    assert not refused


def test_mixed_scales(solver):
    d = sparse.diags_array(10.0 ** np.random.default_rng(1).uniform(-6, 6, 625))
    a = sparse.csr_array(d @ laplacian(25, 25, 1.0) @ d)
    refused_or_right(a, SPD, a @ np.ones(625), REFUSALS, solver)


def test_upper_triangle_only(solver):
    a = sparse.csr_array(sparse.triu(laplacian(25, 25, 1.0)))
    with pytest.raises(StructureError, match="not symmetric"):
        si.linear.solve(Operator(a, SPD), B, solver=solver)
    refused_or_right(a, None, B, REFUSALS, solver)


def test_more_entries_than_int32_counts(monkeypatch):
    """The limit is lowered: a matrix of 2³¹ entries would need 24 GiB."""
    from sparseimplicit.linear.preconditioners import amg
    from sparseimplicit.linear.solvers import superlu

    for module in (amg, superlu):
        monkeypatch.setattr(module, "INT32_MOST", 100)
    for name in ("superlu", "cg+amg"):
        with pytest.raises(MemoryBudgetExceeded, match="int32"):
            si.linear.solver_named(name).prepare(Operator(laplacian(25, 25, 1.0), SPD))


def test_a_budget_too_small(monkeypatch):
    with pytest.raises(MemoryBudgetExceeded, match="no solver fits") as caught:
        si.linear.choose(laplacian(25, 25, 1.0), memory=10_000)
    assert "cg+jacobi" in str(caught.value)
    assert "into 9.8 KiB" in str(caught.value)
    monkeypatch.setattr("sparseimplicit.linear.dispatch.available_bytes", lambda: 10_000)
    with pytest.raises(MemoryBudgetExceeded):
        si.vjp(laplacian(25, 25, 1.0), sparse.eye_array(625, format="csr"), B)
