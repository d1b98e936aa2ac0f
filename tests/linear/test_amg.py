"""The cycle of AMG: what it is, that its transpose is one, that bits do not depend on threads."""

import numba
import numpy as np
import pyamg
import pytest
from scipy import sparse

from sparseimplicit.errors import ShapeError
from sparseimplicit.kernels import amg as kernels
from sparseimplicit.kernels import amg_columns, chunks, coarsening, galerkin, rows
from sparseimplicit.linear import AMG, CG, GMRES, Operator, Structure
from sparseimplicit.linear.preconditioners import hierarchy, setup
from sparseimplicit.verify.zoo import convection_diffusion, laplacian
from tests.reference import amg as twin

SPD = Structure.POSITIVE_DEFINITE
MODULES = (kernels, amg_columns, chunks, coarsening, galerkin, rows, setup)


@pytest.fixture
def small_chunks(monkeypatch):
    """Run small levels as large ones are run: in chunks, in parallel."""
    for module in MODULES:
        monkeypatch.setattr(module, "PARALLEL_ENTRIES", 500)
    monkeypatch.setattr(chunks, "PARALLEL_ROWS", 100)
    monkeypatch.setattr(setup, "CHUNK", 64)


def dense(apply, n):
    return apply(np.eye(n))


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("kind", ["classical", "aggregation"])
def test_the_cycle_is_the_one_of_the_twin_and_symmetric(kind):
    a = laplacian(17, 23, 1e-2)
    n = a.shape[0]
    prepared = AMG(kind).prepare(Operator(a, SPD))
    cycle, order = prepared._cycle, prepared.analysis.order
    matrices = [m.toarray() for m in prepared.matrices]
    np.testing.assert_allclose(matrices[0] * prepared._unit, a.toarray()[order][:, order])
    transfers = [(p.toarray(), r.toarray()) for p, r in prepared.analysis.levels]
    assert cycle.levels[0].chunk == 64
    expected = twin.cycle(matrices, transfers, [level.chunk for level in cycle.levels], cycle.both)
    found = dense(prepared.apply, n)
    np.testing.assert_allclose(
        found[order][:, order] * prepared._unit, expected, rtol=1e-9, atol=1e-12
    )
    assert abs(found - found.T).max() < 1e-14 * abs(found).max()
    assert np.linalg.eigvalsh(found)[0] > 0


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("kind", ["classical", "aggregation", "fields"])
def test_the_transposed_cycle_is_the_transpose(kind):
    a = convection_diffusion(20, 20)
    fields = np.stack([np.ones(400), np.arange(400) / 400], axis=1)
    amg = AMG("aggregation", fields) if kind == "fields" else AMG(kind)
    prepared = amg.prepare(Operator(a))
    assert prepared._cycle.both == (kind == "aggregation")  # forward and backward at either place
    forward, back = dense(prepared.apply, 400), dense(prepared.apply_transpose, 400)
    assert abs(forward - forward.T).max() > 1e-3 * abs(forward).max()
    np.testing.assert_allclose(back, forward.T, rtol=0, atol=1e-13 * abs(forward).max())


def test_aggregates_are_the_same_each_time_and_leave_the_users_random_numbers_alone():
    operator = Operator(laplacian(40, 40, 1e-3), SPD)
    r = np.random.default_rng(0).standard_normal((1600, 1))
    found = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002 - the state that pyamg draws from
        expected = np.random.RandomState(seed).random_sample()
        found.append(AMG("aggregation").prepare(operator).apply(r))
        assert np.random.random_sample() == expected  # noqa: NPY002
    np.testing.assert_array_equal(*found)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_bits_do_not_depend_on_threads_nor_columns_on_each_other(dtype):
    a = laplacian(40, 40, 1e-3)
    r = np.random.default_rng(0).standard_normal((1600, 3))
    results = []
    before = numba.get_num_threads()
    try:
        for threads in (1, min(2, before)):
            numba.set_num_threads(threads)
            prepared = AMG("classical", dtype=dtype).prepare(Operator(a, SPD))
            results.append((prepared.apply(r), prepared.apply(r[:, :1]), prepared.matrices[1].data))
    finally:
        numba.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)
    size = abs(results[0][0]).max()
    tolerance = 1e-13 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(results[0][0][:, :1], results[0][1], atol=tolerance * size)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_cycle_makes_its_vectors_once(dtype):
    prepared = AMG("classical", dtype=dtype).prepare(Operator(laplacian(40, 40, 1e-3), SPD))
    r = np.random.default_rng(0).standard_normal((1600, 1))
    first = prepared.apply(r)
    made = prepared._cycle._vectors[0]
    again = prepared.apply(r)
    assert prepared._cycle._vectors[0] is made
    assert all(v.dtype == dtype for vectors in made for v in vectors)
    np.testing.assert_array_equal(first, again)
    prepared.apply(np.ones((1600, 2)))
    assert len(prepared._cycle._vectors) == 1


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_a_float32_hierarchy_reaches_small_residuals_for_any_right_hand_side(scale):
    operator = Operator(laplacian(60, 60, 1e-3), SPD)
    b = scale * np.random.default_rng(0).standard_normal(3600)
    double = CG(AMG("classical")).prepare(operator)
    single = CG(AMG("classical", dtype=np.float32)).prepare(operator)
    reports = [s.solve(b, rtol=1e-12).report for s in (double, single)]
    assert all(report.converged for report in reports)
    assert abs(reports[0].iterations - reports[1].iterations) <= 1
    assert single.report.bytes_estimate < 0.75 * double.report.bytes_estimate
    r = b[:, None]
    whole, half = (s.method.as_preconditioner().apply(r) for s in (double, single))
    np.testing.assert_allclose(half, whole, rtol=0, atol=1e-5 * abs(whole).max())


def test_there_is_no_hierarchy_of_integers():
    with pytest.raises(ShapeError, match="float32"):
        AMG(dtype=np.int64)


def iterations_of_pyamg(a, b, kind):
    build = {
        "classical": pyamg.ruge_stuben_solver,
        "aggregation": pyamg.smoothed_aggregation_solver,
    }
    residuals = []
    build[kind](sparse.csr_matrix(a)).solve(b, tol=1e-8, accel="cg", residuals=residuals)
    return len(residuals) - 1


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("kind", ["classical", "aggregation"])
def test_iterations_match_those_of_pyamg(kind):
    """In random order, with chunks of 64: within a fifth, and one."""
    shuffled = np.random.default_rng(1).permutation(80 * 80)
    a = sparse.csr_array(laplacian(80, 80, 1e-4)[shuffled][:, shuffled])
    b = np.random.default_rng(0).standard_normal(6400)
    ours = CG(AMG(kind)).prepare(Operator(a, SPD)).solve(b, rtol=1e-8).report.iterations
    assert ours <= 1.2 * iterations_of_pyamg(a, b, kind) + 1


def test_weak_couplings_alone_leave_one_smoothed_level():
    """Nothing to coarsen: no dense inverse of a large matrix is made."""
    a = sparse.diags_array(np.linspace(1.0, 2.0, 3000)).tocsr()
    prepared = AMG("classical").prepare(Operator(a, SPD))
    assert prepared.analysis.levels == ()
    r = np.ones((3000, 2))
    np.testing.assert_allclose(prepared.apply(r), r / a.diagonal()[:, None])


@pytest.mark.usefixtures("small_chunks")
def test_a_smoothed_last_level_is_swept_both_ways(monkeypatch):
    """Where coarsening stalls, the cycle stays symmetric, and its transpose the transpose."""
    monkeypatch.setattr(hierarchy, "DENSE", 10)
    monkeypatch.setattr(setup, "MOST_LEVELS", 2)
    prepared = AMG("classical").prepare(Operator(laplacian(20, 20, 1e-2), SPD))
    assert prepared._cycle.last is not None
    found = dense(prepared.apply, 400)
    assert abs(found - found.T).max() < 1e-14 * abs(found).max()
    assert np.linalg.eigvalsh(found)[0] > 0
    prepared = AMG("classical").prepare(Operator(convection_diffusion(20, 20)))
    forward, back = dense(prepared.apply, 400), dense(prepared.apply_transpose, 400)
    np.testing.assert_allclose(back, forward.T, rtol=0, atol=1e-13 * abs(forward).max())


def test_gmres_solves_with_both():
    a = convection_diffusion(30, 30)
    b = np.random.default_rng(0).standard_normal(900)
    system = GMRES(AMG()).prepare(Operator(a))
    forward, back = system.solve(b), system.solve_adjoint(b)
    assert np.linalg.norm(a @ forward.value - b) <= 1e-8 * np.linalg.norm(b)
    assert np.linalg.norm(a.T @ back.value - b) <= 1e-8 * np.linalg.norm(b)
    assert abs(forward.report.iterations - back.report.iterations) <= 3
