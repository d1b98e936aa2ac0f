"""Batches of small systems against dense algebra."""

import numpy as np
import pytest
from scipy import sparse

from sparseimplicit.errors import MemoryBudgetExceeded, NotPositiveDefinite, ShapeError
from sparseimplicit.linear import Batched, Operator, Rates, Structure, block_diagonal, choose
from sparseimplicit.linear.blocks import batch_of
from sparseimplicit.linear.solvers import batched
from sparseimplicit.verify.zoo import laplacian

SPD = Structure.POSITIVE_DEFINITE


def patches(sizes):
    blocks = [laplacian(k, k, 0.1 + i / 10) for i, k in enumerate(sizes)]
    return sparse.csr_array(sparse.block_diag(blocks, format="csr")), blocks


def permuted(a, seed):
    p = np.random.default_rng(seed).permutation(a.shape[0])
    return sparse.csr_array(sparse.csr_array(a[p])[:, p])


@pytest.mark.parametrize("order", ["as it is", "shuffled", "interleaved"])
def test_systems_of_any_size_and_order(order):
    a, blocks = patches([1, 5, 5, 2, 7, 5, 5, 5, 5, 5, 5, 1, 12] if order != "interleaved" else
                        [4] * 20)  # fmt: skip
    if order == "shuffled":
        a = permuted(a, 0)
    if order == "interleaved":
        p = np.arange(a.shape[0]).reshape(20, 16).T.ravel()
        a = sparse.csr_array(sparse.csr_array(a[p])[:, p])
    assert batch_of(a).count == len(blocks)
    b = np.random.default_rng(1).standard_normal((a.shape[0], 4))
    x = Batched().prepare(Operator(a, SPD)).solve(b, rtol=1e-12).value
    np.testing.assert_allclose(x, np.linalg.solve(a.toarray(), b), rtol=1e-9, atol=1e-12)


def test_a_shuffled_grid_is_numbered_anew():
    a, _ = patches([20] * 9)
    assert batch_of(a).band.tolist() == [20, 20]
    assert batch_of(permuted(a, 3)).band.max() < 30


def test_an_interleaved_batch_keeps_its_narrow_band():
    a, _ = patches([4] * 20)
    p = np.arange(a.shape[0]).reshape(20, 16).T.ravel()
    batch = batch_of(sparse.csr_array(sparse.csr_array(a[p])[:, p]))
    assert batch.band.tolist() == [4, 4, 4]
    assert batch.numbers == 3 * 8 * 16 * 5


def test_a_stack_of_dense_systems():
    rng = np.random.default_rng(2)
    root = rng.standard_normal((50, 7, 7))
    stack = root @ root.transpose(0, 2, 1) + np.eye(7)
    a = block_diagonal(stack)
    assert np.shares_memory(a.data, stack)
    np.testing.assert_array_equal(a.toarray(), sparse.block_diag(list(stack)).toarray())
    b = rng.standard_normal((50, 7))
    x = Batched().prepare(Operator(a, SPD)).solve(b.ravel(), rtol=1e-12).value.reshape(50, 7)
    np.testing.assert_allclose(x, np.linalg.solve(stack, b[..., None])[..., 0], rtol=1e-9)
    with pytest.raises(ShapeError, match="stack of square blocks"):
        block_diagonal(stack[:, :3])


def test_an_analysis_is_taken_over_for_an_equal_pattern_only():
    a, _ = patches([4] * 20)
    system = Batched().prepare(Operator(a, SPD))
    assert system.report.analyses == 1
    again = system.refresh(a * 2.0)
    assert (again.report.analyses, again.report.reused) == (0, "symbolic analysis")
    assert system.refresh(sparse.eye_array(a.shape[0])).report.analyses == 1


def test_the_unknown_where_it_stopped():
    a, _ = patches([4] * 20)
    a[37, 37] = -1.0
    with pytest.raises(NotPositiveDefinite, match="unknown 37") as caught:
        Batched().prepare(Operator(a, SPD))
    assert caught.value.unknown == 37


def test_factors_beyond_the_memory(monkeypatch):
    monkeypatch.setattr(batched, "available_bytes", lambda: 1000)
    with pytest.raises(MemoryBudgetExceeded, match="factors of 9 systems"):
        Batched().prepare(patches([5] * 9)[0])


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("k", [8, 20])
def test_auto_chooses_it_for_patches(interleaved, k):
    block = laplacian(k, k, 0.01)
    parts = (block, sparse.eye_array(800))
    a = sparse.csr_array(sparse.kron(*(parts if interleaved else parts[::-1])))
    choice = choose(Operator(a, SPD), rates=Rates())
    assert choice.solver.label == "batched"
    system = choice.solver.prepare(Operator(a, SPD), analysis=choice.analysis)
    assert system.report.analyses == 0
    assert "800 systems of 64" in choice.because or "800 systems of 400" in choice.because


def test_auto_does_not_look_for_systems_where_there_are_none(monkeypatch):
    monkeypatch.setattr("sparseimplicit.linear.forecast.analysis_of", None)
    assert choose(Operator(laplacian(100, 100, 0.1), SPD), rates=Rates()).candidates
