"""What a state with a singular Hessian is differentiated by, if the user says so."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

import sparseimplicit as si
from sparseimplicit.errors import ConfigError, SingularSystem, SparseImplicitError, StructureError
from sparseimplicit.verify.zoo import laplacian

K = sparse.csr_array(laplacian(8, 7))  # pure Neumann: a constant is free
N = 56
SOLVERS = ["auto", "dense", "superlu", "banded", "cg+jacobi", "minres+jacobi"]


def floating(structure=si.Structure.POSITIVE_DEFINITE, *, entries=True):
    """½ yᵀ K y + ¼ Σ (Dy)⁴ − yᵀ C x, where Cᵀ1 = 0: the mean of y is free; n_x = 3."""
    d = sparse.diags_array([-np.ones(N - 1), np.ones(N - 1)], offsets=[0, 1], shape=(N - 1, N))
    c = np.random.default_rng(3).standard_normal((N, 3))
    c -= c.mean(axis=0)

    def hessian(x, y):
        a = sparse.csr_array(K + d.T @ sparse.diags_array(3 * (d @ y) ** 2) @ d)
        return a if entries else aslinearoperator(a)

    return si.MinimizationProblem(
        objective=lambda x, y: 0.5 * y @ (K @ y) + 0.25 * np.sum((d @ y) ** 4) - y @ (c @ x),
        gradient=lambda x, y: K @ y + d.T @ (d @ y) ** 3 - c @ x,
        hessian=hessian,
        cross_hessian=lambda x, y: -c,
        structure=structure,
    ), c


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_least_derivative_is_that_of_the_pseudoinverse(solver):
    problem, c = floating()
    implicit = si.ImplicitFunction(problem, solver, on_singular="min_norm")
    solved = implicit.solve(np.array([1.0, -2.0, 0.5]), np.zeros(N))
    a = problem.hessian(solved.x, solved.y).toarray()
    inverse = np.linalg.pinv(a, rcond=1e-10)
    y_bar = np.random.default_rng(0).standard_normal((N, 2))
    y_bar -= y_bar.mean(axis=0)
    np.testing.assert_allclose(solved.jvp(np.eye(3)), inverse @ c, atol=1e-7)
    np.testing.assert_allclose(solved.vjp(y_bar), c.T @ (inverse @ y_bar), atol=1e-7)
    report = solved.adjoint(y_bar).report
    assert report.null_dimension == 1
    assert report.residual <= 1e-8
    if solver in ("dense", "superlu", "banded"):  # a Krylov method takes one of the steps
        assert solved.report.singular_steps + solved.report.shifted_steps > 0


def test_the_gradient_is_the_slope_of_the_loss():
    problem, _ = floating()
    implicit = si.ImplicitFunction(problem, on_singular="min_norm")
    deviation = lambda y: y - y.mean()
    loss = lambda x, y: (0.5 * np.sum(deviation(y) ** 2), None, deviation(y))
    x = np.array([1.0, -2.0, 0.5])
    assert 1.9 < si.verify.taylor(implicit, loss, x, y0=np.zeros(N)).slope < 2.1
    found = si.hypergradient(loss, implicit.solve(x, np.zeros(N)), estimate_error=True)
    assert found.error < 1e-6 * np.linalg.norm(found.gradient)


def test_a_loss_of_what_is_free_has_no_derivative():
    problem, _ = floating()
    solved = si.ImplicitFunction(problem, "superlu", on_singular="min_norm").solve(
        np.ones(3), np.zeros(N)
    )
    with pytest.raises(SingularSystem, match="no solution exists") as caught:
        solved.vjp(np.ones(N))
    assert "SolvedState.adjoint" in str(caught.value)


def test_a_damped_derivative_says_so():
    problem, _ = floating()
    solved = si.ImplicitFunction(problem, "superlu", on_singular="damp").solve(
        np.ones(3), np.zeros(N)
    )
    assert solved.adjoint(np.ones(N)).report.damping == 1e-8


@pytest.mark.parametrize("solver", ["dense", "superlu"])
def test_without_a_policy_it_is_an_error(solver):
    problem, _ = floating(si.Structure.SYMMETRIC)
    with pytest.raises(SparseImplicitError):
        si.ImplicitFunction(problem, solver).solve(np.ones(3), np.zeros(N)).vjp(np.ones(N))


def test_a_regular_problem_is_not_touched():
    problem = si.RootProblem(
        residual=lambda x, y: (K + sparse.eye_array(N)) @ y + y**3 - x,
        state_jacobian=lambda x, y: K + sparse.diags_array(1 + 3 * y**2),
        parameter_jacobian=lambda x, y: -sparse.eye_array(N),
    )
    x, y_bar = np.linspace(0, 5, N), np.arange(float(N))
    found = [
        si.ImplicitFunction(problem, "superlu", on_singular=policy).solve(x, np.zeros(N))
        for policy in ("raise", "min_norm", "damp")
    ]
    for solved in found[1:]:
        assert solved.report.singular_steps == 0
        np.testing.assert_array_equal(solved.vjp(y_bar), found[0].vjp(y_bar))
        assert solved.report.factorizations == found[0].report.factorizations


def test_a_policy_that_there_is_not():
    with pytest.raises(ConfigError, match="on_singular='ignore'"):
        si.ImplicitFunction(floating()[0], on_singular="ignore")


def test_a_policy_needs_entries():
    problem, _ = floating(entries=False)
    implicit = si.ImplicitFunction(problem, "cg", on_singular="min_norm")
    solved = implicit.solve(np.ones(3), np.zeros(N))
    with pytest.raises(StructureError, match="products alone"):
        solved.vjp(np.ones(N))
