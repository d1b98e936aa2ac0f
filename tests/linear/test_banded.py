"""Banded matrices against dense algebra and closed forms."""

import numpy as np
import pytest
from scipy import sparse

from sparseimplicit.errors import MemoryBudgetExceeded, NotPositiveDefinite
from sparseimplicit.linear import Banded, Operator, Structure
from sparseimplicit.linear.solvers import banded
from sparseimplicit.verify.zoo import laplacian

SPD = Structure.POSITIVE_DEFINITE


def test_a_chain_by_its_closed_form():
    """−y'' = 1 with y = 0 at both ends: y_i = i (n + 1 − i) / 2, exactly."""
    n = 1000
    chain = sparse.diags_array(
        [-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1]
    )
    i = np.arange(1, n + 1)
    y = Banded().prepare(Operator(chain, SPD)).solve(np.ones(n), rtol=1e-6).value
    np.testing.assert_allclose(y, i * (n + 1 - i) / 2, rtol=1e-9)


@pytest.mark.parametrize(("below", "above"), [(0, 0), (1, 3), (4, 0), (2, 2)])
def test_any_band_and_its_transpose(below, above):
    rng = np.random.default_rng(below + 10 * above)
    dense = np.triu(np.tril(rng.standard_normal((30, 30)), above), -below) + 4 * np.eye(30)
    a, b = sparse.csr_array(dense), rng.standard_normal((30, 2))
    assert banded.bandwidths(a) == (below, above)
    system = Banded().prepare(a)
    np.testing.assert_allclose(system.solve(b).value, np.linalg.solve(dense, b), rtol=1e-8)
    np.testing.assert_allclose(
        system.solve_adjoint(b).value, np.linalg.solve(dense.T, b), rtol=1e-8
    )


def test_a_thousand_small_systems_are_one():
    blocks = [laplacian(4, 4, 0.1 + k / 1000) for k in range(1000)]
    a = Operator(sparse.block_diag(blocks, format="csr"), SPD)
    b = np.random.default_rng(0).standard_normal(16000)
    x = Banded().prepare(a).solve(b).value
    for k in (0, 499, 999):
        part = np.linalg.solve(blocks[k].toarray(), b[16 * k : 16 * k + 16])
        np.testing.assert_allclose(x[16 * k : 16 * k + 16], part, rtol=1e-7)


def test_the_unknown_where_it_stopped():
    a = sparse.diags_array(np.where(np.arange(50) == 17, -1.0, 2.0))
    with pytest.raises(NotPositiveDefinite, match="unknown 17") as caught:
        Banded().prepare(Operator(a, SPD))
    assert caught.value.unknown == 17


def test_a_band_beyond_the_memory(monkeypatch):
    monkeypatch.setattr(banded, "available_bytes", lambda: 1000)
    with pytest.raises(MemoryBudgetExceeded, match="diagonals needs"):
        Banded().prepare(laplacian(20, 20, 1.0))
