"""Problems from one's own matrices, against the same in weak form and dense algebra."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

import sparseimplicit as si
from sparseimplicit import pde
from sparseimplicit.errors import ShapeError
from sparseimplicit.pde import dot, grad

skfem = pytest.importorskip("skfem", reason="the extra pde is not installed")
from .meshes import right  # noqa: E402

RNG = np.random.default_rng(2)


def matrices(count):
    """Nonsymmetric ones on different patterns, with entries that cancel and explicit zeros."""
    made = [sparse.random_array((9, 9), density=0.3, rng=RNG, format="csr") for _ in range(count)]
    first = sparse.csr_array(made[0] + 5 * sparse.eye_array(9))
    return [first, *made[1:-1], sparse.csr_array(-made[1])]


def dense_gradient(ks, b, f, x, free, held, values, y_bar):
    """x̄ of y by dense algebra."""
    k = sum((w * m for w, m in zip(np.append(1.0, x), ks, strict=False)), 0 * ks[0]).toarray()
    u = np.zeros(9)
    u[held] = values
    load = b if f is None else b + f @ x
    u[free] = np.linalg.solve(k[np.ix_(free, free)], (load - k @ u)[free])
    adjoint = np.zeros(9)
    adjoint[free] = np.linalg.solve(k[np.ix_(free, free)].T, y_bar)
    columns = np.zeros((9, x.size)) if f is None else -f
    for i, m in enumerate(ks[1:]):
        columns[:, i] += m @ u
    return u[free], -columns.T @ adjoint


@pytest.mark.parametrize("case", ["matrices", "load", "both"])
def test_affine_in_the_control(case):
    ks = matrices(3) if case != "load" else matrices(3)[:1]
    f = None if case == "matrices" else RNG.standard_normal((9, 2))
    b, x, y_bar = RNG.standard_normal(9), RNG.uniform(0.1, 0.3, 2), RNG.standard_normal(6)
    held = np.array([1, 4, 8])
    free, values = np.setdiff1d(np.arange(9), held), np.array([1.0, -1.0, 0.5])
    problem = pde.affine(ks, b, f, free=free, values=values)
    solved = si.ImplicitFunction(problem).solve(x, y0=np.zeros(6), rtol=1e-12)
    y, x_bar = dense_gradient(ks, b, f, x, free, held, values, y_bar)
    np.testing.assert_allclose(solved.y, y, atol=1e-10)
    np.testing.assert_allclose(solved.vjp(y_bar, rtol=1e-12), x_bar, atol=1e-9)
    assert "WRONG" not in str(si.verify.derivatives(problem, x, solved.y))
    by_x, by_y = problem.second_order(x, y, y_bar, x, y)
    a = [problem.state_jacobian(s * x, y).toarray() for s in (0.0, 1.0)]
    c = [problem.parameter_jacobian(x, s * y) for s in (0.0, 1.0)]
    dense = [m.toarray() if sparse.issparse(m) else m for m in c]
    np.testing.assert_allclose(by_y, (a[1] - a[0]).T @ y_bar, atol=1e-12)
    np.testing.assert_allclose(by_x, (dense[1] - dense[0]).T @ y_bar, atol=1e-12)


@pytest.mark.parametrize("kind", ["sparse", "dense", "operator"])
def test_own_assembly_equals_the_weak_form(kind):
    V = skfem.Basis(right(4, 3), skfem.ElementTriP1(), intorder=4)
    edge = V.get_dofs().flatten()
    form = lambda u, v, f: dot(grad(u), grad(v)) + u**3 * v - f * v
    whole = pde.Equation(form, state=V, control=V)
    equation = pde.Equation(form, state=V, control=V, fixed=pde.fixed(edge, 0.3))
    made = {"sparse": sparse.csr_array, "dense": lambda b: b.toarray(),
            "operator": aslinearoperator}[kind]  # fmt: skip
    problem = pde.from_assembly(
        whole.residual, whole.state_jacobian,
        lambda x, u: made(whole.parameter_jacobian(x, u)), size=V.N, free=equation.free,
        values=0.3, second_order=whole.second_order,
    )  # fmt: skip
    x, y_bar = RNG.standard_normal(V.N), RNG.standard_normal(equation.n_y)
    given, exact = (
        si.ImplicitFunction(p).solve(x, y0=np.zeros(equation.n_y), rtol=1e-12)
        for p in (problem, equation)
    )
    np.testing.assert_allclose(given.y, exact.y, atol=1e-11)
    np.testing.assert_allclose(given.vjp(y_bar), exact.vjp(y_bar), atol=1e-8)
    for a, b in zip(problem.second_order(x, exact.y, y_bar, x, y_bar),
                    equation.second_order(x, exact.y, y_bar, x, y_bar), strict=True):  # fmt: skip
        np.testing.assert_allclose(a, b, atol=1e-13)


def test_what_does_not_fit_is_named():
    ks = matrices(3)
    with pytest.raises(ShapeError, match="do not fit"):
        pde.affine(ks, np.zeros(8))
    with pytest.raises(ShapeError, match="do not fit"):
        pde.affine(ks, np.zeros(9), np.zeros((9, 5)))
    problem = pde.from_assembly(
        lambda x, u: u[:3], lambda x, u: np.eye(3), lambda x, u: u, size=4, free=[0, 1]
    )
    with pytest.raises(ShapeError, match="without boundary conditions"):
        problem.residual([], np.zeros(2))
    with pytest.raises(ShapeError, match="the Jacobian has shape"):
        problem.state_jacobian([], np.zeros(2))
