"""Forecasts from experiments on a part, against what happens on the whole."""

import numpy as np
import pytest
from scipy import sparse

from sparseimplicit.linear import AMG, CG, Jacobi, Operator, Rates, Structure
from sparseimplicit.linear.factorizations import SHUFFLED, Factorizations, fill_of
from sparseimplicit.linear.probe import Course, numbering_of, part_of, run_cg, try_amg
from sparseimplicit.linear.solvers.cholmod import analysis_of
from sparseimplicit.verify.zoo import laplacian

SPD = Structure.POSITIVE_DEFINITE


def iterations(operator, preconditioner):
    b = np.random.default_rng(1).standard_normal(operator.n)
    return CG(preconditioner).prepare(operator).solve(b).report.iterations


def cube(size, shift):
    line = laplacian(size, 1, 0.0)
    eye = sparse.eye_array(size)
    kron = sparse.kron
    whole = kron(kron(line, eye), eye) + kron(kron(eye, line), eye) + kron(kron(eye, eye), line)
    return sparse.csr_array(whole + shift * sparse.eye_array(size**3))


@pytest.mark.parametrize(
    ("matrix", "dimension"), [(laplacian(400, 400, 1.0), 2.0), (cube(40, 1.0), 3.0)]
)
def test_the_dimension_of_a_grid(matrix, dimension):
    part = part_of(Operator(matrix, SPD), 8000)
    assert part.dimension == pytest.approx(dimension, abs=0.2)
    assert part.whole_radius > part.radius


def test_a_random_graph_has_no_dimension():
    n = 20_000
    rng = np.random.default_rng(0)
    edges = sparse.coo_array((np.ones(4 * n), rng.integers(0, n, (2, 4 * n))), shape=(n, n))
    adjacency = sparse.csr_array(edges + edges.T)
    matrix = sparse.diags_array(np.asarray(adjacency.sum(axis=1)).ravel() + 0.1) - adjacency
    assert part_of(Operator(matrix, SPD), 3000).dimension > 4


def test_how_unknowns_are_numbered():
    grid = laplacian(60, 60, 1.0)
    natural = numbering_of(Operator(grid, SPD))
    assert natural.scattered < 0.06
    assert natural.distinct == 1.0
    order = np.random.default_rng(0).permutation(3600)
    assert numbering_of(Operator(grid[order][:, order], SPD)).scattered > 0.9
    pairs = sparse.csr_array(sparse.kron(grid, np.array([[2.0, 1.0], [1.0, 2.0]])))
    assert numbering_of(Operator(pairs, SPD)).distinct == pytest.approx(0.5, abs=0.06)
    assert numbering_of(Operator(sparse.eye_array(1))).distinct == 1.0


@pytest.mark.parametrize("unknowns", [1, 2])
@pytest.mark.parametrize("shuffled", [False, True])
def test_the_fill_is_guessed_before_it_is_known(unknowns, shuffled):
    pytest.importorskip("sksparse", reason="scikit-sparse is not installed")
    grid = laplacian(150, 150, 1.0)
    if shuffled:
        order = np.random.default_rng(0).permutation(grid.shape[0])
        grid = grid[order][:, order]
    operator = Operator(sparse.csr_array(sparse.kron(grid, np.eye(unknowns) + 1.0)), SPD)
    guess = Factorizations(operator, 1, Rates(), 2.0)._guess().entries
    found = fill_of(analysis_of(operator.entries, "amd")).entries
    assert 1 / 1.6 < guess / found < 1.6


def test_scattered_unknowns_make_an_ordering_longer():
    grid = laplacian(400, 400, 1.0)
    order = np.random.default_rng(0).permutation(grid.shape[0])
    natural = Factorizations(Operator(grid, SPD), 1, Rates(), 2.0)
    shuffled = Factorizations(Operator(grid[order][:, order], SPD), 1, Rates(), 2.0)
    for name, times in SHUFFLED.items():
        assert 0.7 * times < shuffled._ordering(name) / natural._ordering(name) <= times


def test_small_components_are_taken_whole():
    blocks = sparse.block_diag([laplacian(6, 6, 1.0)] * 500, format="csr")
    part = part_of(Operator(blocks, SPD), 3000)
    assert part.operator.n == 3 * 36
    assert part.whole_radius == part.radius


def test_a_part_is_a_principal_submatrix():
    matrix = laplacian(60, 60, 0.5)
    part = part_of(Operator(matrix, SPD), 600).operator
    assert abs(part.entries - part.entries.T).max() == 0
    diagonal = part.entries.diagonal()
    assert set(np.round(diagonal, 9)) <= set(np.round(matrix.diagonal(), 9))
    assert np.linalg.eigvalsh(part.entries.toarray())[0] >= 0.5 - 1e-12


@pytest.mark.parametrize("shift", [3.0, 0.3, 1e-4])
def test_forecast_of_cg_after_32_steps(shift):
    operator = Operator(laplacian(250, 250, shift), SPD)
    actual = iterations(operator, Jacobi())
    assert actual / 4 < run_cg(operator, 32).iterations(1e-8) < 4 * actual


def test_forecast_of_amg_from_a_part():
    operator = Operator(laplacian(250, 250, 1e-3), SPD)
    trial = try_amg(part_of(operator, 8000).operator, "classical", 1e-8, 100)
    assert abs(trial.iterations - iterations(operator, AMG("classical"))) <= 3
    held = AMG("classical").prepare(operator).bytes_estimate / operator.entries.nnz
    assert trial.bytes == pytest.approx(held, rel=0.2)
    assert try_amg(part_of(operator, 8000).operator, "classical", 1e-8, 2) is None


def test_negative_curvature_is_noticed():
    matrix = laplacian(50, 50, 0.1)
    matrix[1200, 1200] = 0.05
    assert run_cg(Operator(matrix), 100).indefinite
    matrix[1200, 1200] = -1.0
    assert run_cg(Operator(matrix), 10) is None


def test_a_course_that_arrived_is_counted():
    assert Course((0.1, 0.01, 0.001), (1.0, 4.0), False).iterations(0.01) == 2
    assert Course((1.0, 1.0), (1.0, 4.0), False).iterations(1e-8) > 100
