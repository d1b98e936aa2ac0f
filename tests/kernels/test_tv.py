import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

from sparseimplicit.imaging.tv import cross_pattern, hessian_pattern
from sparseimplicit.kernels import tv
from sparseimplicit.linear import StencilOperator
from tests.reference import tv as twin

SHAPES = [(1, 1), (1, 5), (6, 1), (2, 2), (7, 5), (4, 9)]
EPSILON = 0.7


def image(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def weights(shape):
    n = shape[0] * shape[1]
    return [np.array([1.7]), np.random.default_rng(1).uniform(0.5, 2.0, n)]


def forms(name):
    kernel = getattr(tv, f"_{name}")
    return [kernel, getattr(tv, f"_{name}_parallel"), kernel.py_func]


@pytest.mark.parametrize("shape", SHAPES)
def test_energy(shape):
    u = image(shape)
    for w in weights(shape):
        exact = twin.energy(u, w, EPSILON)
        assert tv.energy(u, w, EPSILON) == pytest.approx(exact, rel=1e-14)
        for run in forms("energy"):
            rows = np.empty(shape[0])
            run(u, w, EPSILON, rows)
            assert rows.sum() == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient(shape):
    u = image(shape)
    for w in weights(shape):
        exact = twin.gradient(u, w, EPSILON)
        for run in (tv.gradient, *forms("gradient")):
            out = np.empty(shape)
            run(u, w, EPSILON, out)
            np.testing.assert_allclose(out.ravel(), exact, atol=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
def test_hessian(shape):
    u = image(shape)
    indptr, indices = hessian_pattern(*shape)
    for w in weights(shape):
        exact = twin.hessian(u, w, EPSILON).toarray()
        for run in (tv.hessian_values, *forms("hessian")):
            out = np.full(indices.size, np.nan)
            run(u, w, EPSILON, indptr, out)
            found = sparse.csr_array((out, indices, indptr), shape=(u.size, u.size))
            assert found.has_canonical_format
            np.testing.assert_allclose(found.toarray(), exact, atol=1e-14)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if min(shape) > 1])
def test_hessian_as_a_stencil(shape):
    u = image(shape)
    indptr, indices = hessian_pattern(*shape)
    for w in weights(shape):
        values = np.empty(indices.size)
        tv.hessian_values(u, w, EPSILON, indptr, values)
        exact = sparse.csr_array((values, indices, indptr))
        for run in (tv.hessian_stencil, *forms("stencil")):
            out = np.empty((4, *shape))
            run(u, w, EPSILON, out)
            stencil = StencilOperator(out, [(0, 0), (0, 1), (1, -1), (1, 0)])
            assert abs(stencil.assemble() - exact).max() < 1e-15


@pytest.mark.parametrize("shape", SHAPES)
def test_cross_hessian(shape):
    u = image(shape)
    indptr, indices = cross_pattern(*shape)
    w = weights(shape)[1]
    exact = twin.cross(u, w, EPSILON).toarray()
    for run in (tv.cross_values, *forms("cross")):
        out = np.full(indices.size, np.nan)
        run(u, w, EPSILON, indptr, out)
        found = sparse.csr_array((out, indices, indptr), shape=(u.size, u.size))
        np.testing.assert_allclose(found.toarray(), exact, atol=1e-14)


def test_the_twin_itself_against_complex_steps():
    u, step = image((4, 5)), 1e-30
    w = weights((4, 5))[1]
    hessian = np.empty((20, 20))
    for k in range(20):
        moved = u.astype(complex)
        moved.ravel()[k] += 1j * step
        hessian[:, k] = twin.gradient(moved, w, EPSILON).imag / step
        energy = twin.energy(moved, w, EPSILON).imag / step
        assert energy == pytest.approx(twin.gradient(u, w, EPSILON)[k], abs=1e-13)
    np.testing.assert_allclose(
        twin.hessian(u, w, EPSILON).toarray(), np.eye(20) + hessian, atol=1e-13
    )


def test_parallel_and_serial_give_the_same_bits(monkeypatch):
    u = 50 * image((300, 400))
    indptr, indices = hessian_pattern(300, 400)
    w = np.random.default_rng(1).uniform(0.5, 2.0, u.size)
    results = []
    for limit in (1, 10**9):
        monkeypatch.setattr(tv, "PARALLEL_ROWS", limit)
        slope, values = np.empty(u.shape), np.empty(indices.size)
        tv.gradient(u, w, 1.0, slope)
        tv.hessian_values(u, w, 1.0, indptr, values)
        results.append((tv.energy(u, w, 1.0), slope, values))
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])
    np.testing.assert_array_equal(results[0][2], results[1][2])


def test_the_warm_up_compiles_what_a_denoising_run_launches(tmp_path):
    """No kernel may be compiled during a run that follows a warm-up: counted, not timed."""
    code = """
import numpy as np, sparseimplicit as si
from sparseimplicit.imaging import squared_error, total_variation
from sparseimplicit.kernels import csr, graph, tv, vectors
from sparseimplicit.kernels.__main__ import warm_up
modules = (csr, graph, tv, vectors)
kernels = [k for m in modules for k in vars(m).values() if hasattr(k, "signatures")]
warm_up()
before = sum(len(k.signatures) for k in kernels)
for size in (20, 330):
    f = np.random.default_rng(0).uniform(0, 255, (size, size))
    for weight_map in (False, True):
        problem = total_variation(f, weight_map=weight_map)
        x = np.zeros(f.size if weight_map else 1)
        solved = si.ImplicitFunction(problem).solve(x, f.ravel(), rtol=1e-2)
        si.hypergradient(squared_error(f), solved, rtol=1e-2)
print(sum(len(k.signatures) for k in kernels) - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "0", done.stdout + done.stderr
