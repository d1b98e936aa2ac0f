"""The oracle is total variation with derivatives written by hand."""

import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si
from sparseimplicit import _optional, errors
from sparseimplicit.bridges import from_jax
from sparseimplicit.imaging import total_variation

SHAPE = (6, 7)
N = 42
F = np.random.default_rng(0).uniform(0, 255, SHAPE)
Y = np.random.default_rng(1).uniform(0, 255, N)
X = np.array([0.7])
THETA = np.random.default_rng(2).uniform(-1, 1, N)


@pytest.fixture
def jnp():
    jax = pytest.importorskip("jax", reason="jax is not installed (extra 'jax')")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax.numpy
    jax.config.update("jax_enable_x64", before)


@pytest.fixture
def energy(jnp):
    def g(x, y):
        u = y.reshape(SHAPE)
        right = jnp.diff(u, axis=1, append=u[:, -1:])
        down = jnp.diff(u, axis=0, append=u[-1:])
        root = jnp.sqrt(right**2 + down**2 + 1.0)
        weight = jnp.exp(x).reshape(SHAPE if x.size > 1 else (1, 1))
        return 0.5 * jnp.sum((u - F) ** 2) + jnp.sum(weight * root)

    return g


def close(ours, theirs, rtol=1e-14):
    ours, theirs = (a.toarray() if sparse.issparse(a) else np.asarray(a) for a in (ours, theirs))
    return np.abs(ours - theirs).max() <= rtol * np.abs(theirs).max()


def places(hand):
    return sparse.csr_array(hand.hessian(X, Y).toarray() != 0)


@pytest.mark.parametrize("found", [False, True])
def test_all_derivatives_are_those_by_hand(energy, found):
    hand = total_variation(F)
    problem = from_jax(energy, pattern=None if found else places(hand))
    np.testing.assert_allclose(problem.objective(X, Y), hand.objective(X, Y), rtol=1e-14)
    assert close(problem.gradient(X, Y), hand.gradient(X, Y))
    h = problem.hessian(X, Y)
    assert close(h, hand.hessian(X, Y))
    np.testing.assert_array_equal(h.toarray(), h.toarray().T)
    assert problem.hessian.colouring(X, Y).n_colours == 9
    b = problem.cross_hessian(X, Y)
    exact = hand.cross_hessian(X, Y, assembled=True)
    assert close(b @ np.ones(1), exact[:, 0])
    assert close(b.rmatvec(Y), exact.T @ Y)


def test_a_map_of_parameters(energy):
    exact = total_variation(F, weight_map=True).cross_hessian(THETA, Y)
    b = from_jax(energy).cross_hessian(THETA, Y)
    assert close(b @ THETA, exact @ THETA)
    assert close(b.rmatmat(np.stack([Y, Y**2], 1)), exact.T @ np.stack([Y, Y**2], 1))
    assembled = from_jax(energy, cross_pattern=None).cross_hessian(THETA, Y)
    assert assembled.nnz == exact.nnz
    assert close(assembled, exact)


def test_products_alone(energy):
    h = from_jax(energy, pattern="products").hessian(X, Y)
    exact = total_variation(F).hessian(X, Y)
    assert close(h @ THETA, exact @ THETA)
    assert close(h.T @ THETA, exact @ THETA)


def test_the_spine_takes_it(energy):
    ours, hand = (
        si.ImplicitFunction(p, linear_solver="dense").solve(0.5, y0=F.ravel(), rtol=1e-12)
        for p in (from_jax(energy), total_variation(F))
    )
    np.testing.assert_allclose(ours.vjp(Y, rtol=1e-12), hand.vjp(Y, rtol=1e-12), rtol=1e-10)
    assert si.verify.derivatives(from_jax(energy), X, Y).passed


def test_second_order_is_that_of_the_traced_terms(energy):
    ours, hand = from_jax(energy), total_variation(F, weight_map=True)
    given = ours.second_order(THETA, Y, Y**2, F.ravel(), np.sqrt(Y))
    exact = hand.second_order(THETA, Y, Y**2, F.ravel(), np.sqrt(Y))
    for part, theirs in zip(given, exact, strict=True):
        assert close(part, theirs, rtol=1e-13)


def test_a_missing_entry_is_named(energy):
    pattern = sparse.lil_array(places(total_variation(F)))
    pattern[9, 16] = pattern[16, 9] = False
    problem = from_jax(energy, pattern=sparse.csr_array(pattern))
    with pytest.raises(errors.StructureError, match=r"misses entries: H v .* (9|16), column"):
        problem.hessian(X, Y)


def test_float32_is_refused(jnp, energy):
    jax = pytest.importorskip("jax", reason="jax is not installed (extra 'jax')")
    problem = from_jax(energy)
    jax.config.update("jax_enable_x64", False)
    with pytest.raises(errors.StructureError, match=r"float32(.|\n)*jax_enable_x64"):
        from_jax(energy)
    with pytest.raises(errors.StructureError, match=r"float32(.|\n)*jax_enable_x64"):
        problem.hessian(X, Y)
    jax.config.update("jax_enable_x64", True)
    single = from_jax(lambda x, y: jnp.sum(y.astype("float32") ** 2))
    with pytest.raises(errors.StructureError, match="returned float32"):
        single.objective(X, Y)


def test_what_jax_cannot_trace(jnp):
    vector = from_jax(lambda x, y: y**2)
    with pytest.raises(errors.StructureError, match=r"cannot differentiate(.|\n)*one number"):
        vector.gradient(X, Y)
    numpy = from_jax(lambda x, y: np.sum(np.sqrt(y)))
    with pytest.raises(errors.StructureError, match=r"cannot differentiate(.|\n)*jax\.numpy"):
        numpy.gradient(X, Y)
    with pytest.raises(errors.StructureError, match="no pattern 'asdex'"):
        from_jax(lambda x, y: jnp.sum(y), pattern="asdex")


def test_without_jax_the_extra_is_named(monkeypatch):
    def missing(name):
        raise ImportError("No module named 'jax'")

    monkeypatch.setattr(_optional.importlib, "import_module", missing)
    with pytest.raises(errors.MissingBackend, match=r"from_jax(.|\n)*sparseimplicit\[jax\]"):
        from_jax(lambda x, y: 0.0)
