"""Randomised eigenpairs against LAPACK's generalised ones."""

import numpy as np
import pytest
from scipy import linalg, sparse
from scipy.sparse.linalg import aslinearoperator

import sparseimplicit as si
from sparseimplicit.errors import NonFinite, NotPositiveDefinite, ShapeError, StructureError
from sparseimplicit.verify.zoo import laplacian

N = 60
RNG = np.random.default_rng(5)
BASIS = linalg.qr(RNG.standard_normal((N, N)))[0]
H = BASIS @ np.diag((-1.0) ** np.arange(N) * 2.0 ** -np.arange(N)) @ BASIS.T  # indefinite
MASS = sparse.csr_array(laplacian(6, 10, 0.05))


class Given:
    """An inner product of the user's own, (n,) at a time."""

    def apply(self, v):
        return MASS @ v

    def riesz(self, g):
        return sparse.linalg.spsolve(MASS.tocsc(), g)


WEIGHTS = RNG.uniform(0.1, 10, N)
INNER = {
    "none": (None, np.eye(N)),
    "diagonal": (WEIGHTS, np.diag(WEIGHTS)),
    "sparse": (MASS, MASS.toarray()),
    "dense": (MASS.toarray(), MASS.toarray()),
    "object": (Given(), MASS.toarray()),
}


@pytest.mark.parametrize("name", INNER)
def test_against_dense_eigenpairs(name):
    inner, m = INNER[name]
    values, vectors = linalg.eigh(H, m)
    order = np.argsort(-np.abs(values))[:7]
    found = si.low_rank(H, 6, inner=inner, oversampling=14)
    np.testing.assert_allclose(found.eigenvalues, values[order[:6]], rtol=1e-8)
    np.testing.assert_allclose(found.vectors.T @ m @ found.vectors, np.eye(6), atol=1e-12)
    along = np.abs(np.sum(found.vectors * (m @ vectors[:, order[:6]]), axis=0))
    np.testing.assert_allclose(along, 1.0, atol=1e-7)
    assert found.left_out == pytest.approx(values[order[6]], rel=1e-3)
    assert found.products == 40
    assert found.asymmetry < 1e-12


def test_as_many_samples_as_rows_are_exact():
    exact = linalg.eigh(H, MASS.toarray(), eigvals_only=True)
    found = si.low_rank(aslinearoperator(H), N, inner=MASS)
    assert found.left_out is None
    assert found.products == 2 * N
    np.testing.assert_allclose(np.sort(found.eigenvalues), exact, atol=1e-12)


def test_a_hessian_of_lower_rank():
    """Random columns that depend on one another, and a matrix of zeros."""
    thin = BASIS[:, :3]
    found = si.low_rank(thin @ thin.T, 5, inner=MASS)
    exact = linalg.eigh(thin @ thin.T, MASS.toarray(), eigvals_only=True)[::-1]
    np.testing.assert_allclose(found.eigenvalues[:3], exact[:3], rtol=1e-10)
    np.testing.assert_allclose(found.eigenvalues[3:], 0.0, atol=1e-12)
    np.testing.assert_array_equal(si.low_rank(np.zeros((N, N)), 2).eigenvalues, 0.0)


def test_a_reduced_hessian():
    """−y″ = x observed at five places: a misfit of rank five, against dense algebra."""
    k = sparse.csr_array(laplacian(1, N, 0.01))
    problem = si.RootProblem(
        residual=lambda x, y: k @ y - x,
        state_jacobian=lambda x, y: k,
        parameter_jacobian=lambda x, y: -sparse.eye_array(N),
    )
    seen = np.arange(3, N, 12)
    pick = sparse.csr_array((np.ones(5), (np.arange(5), seen)), shape=(5, N))
    misfit = si.TwiceDifferentiable(
        lambda x, y: (0.5 * np.sum((pick @ y - 1) ** 2), None, pick.T @ (pick @ y - 1)),
        lambda x, y, x_dot, y_dot: (None, pick.T @ (pick @ y_dot)),
    )
    state = si.ImplicitFunction(problem, "superlu").solve(np.ones(N), np.zeros(N))
    hessian = si.reduced_hessian(misfit, state, gauss_newton=True)
    found = si.low_rank(hessian, 5, inner=MASS, oversampling=2)
    j = pick @ np.linalg.inv(k.toarray())
    exact = linalg.eigh(j.T @ j, MASS.toarray(), eigvals_only=True)[::-1][:5]
    np.testing.assert_allclose(found.eigenvalues, exact, rtol=1e-7)
    assert abs(found.left_out) < 1e-9 * exact[0]
    assert found.products == hessian.report.products == 14
    assert hessian.report.solves == 28


def test_what_is_refused():
    skew = H + np.triu(np.ones((N, N)), 1)
    with pytest.raises(StructureError, match="not symmetric"):
        si.low_rank(skew, 3)
    with pytest.raises(ShapeError, match="rank is 61"):
        si.low_rank(H, N + 1)
    with pytest.raises(ShapeError, match="rank must be an integer"):
        si.low_rank(H, 0)
    with pytest.raises(NotPositiveDefinite, match="diagonal"):
        si.low_rank(H, 3, inner=-WEIGHTS)
    with pytest.raises(ShapeError, match="rows"):
        si.low_rank(H, 3, inner=laplacian(3, 3, 1.0))
    with pytest.raises(NotPositiveDefinite):
        si.low_rank(H, 3, inner=sparse.csr_array(-MASS))
    odd = Given()
    odd.apply = lambda v: np.where(np.arange(N) < 30, -v, v)
    with pytest.raises(NotPositiveDefinite, match="inner product"):
        si.low_rank(H, 3, inner=odd)
    odd.apply = lambda v: v[:3]
    with pytest.raises(ShapeError, match="`apply`"):
        si.low_rank(H, 3, inner=odd)
    broken = sparse.linalg.LinearOperator((N, N), matvec=lambda v: np.full(N, np.nan))
    with pytest.raises(NonFinite):
        si.low_rank(broken, 3)
