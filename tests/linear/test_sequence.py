"""Sequences of matrices: what is reused, what is prepared, and that the answer is right anyway."""

import dataclasses

import numpy as np
import pytest
from scipy import sparse

from sparseimplicit.errors import NotConverged, NotPositiveDefinite, ShapeError, StructureError
from sparseimplicit.linear import AMG, CG, Operator, Sequence, Structure, SuperLU
from sparseimplicit.linear.sequence import TRIAL, foretold_iterations
from sparseimplicit.verify.zoo import convection_diffusion, laplacian

SPD = Structure.POSITIVE_DEFINITE
B = np.random.default_rng(0).standard_normal(900)


def begun(solver, matrix, structure=SPD):
    """Return a sequence that has prepared a matrix, and found that to take a second."""
    sequence = Sequence(solver, because="named")
    sequence.solve(Operator(matrix, structure), B)
    sequence._fresh, sequence._iteration = 1.0, 0.02
    return sequence


def residual(matrix, x):
    return np.linalg.norm(B - matrix @ x) / np.linalg.norm(B)


def test_a_small_change_goes_on_with_the_old_factor():
    sequence = begun(SuperLU(), laplacian(30, 30, 1.0))
    new = laplacian(30, 30, 1.1)
    solution = sequence.solve(Operator(new, SPD), B, rtol=1e-10)
    assert residual(new, solution.value) <= 1e-10
    step = sequence.steps[-1]
    assert step.action == "reused"
    assert 2 <= step.iterations <= 8
    assert sequence.system.report.factorizations == 0
    assert "'superlu' of an earlier matrix preconditions" in solution.report.because
    assert sequence.prepared.operator.entries[0, 0] == pytest.approx(3.0)  # still the first one's


def test_a_large_change_is_prepared_anew():
    sequence = begun(SuperLU(), laplacian(30, 30, 1.0))
    scale = sparse.diags_array(10.0 ** np.random.default_rng(1).uniform(-3, 3, 900))
    new = sparse.csr_array(scale @ laplacian(30, 30, 1.0) @ scale)
    sequence.solve(Operator(new, SPD), B, rtol=1e-6)
    assert sequence.steps[-1].action == "prepared"
    assert sequence.steps[-1].in_vain == 0.0
    assert "diagonals changed by a factor of" in sequence.steps[-1].because


def test_a_trial_in_vain_is_given_up_early_and_not_repeated_at_once():
    """The diagonal stays, the rest does not: the forecast is fooled, the trial is not."""
    sequence = begun(SuperLU(), laplacian(30, 30, 1e-4))
    diagonal = laplacian(30, 30, 1e-4).diagonal()
    other = sparse.csr_array(sparse.diags_array(diagonal))
    solution = sequence.solve(Operator(other, SPD), B, rtol=1e-10)
    step = sequence.steps[-1]
    assert step.action == "prepared"
    assert step.in_vain > 0.0
    np.testing.assert_allclose(solution.value, B / diagonal, rtol=1e-8)
    sequence._fresh, sequence._iteration = 1.0, 0.02
    sequence.solve(Operator(sparse.csr_array(1.01 * other), SPD), B)
    assert sequence.steps[-1].because == "the last trial was in vain"
    sequence._fresh, sequence._iteration = 1.0, 0.02
    sequence.solve(Operator(sparse.csr_array(1.02 * other), SPD), B)
    assert "could cost more than it may" in sequence.steps[-1].because  # so much of it was in vain
    sequence.steps.append(dataclasses.replace(step, prepare_seconds=1e3, in_vain=0.0))
    sequence._fresh, sequence._iteration = 1.0, 0.02
    sequence.solve(Operator(sparse.csr_array(1.03 * other), SPD), B)
    assert sequence.steps[-1].action == "reused"


@pytest.mark.parametrize("solver", [SuperLU(), CG(AMG("classical"))])
def test_an_indefinite_neighbour_is_no_answer(solver):
    """Its diagonal is the old one's: the forecast is fooled, and CG meets negative curvature."""
    sequence = begun(solver, laplacian(30, 30, 1.0))
    a = laplacian(30, 30, 1.0)
    diagonal = sparse.diags_array(a.diagonal())
    indefinite = Operator(sparse.csr_array(diagonal + 2.0 * (a - diagonal)), SPD)
    with pytest.raises((NotPositiveDefinite, NotConverged)):
        sequence.solve(indefinite, B)


def test_bad_input_does_not_cost_the_factor():
    sequence = begun(SuperLU(), laplacian(30, 30, 1.0))
    held = sequence.prepared
    with pytest.raises(ShapeError):
        sequence.solve(Operator(laplacian(30, 30, 1.1), SPD), B[:10])
    assert sequence.prepared is held


def test_foresight_gives_up_after_the_first_look():
    hard = Operator(laplacian(60, 60, 1e-6), SPD)
    b = np.random.default_rng(0).standard_normal(3600)
    run = CG(max_iterations=10, foresight=TRIAL).prepare(hard).solve(b, strict=False)
    assert run.report.iterations == TRIAL
    assert not run.report.converged
    easy = Operator(laplacian(60, 60, 50.0), SPD)
    assert CG(max_iterations=40, foresight=TRIAL).prepare(easy).solve(b).report.converged


def test_nonsymmetric_matrices_and_their_adjoints():
    a = convection_diffusion(30, 30)
    sequence = begun(SuperLU(), a, Structure.GENERAL)
    new = sparse.csr_array(a + 0.05 * sparse.diags_array(a.diagonal()))
    x = sequence.solve(Operator(new), B, rtol=1e-10).value
    y = sequence.solve(Operator(new), B, rtol=1e-10, transpose=True).value
    assert [step.action for step in sequence.steps[1:]] == ["reused", "reused"]
    assert abs(sequence.steps[1].iterations - sequence.steps[2].iterations) <= 2
    assert residual(new, x) <= 1e-10
    assert residual(new.T, y) <= 1e-10


@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        (lambda: Sequence(SuperLU(), reuse=False), "every matrix is to be prepared"),
        (lambda: Sequence(CG()), "there is nothing costly to reuse"),
        (lambda: Sequence(SuperLU()), "a preparation takes"),
    ],
)
def test_where_nothing_can_be_gained_nothing_is_tried(prepare, why, monkeypatch):
    monkeypatch.setattr("sparseimplicit.linear.sequence.WORTHLESS", 1e9)
    sequence = prepare()
    for shift in (1.0, 1.1):
        sequence.solve(Operator(laplacian(30, 30, shift), SPD), B)
    assert sequence.steps[-1].action == "prepared"
    assert why in sequence.steps[-1].because


@pytest.mark.parametrize(("preparing", "action"), [(0.5, "reused"), (0.0, "prepared")])
def test_a_hierarchy_is_kept_for_a_few_iterations_more_if_a_new_one_costs_more(preparing, action):
    sequence = begun(CG(AMG("classical")), laplacian(30, 30, 1e-3))
    own = sequence.steps[0].iterations
    sequence._preparing, sequence._fresh = preparing, preparing + 0.019 * own
    sequence.solve(Operator(1.1 * laplacian(30, 30, 1e-3), SPD), B)
    step = sequence.steps[-1]
    assert step.action == action
    assert f"about {own} iterations" in step.because  # as many as with its own: κ of 1
    assert step.iterations <= own + 1


def test_another_size_is_prepared():
    sequence = begun(SuperLU(), laplacian(30, 30, 1.0))
    sequence.solve(Operator(laplacian(20, 20, 1.0), SPD), B[:400])
    assert sequence.steps[-1].action == "prepared"


def test_transfers_of_amg_are_kept_and_the_products_made_anew():
    first = CG(AMG("classical")).prepare(Operator(laplacian(60, 60, 1e-3), SPD))
    b = np.random.default_rng(0).standard_normal(3600)
    neighbour = Operator(laplacian(60, 60, 3e-3), SPD)
    kept = first.refresh(neighbour)
    fresh = CG(AMG("classical")).prepare(neighbour)
    assert kept.report.reused == "transfers between levels"
    assert fresh.report.reused is None
    assert abs(kept.solve(b).report.iterations - fresh.solve(b).report.iterations) <= 2
    hierarchy = kept.method.as_preconditioner()
    (p, r), (fine, coarse) = hierarchy.analysis.levels[0], hierarchy.matrices[:2]
    assert abs(r @ fine @ p - coarse).max() < 1e-12
    other_size = first.refresh(Operator(laplacian(50, 50, 1e-3), SPD))
    assert other_size.report.reused is None


def test_transfers_that_have_grown_slow_are_made_anew():
    sequence = begun(CG(AMG("classical")), laplacian(30, 30, 1e-3))
    sequence._fresh = 0.0  # so that the hierarchy as it is will not do
    sequence.solve(Operator(laplacian(30, 30, 2e-3), SPD), B)
    assert sequence.system.report.reused == "transfers between levels"
    sequence._last_iterations = 10 * sequence._first_iterations + 10
    sequence._fresh = 0.0
    sequence.solve(Operator(laplacian(30, 30, 3e-3), SPD), B)
    assert sequence.system.report.reused is None
    assert "had grown slow" in sequence.steps[-1].because


def test_the_forecast_of_iterations():
    assert foretold_iterations(1.0, 1e-8) == 2.0
    assert foretold_iterations(4.0, 1e-8) < foretold_iterations(100.0, 1e-8)


def test_a_name_and_plain_matrices_will_do():
    sequence = Sequence("superlu")
    for shift in (1.0, 1.1):
        matrix = laplacian(30, 30, shift)
        assert residual(matrix, sequence.solve(matrix, B).value) <= 1e-8
    assert sequence.solver.label == "superlu"


@pytest.mark.parametrize("solver", ["auto", "none such", None, SuperLU])
def test_what_is_no_solver_is_refused(solver):
    with pytest.raises(StructureError, match="solver"):
        Sequence(solver)
