"""Losses: sums and scales, first and second derivatives, against matrices and differences."""

import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si
from sparseimplicit import pde
from sparseimplicit.errors import NonFinite, ShapeError, StructureError
from sparseimplicit.pde import dot, grad

skfem = pytest.importorskip("skfem", reason="the extra pde is not installed")
from .meshes import right  # noqa: E402

RNG = np.random.default_rng(3)


def problem():
    """Two controls, one of them Dirichlet values; a coefficient in P1."""
    V = skfem.Basis(right(4, 3), skfem.ElementTriP1(), intorder=4)
    return V, pde.Equation(
        lambda u, v, m: np.exp(m) * dot(grad(u), grad(v)) + u**3 * v - v, state=V,
        control={"m": V}, fixed=pde.fixed(V.get_dofs(lambda x: x[0] == 0), "g"),
    )  # fmt: skip


def losses():
    V, equation = problem()
    target, mass = np.cos(V.doflocs[0]), pde.mass(V)
    point = V.probes(np.array([[0.3, 0.9], [0.2, 0.7]]))
    side = V.boundary(lambda x: x[1] == 1)
    return V, equation, {
        "tracking": pde.Tracking(equation, target, mass),
        "observed": pde.Tracking(equation, [0.2, 0.4], observe=point),
        "L2": pde.Quadratic(equation, mass, "m", centre=0.5),
        "H1": 0.3 * pde.Quadratic(equation, pde.h1(V, 0.2), "m"),
        "TV": pde.total_variation(equation, V, "m", epsilon=0.3),
        "functional": pde.Functional(equation, lambda u, m, w: m * u**2 * (1 + w.x[0])),
        "boundary": pde.Functional(equation, pde.integral(
            lambda u, m, w: np.sin(u) * m + u.grad[0] ** 2 * w.n[1], side, {"m": side})),
    }  # fmt: skip


NAMES = list(losses()[2])


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_of_losses(name):
    """Central differences with one extrapolation of the value, and of both gradients."""
    _, equation, found = losses()
    loss = found[name]
    x, x_dot = 0.3 * RNG.standard_normal((2, equation.n_x))
    y, y_dot = 0.3 * RNG.standard_normal((2, equation.n_y))

    def slope(function, h=1e-3):
        def central(step):
            up, down = (function(x + s * x_dot, y + s * y_dot) for s in (step, -step))
            return (np.asarray(up) - np.asarray(down)) / (2 * step)

        return (4 * central(h) - central(2 * h)) / 3

    _, by_x, by_y = loss(x, y)
    assert by_x @ x_dot + by_y @ y_dot == pytest.approx(
        slope(lambda x, y: loss(x, y)[0]), rel=1e-9, abs=1e-11
    )
    second = loss.second_order(x, y, x_dot, y_dot)
    for part in (0, 1):
        np.testing.assert_allclose(
            second[part], slope(lambda x, y, part=part: loss(x, y)[1 + part]), atol=1e-9
        )


def test_losses_add_and_scale():
    _, equation, found = losses()
    whole = 2.0 * (found["tracking"] + 0.5 * found["TV"]) + found["L2"] * 3.0
    x, y = 0.3 * RNG.standard_normal(equation.n_x), RNG.standard_normal(equation.n_y)
    parts = [found[n](x, y) for n in ("tracking", "TV", "L2")]
    for k, value in enumerate(whole(x, y)):
        np.testing.assert_allclose(value, 2 * parts[0][k] + parts[1][k] + 3 * parts[2][k])


def test_values_by_matrices():
    """½ ∫ (u − d)² and ½ ∫ m² against the mass matrix, √(|∇m|² + ε²) of a plane."""
    V, equation, found = losses()
    x, y = RNG.standard_normal(equation.n_x), RNG.standard_normal(equation.n_y)
    miss = equation.full(x, y) - np.cos(V.doflocs[0])
    assert found["tracking"](x, y)[0] == pytest.approx(0.5 * miss @ pde.mass(V) @ miss)
    plane = equation.packing.pack(m=3 * V.doflocs[0] + 4 * V.doflocs[1], g=np.zeros(4))
    assert found["TV"](plane, y)[0] == pytest.approx(np.sqrt(25 + 0.09))


def test_gradient_and_hessian_through_the_state():
    _, equation, found = losses()
    loss = found["tracking"] + found["functional"] + 0.1 * found["TV"]
    implicit = si.ImplicitFunction(equation)
    x = 0.3 * RNG.standard_normal(equation.n_x)
    table = si.verify.taylor(implicit, loss, x, y0=np.zeros(equation.n_y))
    assert 1.9 < table.slope < 2.1, str(table)
    solved = implicit.solve(x, y0=np.zeros(equation.n_y), rtol=1e-13)
    hessian = si.reduced_hessian(loss, solved, rtol=1e-12)
    d = RNG.standard_normal(equation.n_x)

    def gradient(t):
        moved = implicit.solve(x + t * d, start=solved, rtol=1e-13)
        return si.hypergradient(loss, moved, rtol=1e-12).gradient

    h = 1e-3
    fine, coarse = ((gradient(s) - gradient(-s)) / (2 * s) for s in (h, 2 * h))
    np.testing.assert_allclose(hessian.apply(d), (4 * fine - coarse) / 3, atol=1e-7)


def test_inner_products():
    """Mass and stiffness of polynomials, which P2 holds exactly; lumping keeps the sum."""
    V = skfem.Basis(right(3, 2), skfem.ElementTriP2())
    X, Y = V.doflocs
    f, g = X**2 + Y, X * Y
    assert f @ pde.mass(V) @ g == pytest.approx(1 / 8 + 1 / 6)
    assert f @ pde.stiffness(V) @ g == pytest.approx(1.0)
    assert f @ pde.h1(V, 0.5) @ g == pytest.approx(1 / 8 + 1 / 6 + 0.25)
    P1 = V.with_element(skfem.ElementTriP1())
    lumped = pde.mass(P1, lumped=True)
    assert lumped.sum() == pytest.approx(1.0)
    assert lumped.nnz == P1.N
    edge = P1.boundary(lambda x: x[0] == 1)
    dofs = np.unique(P1.get_dofs(lambda x: x[0] == 1).flatten())
    assert pde.mass(edge, dofs=dofs).sum() == pytest.approx(1.0)
    vector = V.with_element(skfem.ElementVector(skfem.ElementTriP1()))
    assert pde.stiffness(vector).shape == (vector.N, vector.N)
    assert abs(pde.stiffness(vector) @ np.ones(vector.N)).max() < 1e-13
    with pytest.raises(StructureError, match="lumped mass"):
        pde.mass(V, lumped=True)
    with pytest.raises(NonFinite, match="length"):
        pde.h1(V, np.nan)


def test_what_does_not_fit_is_named():
    V, equation, found = losses()
    with pytest.raises(ShapeError, match="controls m, g"):
        pde.Quadratic(equation, pde.mass(V))
    with pytest.raises(ShapeError, match="has 4 numbers"):
        pde.Quadratic(equation, pde.mass(V), "g")
    with pytest.raises(ShapeError, match="target has 3"):
        pde.Tracking(equation, np.zeros(3))
    with pytest.raises(ShapeError, match="no control 'k'"):
        pde.Functional(equation, pde.integral(lambda u, k: u * k, V, {"k": V}))
    with pytest.raises(ShapeError, match="another space"):
        pde.Functional(equation, pde.integral(
            lambda u, m: u * m, V, {"m": V.with_element(skfem.ElementTriP0())}))  # fmt: skip
    with pytest.raises(StructureError, match="cannot be added"):
        found["L2"] + (lambda x, y: (0.0, None, y))
    with pytest.raises(ShapeError, match="observe= has"):
        pde.Tracking(equation, [0.0], observe=sparse.csr_array((1, 3)))


def test_matrices_that_are_not_symmetric_are_refused():
    """With ½ vᵀ Q v, Q v is the gradient of a symmetric Q alone; rounding of assembly passes."""
    V, equation, _ = losses()
    target, n = np.zeros(V.N), V.N
    skew = sparse.eye_array(n).tolil()
    skew[1, 4] = 0.25
    skew = sparse.csr_array(skew)
    entry = r"entry \(1, 4\) is 0.25, entry \(4, 1\) is 0"
    for make in (
        lambda q: pde.Tracking(equation, target, q),
        lambda q: pde.Quadratic(equation, q, "m"),
        lambda q: pde.TimeTracking(np.ones(3), q),
        lambda q: pde.TimeTracking(np.ones(3), sparse.eye_array(n), control=q),
    ):
        with pytest.raises(StructureError, match=entry) as refused:
            make(skew)
        assert "(Q + Q.T) / 2" in refused.value.fix
        make((skew + skew.T) / 2)
        make(sparse.eye_array(n) * (1 + 1e-15))
        rounded = pde.mass(V).copy()
        rounded.data[1] *= 1 + 1e-14
        make(rounded)
        with pytest.raises(StructureError, match="real sparse matrix"):
            make(1j * skew)
        with pytest.raises(ShapeError, match="square"):
            make(skew[:3])
        with pytest.raises(NonFinite, match="NaN"):
            make(skew * np.nan)


@pytest.mark.parametrize("make", [pde.mass, lambda b: pde.h1(b, 0.0)])
def test_a_quadrature_with_too_few_points_gives_no_inner_product(make):
    mesh, element = right(2), skfem.ElementTriP2()
    few = skfem.Basis(mesh, element, intorder=2)
    with pytest.raises(StructureError, match=r"3 points .* 6 shape functions .* 3 of them") as e:
        make(few)
    assert "intorder=4" in e.value.fix
    exact = make(skfem.Basis(mesh, element, intorder=4))
    np.testing.assert_allclose(
        exact.toarray(), make(skfem.Basis(mesh, element, intorder=6)).toarray(), atol=1e-15
    )
    vector = skfem.ElementVector(element)
    with pytest.raises(StructureError, match="tell the 12"):
        make(skfem.Basis(mesh, vector, intorder=2))
    assert np.linalg.eigvalsh(make(skfem.Basis(mesh, vector)).toarray())[0] > 1e-4
    with pytest.raises(StructureError, match="has no gradient"):
        pde.stiffness(skfem.Basis(mesh, skfem.ElementTriRT0()))


def test_arithmetic_of_losses():
    _, equation, found = losses()
    one, two = found["tracking"], found["L2"]
    x, y = 0.3 * RNG.standard_normal(equation.n_x), 0.3 * RNG.standard_normal(equation.n_y)
    x_dot, y_dot = np.cos(x), np.sin(y)
    for made, a, b in (
        (one - two, 1.0, -1.0), (-one, -1.0, 0.0), (one / 4, 0.25, 0.0), (sum([one, two]), 1, 1),
        (2 * (one - two / 2) - one, 1.0, -1.0), (np.float64(3.0) * one, 3.0, 0.0),
    ):  # fmt: skip
        for whole, first, second in (
            (made(x, y), one(x, y), two(x, y)),
            (made.second_order(x, y, x_dot, y_dot), one.second_order(x, y, x_dot, y_dot),
             two.second_order(x, y, x_dot, y_dot)),
        ):  # fmt: skip
            for w, p, q in zip(whole, first, second, strict=True):
                np.testing.assert_allclose(w, a * np.asarray(p) + b * np.asarray(q), atol=1e-14)
    for factor in ("2", 1j, np.ones(2), one, None):
        with pytest.raises(StructureError, match="scaled by"):
            one * factor
    with pytest.raises((StructureError, TypeError)):
        np.ones(2) * one
    for wrong in (lambda: one * np.nan, lambda: one / 0, lambda: one / np.nan):
        with pytest.raises(NonFinite):
            wrong()
    with pytest.raises(StructureError, match="cannot be added to int"):
        1 + one


def test_numbers_that_are_nan_are_found_where_they_are_given():
    V, equation, _ = losses()
    with pytest.raises(NonFinite, match="target"):
        pde.Tracking(equation, np.full(V.N, np.nan))
    with pytest.raises(NonFinite, match="weights"):
        pde.Linear(equation, np.full(V.N, np.inf))
    with pytest.raises(NonFinite, match="centre"):
        pde.Quadratic(equation, pde.mass(V), "m", centre=np.nan)
    with pytest.raises(ShapeError, match=r"centre= has shape \(3,\)"):
        pde.Quadratic(equation, pde.mass(V), "m", centre=np.ones(3))


def test_gradients_that_are_zero_are_refused():
    V = skfem.Basis(skfem.MeshTri().refined(1), skfem.ElementTriP1())
    Q = V.with_element(skfem.ElementTriP0())
    equation = pde.Equation(
        lambda u, v, m: pde.dot(u.grad, v.grad) - m * v, state=V, control=Q, fixed=V.get_dofs()
    )
    for refused in (
        lambda: pde.total_variation(equation, Q), lambda: pde.stiffness(Q), lambda: pde.h1(Q, 0.1)
    ):  # fmt: skip
        with pytest.raises(StructureError, match="constant in each cell"):
            refused()
    assert abs(pde.h1(Q, 0.0) - pde.mass(Q)).max() == 0
    for epsilon in (0.0, -1.0, np.nan):
        with pytest.raises(NonFinite, match="epsilon is"):
            pde.total_variation(equation, V, epsilon=epsilon)


def test_numbers_that_a_basis_or_a_problem_has_not_are_refused():
    V = skfem.Basis(skfem.MeshTri().refined(1), skfem.ElementTriP1())
    with pytest.raises(ShapeError, match=f"dofs holds {V.N} to {V.N}"):
        pde.mass(V, dofs=[V.N])
    form = lambda u, v, m: pde.dot(u.grad, v.grad) - m * v
    problem = pde.Equation(form, state=V, control=V, fixed=V.get_dofs())
    with pytest.raises(ShapeError, match=r"dofs=problem\.free"):
        pde.Evolution.autonomous(pde.mass(V), problem)
    with pytest.raises(NonFinite, match="load holds NaN"):
        pde.Equation(form, state=V, control=V, load=np.full(V.N, np.nan))


def test_an_error_of_a_form_is_told_where_it_is():
    V = skfem.Basis(skfem.MeshTri().refined(1), skfem.ElementTriP1())
    with pytest.raises(StructureError, match=r"test_losses\.py, line \d+\): NameError"):
        pde.Equation(lambda u, v, m: nosuch * v, state=V, control=V)  # noqa: F821


@pytest.mark.parametrize("loss", [pde.Tracking, pde.Linear])
def test_a_basis_is_no_problem(loss):
    V = skfem.Basis(skfem.MeshTri(), skfem.ElementTriP1())
    with pytest.raises(StructureError, match="over the states of a problem, got CellBasis"):
        loss(V, np.ones(V.N))
