import json

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

import sparseimplicit as si
from sparseimplicit.errors import (
    MemoryBudgetExceeded,
    NotPositiveDefinite,
    ShapeError,
    StructureError,
)
from sparseimplicit.linear import Operator, Rates, Structure, SuperLU, choose
from sparseimplicit.linear.factorizations import fill_of
from sparseimplicit.linear.probe import Course
from sparseimplicit.verify.zoo import convection_diffusion, laplacian

SPD = Structure.POSITIVE_DEFINITE
DIRECT = ("pardiso", "pardiso+amd", "cholmod+amd", "cholmod+metis", "superlu")
RATES = Rates()  # of a machine that is the same everywhere


def test_few_unknowns_go_to_lapack():
    assert choose(laplacian(4, 4, 1.0)).solver.label == "dense"


def test_a_well_conditioned_hessian_goes_to_conjugate_gradients():
    choice = choose(Operator(laplacian(200, 200, 1.0), SPD))
    assert choice.solver.label == "cg+jacobi"
    assert "condition" in choice.because


def test_many_solves_pay_for_a_factorization():
    choice = choose(Operator(laplacian(200, 200, 1e-4), SPD), solves=1000, rates=RATES)
    assert choice.solver.label in DIRECT


def test_a_general_matrix_goes_to_a_general_method():
    assert choose(convection_diffusion(40, 40)).solver.label in (
        "banded",
        "pardiso",
        "superlu",
        "gmres+ilu",
    )


@pytest.mark.parametrize(
    ("structure", "label"),
    [(SPD, "cg"), (Structure.SYMMETRIC, "minres"), (Structure.GENERAL, "gmres")],
)
def test_products_alone_go_to_the_krylov_method_for_the_structure(structure, label):
    operator = Operator(aslinearoperator(laplacian(30, 30, 1.0)), structure)
    assert choose(operator).solver.label == label


def test_the_table_lists_every_candidate():
    choice = choose(Operator(laplacian(50, 50, 1.0), SPD))
    table = str(choice)
    for candidate in choice.candidates:
        assert candidate.solver in table
    assert "*" in table


def test_nothing_fits_is_said_before_any_work():
    with pytest.raises(MemoryBudgetExceeded, match="into 1000 B"):
        choose(laplacian(50, 50, 1.0), memory=1000)


def test_auto_steps_on_when_an_undeclared_matrix_is_indefinite(monkeypatch):
    blind = Course(residuals=(0.1, 0.01, 1e-9), spectrum=(0.1, 1.0), indefinite=False)
    monkeypatch.setattr("sparseimplicit.linear.forecast.run_cg", lambda *args: blind)
    monkeypatch.setattr("sparseimplicit.linear.forecast.Forecast._banded", lambda self: [])
    a = laplacian(30, 30, 1.0)
    a[450, 450] = 0.5  # indefinite along one direction; the probe, here blind, may miss such
    assert np.linalg.eigvalsh(a.toarray())[0] < 0
    b = np.eye(900)[450]
    solution = si.linear.solve(a, b)
    assert np.linalg.norm(b - a @ solution.value) <= 1.01e-8
    assert "failed: NotPositiveDefinite" in solution.report.because


def test_auto_does_not_step_on_when_definiteness_was_declared():
    a = laplacian(30, 30, 1.0)
    a[450, 450] = 0.5
    with pytest.raises(NotPositiveDefinite):
        si.linear.solve(Operator(a, SPD), np.eye(900)[450])


def test_names():
    assert {"dense", "superlu", "cholmod", "cg", "cg+amg", "gmres+ilu"} <= set(
        si.available_solvers()
    )
    with pytest.raises(StructureError, match="choose 'auto' or one of"):
        si.linear.solve(sparse.eye_array(3), np.ones(3), solver="choldmod")
    with pytest.raises(StructureError, match="already"):
        si.register_solver("cholmod", SuperLU)


def test_a_registered_solver_is_found(monkeypatch):
    from sparseimplicit.linear import registry

    monkeypatch.setattr(registry, "_solvers", dict(registry._solvers))
    si.register_solver("mine", SuperLU)
    assert "mine" in si.available_solvers()
    solution = si.linear.solve(sparse.eye_array(3) * 2, np.ones(3), solver="mine")
    np.testing.assert_allclose(solution.value, 0.5)


def test_transposed_solve():
    a = convection_diffusion(6, 6)
    b = np.arange(36.0)
    x = si.linear.solve(a, b, transpose=True).value
    np.testing.assert_allclose(a.T @ x, b, atol=1e-7)


def test_a_missing_backend_that_would_be_faster_is_said(monkeypatch):
    monkeypatch.setattr("sparseimplicit.linear.factorizations.available", lambda module: False)
    choice = choose(Operator(laplacian(200, 200, 1e-4), SPD), solves=1000, rates=RATES)
    assert choice.solver.label == "superlu"
    assert "sparseimplicit[cholmod]" in choice.because
    assert "sparseimplicit[cholmod]" in str(choice)


class _Entry:
    name = "theirs"
    value = "their.package:Solver"

    def load(self):
        return SuperLU


def test_solvers_of_installed_packages_are_found(monkeypatch):
    from sparseimplicit.linear import registry

    monkeypatch.setattr(registry, "entry_points", lambda group: [_Entry()])
    assert "theirs" in si.available_solvers()
    solution = si.linear.solve(sparse.eye_array(3) * 2, np.ones(3), solver="theirs")
    np.testing.assert_allclose(solution.value, 0.5)


@pytest.mark.parametrize("backend", ["pardiso", "cholmod"])
def test_the_plans_analysis_is_handed_on(backend, monkeypatch):
    module = {"pardiso": "pypardiso", "cholmod": "sksparse"}
    pytest.importorskip(module[backend], reason=f"{module[backend]} is not installed")
    monkeypatch.setattr(
        "sparseimplicit.linear.factorizations.available", lambda name: name == module[backend]
    )
    operator = Operator(laplacian(150, 150, 1e-6), SPD)
    choice = choose(operator, rates=Rates(grid_setup=1.0))  # multigrid would be faster
    assert choice.solver.label == f"{backend}+amd"
    system = choice.solver.prepare(operator, analysis=choice.analysis)
    assert system.report.analyses == 0
    assert system.report.reused == "symbolic analysis"
    told = float(choice.because.split("; ")[1].split("e6")[0])
    assert fill_of(choice.analysis).entries / 1e6 == pytest.approx(told, abs=0.06)


def test_what_is_over_budget_is_passed_over_aloud():
    operator = Operator(laplacian(150, 150, 1e-6), SPD)
    best = choose(operator, solves=500, rates=RATES).candidates[0]
    assert best.solver in DIRECT
    choice = choose(operator, solves=500, rates=RATES, memory=best.bytes - 1)
    assert choice.solver.label != best.solver
    assert f"'{best.solver}' would be faster, but needs" in choice.because
    assert f"! {best.solver}" in str(choice)


def test_a_wide_choice_looks_into_no_method_that_has_lost(monkeypatch):
    """A well-conditioned matrix costs no analysis and no hierarchy."""
    monkeypatch.setattr("sparseimplicit.linear.factorizations.analysis_of", None)
    monkeypatch.setattr("sparseimplicit.linear.forecast.try_amg", None)
    choice = choose(Operator(laplacian(300, 300, 1.0), SPD), rates=RATES)
    assert choice.solver.label == "cg+jacobi"
    others = [c for c in choice.candidates if c.solver in ("cg+amg", "superlu")]
    assert len(others) == 2
    assert all(c.at_least for c in others)
    assert str(choice).count("≥") >= 4


def test_a_choice_converts_to_plain_values():
    record = choose(laplacian(40, 40, 1.0), rates=RATES).to_dict()
    assert json.loads(json.dumps(record)) == record
    assert record["candidates"][0]["solver"] == record["solver"]


def test_fewer_than_one_solve_is_refused():
    with pytest.raises(ShapeError, match="solves must be an integer, 1 or more"):
        choose(laplacian(40, 40, 1.0), solves=0)


def test_a_factor_that_does_not_fit_gives_way_to_one_in_float32():
    pytest.importorskip("pypardiso", reason="pypardiso is not installed")
    operator = Operator(sparse.csr_array(laplacian(300, 300, 1e-6)), SPD)
    rates = Rates(iteration=1.0, classical=1.0, factor=1.0, grid_setup=1.0)  # only PARDISO is quick
    whole = choose(operator, rates=rates)
    assert whole.solver.label in ("pardiso", "pardiso+amd")
    least = min(c.bytes for c in whole.candidates if c.solver in ("pardiso", "pardiso+amd"))
    assert choose(operator, rates=rates, memory=least - 1).solver.label == "pardiso+single"
    x = np.random.default_rng(0).standard_normal(90_000)
    b = operator.apply(x)
    solution = si.linear.solve(operator, b, solver="pardiso+single")
    assert np.linalg.norm(b - operator.apply(solution.value)) <= 1e-8 * np.linalg.norm(b)


def test_a_large_nonsymmetric_matrix_weighs_gmres_with_amg():
    choice = choose(convection_diffusion(300, 300), rates=Rates(pardiso_factor=1e-3, lu=1e-3))
    (weighed,) = (c for c in choice.candidates if c.solver == "gmres+amg")
    assert weighed.possible
    assert not weighed.at_least  # it was tried on a part, not passed over by a bound
    assert "iterations on" in weighed.because
    assert 0.0 < weighed.seconds < np.inf


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"rtol": 2.0}, "rtol"), ({"rtol": 0.0}, "rtol"), ({"rtol": "x"}, "rtol"),
        ({"solves": 0}, "solves"), ({"solves": 1.5}, "solves"), ({"solves": "x"}, "solves"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_refused(asked, told):
    with pytest.raises(ShapeError, match=f"{told} must be"):
        choose(np.eye(3), **asked)
