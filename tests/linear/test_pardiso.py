"""PARDISO: three structures, analyses handed on, memory given back, single precision refined."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import sparse

from sparseimplicit.errors import NotPositiveDefinite, SingularSystem, StructureError
from sparseimplicit.linear import Operator, Pardiso, Structure, pardiso_api
from sparseimplicit.linear.memory import resident_bytes
from sparseimplicit.verify.zoo import convection_diffusion, laplacian

pytest.importorskip("pypardiso", reason="pypardiso is not installed (extra 'pardiso')")
SPD = Structure.POSITIVE_DEFINITE


def saddle(n):
    """Return a symmetric indefinite matrix with n positive and n negative eigenvalues."""
    k = laplacian(n, 1, 0.3)
    return sparse.csr_array(sparse.block_array([[sparse.eye_array(n), k], [k, None]]))


@pytest.mark.parametrize(
    ("matrix", "structure"),
    [
        (laplacian(9, 7, 0.1), SPD),
        (saddle(20), Structure.SYMMETRIC),
        (convection_diffusion(9, 7), Structure.GENERAL),
    ],
)
@pytest.mark.parametrize("single", [False, True])
def test_against_dense_algebra(matrix, structure, single):
    b = np.random.default_rng(0).standard_normal((matrix.shape[0], 3))
    system = Pardiso(single=single).prepare(Operator(matrix, structure))
    dense = matrix.toarray()
    solution = system.solve(b, rtol=1e-12)
    np.testing.assert_allclose(solution.value, np.linalg.solve(dense, b), atol=1e-9)
    adjoint = system.solve_adjoint(b, rtol=1e-12).value
    np.testing.assert_allclose(adjoint, np.linalg.solve(dense.T, b), atol=1e-9)
    assert (solution.report.refinements > 0) == single


def test_an_indefinite_matrix_declared_definite_is_refused_at_its_unknown():
    a = laplacian(12, 12, 1.0)
    a[40, 40] = -3.0
    with pytest.raises(NotPositiveDefinite, match="not positive definite") as caught:
        Pardiso().prepare(Operator(a, SPD))
    assert caught.value.unknown is None or 0 <= caught.value.unknown < 144


def test_the_inertia_of_an_indefinite_matrix():
    method = Pardiso().prepare(Operator(saddle(20))).method
    assert method._factor.inertia == (20, 20)


def test_an_empty_row_and_an_unknown_ordering():
    keep = sparse.diags_array((np.arange(25) != 7).astype(float))
    a = sparse.csr_array(keep @ laplacian(5, 5, 1.0) @ keep)
    with pytest.raises(SingularSystem, match="row 7 is empty"):
        Pardiso().prepare(a)
    with pytest.raises(StructureError, match="no ordering 'colamd'"):
        Pardiso("colamd")


def test_one_analysis_serves_neighbours_and_the_old_still_solves():
    a, b = Operator(laplacian(30, 30, 1.0), SPD), np.ones(900)
    first = Pardiso().prepare(a)
    second = first.refresh(Operator(laplacian(30, 30, 2.0), SPD))
    assert (first.report.analyses, second.report.analyses) == (1, 0)
    assert second.report.reused == "symbolic analysis"
    third = second.refresh(Operator(laplacian(30, 30, 3.0), SPD))
    assert third.report.analyses == 1  # two live already
    for shift, system in ((1.0, first), (2.0, second), (3.0, third)):
        np.testing.assert_allclose(system.solve(b).value, np.full(900, 1 / shift), rtol=1e-10)
    del second
    gc.collect()
    again = first.refresh(Operator(laplacian(30, 30, 4.0), SPD))
    assert again.report.analyses == 0  # a place has become free
    np.testing.assert_allclose(first.solve(b).value, np.ones(900), rtol=1e-10)
    np.testing.assert_allclose(again.solve(b).value, np.full(900, 0.25), rtol=1e-10)


def test_a_failed_factorization_gives_its_place_back():
    good, bad = laplacian(12, 12, 1.0), laplacian(12, 12, 1.0)
    bad[40, 40] = -3.0
    system = Pardiso().prepare(Operator(good, SPD))
    for _ in range(4):
        with pytest.raises(NotPositiveDefinite):
            system.refresh(Operator(bad, SPD))
    assert system.refresh(Operator(good, SPD)).report.analyses == 0


def test_memory_is_given_back():
    operator = Operator(laplacian(120, 120, 1.0), SPD)
    held = Pardiso().prepare(operator).report.bytes_estimate
    assert held > 2**20
    before = resident_bytes()
    for _ in range(60):
        Pardiso().prepare(operator)
    assert resident_bytes() - before < 10 * held


def test_the_forecast_of_an_analysis_is_what_the_factor_takes():
    analysis = Pardiso().analyse(Operator(laplacian(60, 60, 1.0), SPD))
    assert 5 * 3600 < analysis.handle.entries < 60 * 3600
    assert analysis.handle.operations > analysis.handle.entries
    assert analysis.handle.bytes > 8 * analysis.handle.entries


def test_systems_in_several_threads():
    b, answers = np.ones(400), {}

    def work(shift):
        operator = Operator(laplacian(20, 20, shift), SPD)
        answers[shift] = Pardiso().prepare(operator).solve(b).value

    threads = [threading.Thread(target=work, args=(float(s),)) for s in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for shift, value in answers.items():
        np.testing.assert_allclose(value, np.full(400, 1 / shift), rtol=1e-10)


def test_wide_indices():
    a = laplacian(20, 20, 1.0)
    a.indptr, a.indices = a.indptr.astype(np.int64), a.indices.astype(np.int64)
    value = Pardiso().prepare(Operator(a, SPD)).solve(np.ones(400)).value
    np.testing.assert_allclose(value, np.ones(400), rtol=1e-10)


def test_counts_beyond_int32_are_taken_in_int64(monkeypatch):
    plain = pardiso_api._pardiso

    def overflowing(call, memory, parameters, kind, integer, *rest):
        error = plain(call, memory, parameters, kind, integer, *rest)
        if integer is np.int32:
            parameters[pardiso_api.ENTRIES] = -7
        return error

    monkeypatch.setattr(pardiso_api, "_pardiso", overflowing)
    a = laplacian(20, 20, 1.0)
    system = Pardiso().prepare(Operator(a, Structure.POSITIVE_DEFINITE))
    assert system.analysis.handle.parameters.dtype == np.int64
    assert 400 < system.analysis.handle.entries < 80_200
    b = np.random.default_rng(0).standard_normal(400)
    np.testing.assert_allclose(a @ system.solve(b).value, b, atol=1e-12)


def test_threads_may_solve_forth_and_back_at_once():
    a = convection_diffusion(40, 40)
    system = Pardiso().prepare(a)
    b = np.random.default_rng(0).standard_normal(1600)
    exact = {False: system.solve(b).value, True: system.solve_adjoint(b).value}

    def work(back):
        run = system.solve_adjoint if back else system.solve
        return max(np.abs(run(b).value - exact[back]).max() for _ in range(50))

    with ThreadPoolExecutor(2) as pool:
        assert max(pool.map(work, (False, True))) < 1e-12
