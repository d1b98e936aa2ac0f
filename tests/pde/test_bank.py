"""Problems with known answers, each from another code or in closed form.

The letters are those of the bank that the project keeps; where figures come from is said with each.
"""

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator, cg, splu

import sparseimplicit as si
from sparseimplicit import pde
from sparseimplicit.pde import dot, grad

skfem = pytest.importorskip("skfem", reason="the extra pde is not installed")
from .meshes import right  # noqa: E402

SPD = si.Structure.POSITIVE_DEFINITE


def mother(n):
    """A: −Δu = f on the square, J = ½‖u − d‖² + a/2 ‖f‖²; u in P1, f in P0."""
    V = skfem.Basis(right(n), skfem.ElementTriP1(), intorder=6)
    equation = pde.Equation(
        lambda u, v, f: dot(grad(u), grad(v)) - f * v, state=V,
        control=V.with_element(skfem.ElementTriP0()), fixed=V.get_dofs(), structure=SPD,
    )  # fmt: skip
    loss = pde.Functional(
        equation,
        lambda u, f, w: 0.5 * (u - np.sin(np.pi * w.x[0]) * np.sin(np.pi * w.x[1])
                               / (2 * np.pi**2)) ** 2 + 0.5e-6 * f**2,
    )  # fmt: skip
    return V, equation, loss


def test_mother_problem_at_the_start_of_dolfin_adjoint():
    """J, the sum and the norm of the gradient as dolfin-adjoint 2025.0 computes them at n = 64."""
    V, equation, loss = mother(64)
    f = V.mesh.p[:, V.mesh.t].mean(axis=1).sum(axis=0)
    solved = si.ImplicitFunction(equation).solve(f, y0=np.zeros(equation.n_y), rtol=1e-12)
    h = si.hypergradient(loss, solved, rtol=1e-12)
    assert h.value == pytest.approx(1.495996373599e-4, rel=1e-11)
    assert h.gradient.sum() == pytest.approx(6.6185673759017e-4, rel=1e-10)
    assert np.linalg.norm(h.gradient) == pytest.approx(8.90181822873888e-6, rel=1e-10)


@pytest.mark.parametrize(("n", "error"), [(16, 3.79e-2), (32, 1.71e-2)])
def test_mother_problem_solved(n, error):
    """‖f_h − f*‖, f* = sin sin / (1 + 4 a π⁴), and steps of CG in the product of L².

    The errors are those of another code on this mesh, within 5 % of what dolfin-adjoint prints for
    its graded one (3.83e-2, 1.69e-2); it takes 54 to 59 steps there.
    """
    V, equation, loss = mother(n)
    f = V.mesh.p[:, V.mesh.t].mean(axis=1).sum(axis=0)
    solved = si.ImplicitFunction(equation).solve(f, y0=np.zeros(equation.n_y), rtol=1e-12)
    hessian = si.reduced_hessian(loss, solved, rtol=1e-11)
    mass = pde.mass(V.with_element(skfem.ElementTriP0())).diagonal()
    steps = []
    step, failed = cg(
        hessian.as_operator(), -hessian.gradient, rtol=0, callback=steps.append,
        atol=1e-9 * np.sqrt(mass[0]),  # the gradient's norm in L² falls to 1e-9
        M=LinearOperator(hessian.as_operator().shape, matvec=lambda v: v / mass),
    )  # fmt: skip
    assert failed == 0
    assert len(steps) <= 33  # 26 to 30 in another code
    f += step
    x, y = V.mapping.F(V.X)
    exact = np.sin(np.pi * x) * np.sin(np.pi * y) / (1 + 4e-6 * np.pi**4)
    assert np.sqrt(np.sum((f[:, None] - exact) ** 2 * V.dx)) == pytest.approx(error, rel=5e-3)
    best = si.ImplicitFunction(equation).solve(f, y0=solved.y, rtol=1e-12)
    assert loss(f, best.y)[0] == pytest.approx(1.2495131442e-7, rel=0.2 * (16 / n) ** 2)


def test_semilinear():
    """F: −Δy + 100 y³ = u; J, gradient and Hessian as dolfin-adjoint 2025.0 computes them."""
    V = skfem.Basis(right(64), skfem.ElementTriP1(), intorder=4)
    X, Y = V.doflocs
    equation = pde.Equation(
        lambda y, v, u: dot(grad(y), grad(v)) + 100 * y**3 * v - u * v,
        state=V, control=V, fixed=V.get_dofs(), structure=SPD,
    )  # fmt: skip
    mass = pde.mass(V)
    loss = pde.Tracking(equation, np.sin(2 * np.pi * X) * np.sin(2 * np.pi * Y), mass)
    loss = loss + 1e-6 * pde.Quadratic(equation, mass)
    u, h = 50 * np.sin(2 * np.pi * X) * Y, X * (1 - Y)
    solved = si.ImplicitFunction(equation).solve(u, y0=np.zeros(equation.n_y), rtol=1e-12)
    hessian = si.reduced_hessian(loss, solved, rtol=1e-12)
    moved = hessian.apply(h)
    assert loss(u, solved.y)[0] == pytest.approx(0.19610226970376454, rel=1e-12)
    assert np.linalg.norm(hessian.gradient) == pytest.approx(8.161712408237e-5, rel=1e-11)
    assert hessian.gradient @ h == pytest.approx(4.16993786377832e-5, rel=1e-11)
    assert h @ moved == pytest.approx(3.440208349917e-5, rel=1e-11)
    assert np.linalg.norm(moved) == pytest.approx(2.2170843378366e-6, rel=1e-11)
    assert hessian.report.solves == 2


def test_pattern_hazard():
    """Right angles: the Jacobian of F has entries that the Laplacian's lacks; n = 128.

    A factorization that reused the pattern of the zeros would miss the adjoint by percents.
    """
    V = skfem.Basis(right(128), skfem.ElementTriP1(), intorder=4)
    X, Y = V.doflocs
    equation = pde.Equation(
        lambda y, v, u: dot(grad(y), grad(v)) + 100 * y**3 * v - u * v,
        state=V, control=V, fixed=V.get_dofs(), structure=SPD,
    )  # fmt: skip
    u = 50 * np.sin(2 * np.pi * X) * Y
    solved = si.ImplicitFunction(equation).solve(u, y0=np.zeros(equation.n_y), rtol=1e-11)
    y_bar = np.cos(np.arange(equation.n_y))
    full = equation.full(u, solved.y)
    by_hand = skfem.asm(skfem.BilinearForm(
        lambda t, v, w: t.grad[0] * v.grad[0] + t.grad[1] * v.grad[1] + 300 * w.y**2 * t * v
    ), V, y=V.interpolate(full))  # fmt: skip
    exact = splu(by_hand[equation.free][:, equation.free].tocsc()).solve(y_bar)
    given = solved.adjoint(y_bar, rtol=1e-11).value
    assert np.linalg.norm(given - exact) < 1e-9 * np.linalg.norm(exact)


def coefficient(n):
    """K: −div(eᵐ ∇u) = 1, u in P2, m in P1, as hIPPYlib's second tutorial, without noise."""
    V = skfem.Basis(right(n), skfem.ElementTriP2(), intorder=8)
    M = V.with_element(skfem.ElementTriP1())
    equation = pde.Equation(
        lambda u, v, m: np.exp(m) * dot(grad(u), grad(v)) - v,
        state=V, control=M, fixed=V.get_dofs(), structure=SPD,
    )  # fmt: skip
    implicit = si.ImplicitFunction(equation)
    truth = np.log(2 + 7 * (np.hypot(M.doflocs[0] - 0.5, M.doflocs[1] - 0.5) > 0.2))
    data = implicit.solve(truth, y0=np.zeros(equation.n_y), rtol=1e-11)
    loss = pde.Tracking(equation, equation.full(truth, data.y), pde.mass(V))
    loss = loss + pde.Quadratic(equation, 1e-8 * pde.stiffness(M) + 1e-10 * pde.mass(M))
    return M, equation, implicit, loss


def test_coefficient_inversion():
    """J, gradient, Hessian and Gauss–Newton as hIPPYlib 3.2 computes them at m = log 2."""
    M, equation, implicit, loss = coefficient(32)
    m, h = np.full(M.N, np.log(2.0)), M.doflocs[0] * (1 - M.doflocs[1])
    solved = implicit.solve(m, y0=np.zeros(equation.n_y), rtol=1e-11)
    hessian = si.reduced_hessian(loss, solved, rtol=1e-11)
    gauss_newton = si.reduced_hessian(loss, solved, rtol=1e-11, gauss_newton=True)
    moved = hessian.apply(h)
    assert loss(m, solved.y)[0] == pytest.approx(1.2284323376773e-4, rel=1e-9)
    assert np.linalg.norm(hessian.gradient) == pytest.approx(1.14389384552107e-5, rel=1e-9)
    assert hessian.gradient @ h == pytest.approx(-8.07526441161122e-5, rel=1e-9)
    assert h @ moved == pytest.approx(5.27599876529417e-5, rel=1e-9)
    assert np.linalg.norm(moved) == pytest.approx(6.839724074317e-6, rel=1e-9)
    assert h @ gauss_newton.apply(h) == pytest.approx(3.1620062716788e-5, rel=1e-9)


def test_coefficient_inverted():
    """J* = 6.741263497e-8, in no more steps than hIPPYlib takes, 11, with 54 of CG."""
    M, equation, implicit, loss = coefficient(32)
    result = si.minimize(
        loss, implicit, np.full(M.N, np.log(2.0)), y0=np.zeros(equation.n_y), method="newton-cg",
        inner=1e-8 * pde.stiffness(M) + 1e-10 * pde.mass(M), gauss_newton=5,
        gradient_rtol=1e-10, stop_rtol=1e-8,
    )  # fmt: skip
    assert result.converged
    assert result.value == pytest.approx(6.741263497e-8, rel=1e-8)
    assert len(result.history) <= 12
    assert result.work[0].hessian_products <= 54
