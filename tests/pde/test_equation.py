"""Weak forms against scikit-fem's own assembly, complex steps, and Taylor's remainder."""

import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si
from sparseimplicit import pde
from sparseimplicit.errors import NonFinite, ShapeError, StructureError
from sparseimplicit.pde import div, dot, grad, inner, sym_grad

skfem = pytest.importorskip("skfem", reason="the extra pde is not installed")
poisson = pytest.importorskip("skfem.models.poisson", reason="the extra pde is not installed")
elasticity = pytest.importorskip("skfem.models.elasticity", reason="the extra pde is not installed")
SPD = si.Structure.POSITIVE_DEFINITE


def triangles(refinements=2):
    """An unstructured-looking mesh, without right angles and without symmetry."""
    mesh = skfem.MeshTri.init_symmetric().refined(refinements)
    x, y = mesh.p
    return skfem.MeshTri(np.array([x + 0.2 * x * y, y + 0.1 * np.sin(x)]), mesh.t)


def quads():
    mesh = skfem.MeshQuad().refined(2)
    x, y = mesh.p
    return skfem.MeshQuad(np.array([x + 0.2 * x * y, y]), mesh.t)


def random(*sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [0.3 * rng.standard_normal(n) for n in sizes]


CASES = {
    "P1": lambda: skfem.Basis(triangles(), skfem.ElementTriP1(), intorder=3),
    "P2": lambda: skfem.Basis(triangles(1), skfem.ElementTriP2(), intorder=5),
    "Q1, not affine": lambda: skfem.Basis(quads(), skfem.ElementQuad1(), intorder=5),
    "line": lambda: skfem.Basis(
        skfem.MeshLine(np.array([[0, 0.3, 1.1, 2]])), skfem.ElementLineP2()
    ),
    "tetrahedra": lambda: skfem.Basis(skfem.MeshTet().refined(1), skfem.ElementTetP1(), intorder=3),
}


@pytest.mark.parametrize("name", CASES)
def test_nonlinear_forms_against_scikit_fem(name):
    """c, A and B of (1 + m² + u²) ∇u·∇v − x₀ v, with scikit-fem's forms differentiated by hand."""
    V = CASES[name]()
    equation = pde.Equation(
        lambda u, v, m, w: (1 + m**2 + u**2) * dot(grad(u), grad(v)) - w.x[0] * v,
        state=V, control=V, fixed=V.get_dofs(lambda x: x[0] < 1e-9),
    )  # fmt: skip
    y, x = random(equation.n_y, equation.n_x)
    free = V.complement_dofs(V.get_dofs(lambda x: x[0] < 1e-9))
    full = np.zeros(V.N)
    full[free] = y
    u, m = V.interpolate(full), V.interpolate(x)

    residual = skfem.LinearForm(
        lambda v, w: (1 + w.m**2 + w.u**2) * np.sum(w.u.grad * v.grad, axis=0) - w.x[0] * v
    ).assemble(V, u=u, m=m)[free]
    jacobian = skfem.BilinearForm(
        lambda t, v, w: (1 + w.m**2 + w.u**2) * np.sum(t.grad * v.grad, axis=0)
        + 2 * w.u * t * np.sum(w.u.grad * v.grad, axis=0)
    ).assemble(V, u=u, m=m)[free][:, free]  # fmt: skip
    cross = skfem.BilinearForm(
        lambda t, v, w: 2 * w.m * t * np.sum(w.u.grad * v.grad, axis=0)
    ).assemble(V, u=u, m=m)[free]

    np.testing.assert_array_equal(equation.free, free)
    np.testing.assert_allclose(equation.residual(x, y), residual, atol=1e-13)
    assert abs(equation.state_jacobian(x, y) - jacobian).max() < 1e-13
    assert abs(equation.parameter_jacobian(x, y) - cross).max() < 1e-13
    assert equation.check(x, y).passed


def test_elasticity_of_vectors():
    V = skfem.Basis(quads(), skfem.ElementVector(skfem.ElementQuad1()), intorder=5)
    E = V.with_element(skfem.ElementQuad0())
    equation = pde.Equation(
        lambda u, v, e: e * (2 * inner(sym_grad(u), sym_grad(v)) + 1.5 * div(u) * div(v)) - v[1],
        state=V, control=E, structure=SPD, fixed=V.get_dofs(lambda x: x[0] == 0),
    )  # fmt: skip
    form = elasticity.linear_elasticity(1.5, 1.0)
    whole = form.assemble(V)
    free = equation.free
    a = equation.state_jacobian(np.ones(equation.n_x), np.zeros(equation.n_y))
    assert abs(a - whole[free][:, free]).max() < 1e-13
    assert si.linear.Operator(a, SPD).structure is SPD  # symmetric to rounding
    load = skfem.LinearForm(lambda v, w: v[1]).assemble(V)[free]
    zero = equation.residual(np.ones(equation.n_x), np.zeros(equation.n_y))
    np.testing.assert_allclose(zero, -load, atol=1e-15)


def test_elements_of_many_unknowns_are_split(monkeypatch):
    """Rows in several terms, for kernels that compile soon: the same numbers."""
    V = skfem.Basis(triangles(1), skfem.ElementVector(skfem.ElementTriP2()), intorder=3)
    P = V.with_element(skfem.ElementTriP1())  # 15 unknowns, and one more field: 18

    def made():
        return pde.Equation(
            lambda u, v: inner(grad(u[0]), grad(v[0])) * (1 + u[2]) - u[1] * div(v[0])
            - v[1] * div(u[0]) + u[2] * v[2],
            state=(V, P, P), fixed=V.get_dofs(),
        )  # fmt: skip

    whole = made()
    monkeypatch.setattr("sparseimplicit.pde.local_form.PART", 150)
    split = made()
    assert len(whole._whole.terms) == 1
    assert len(split._whole.terms) > 2
    (y,) = random(whole.n_y)
    np.testing.assert_allclose(split.residual([], y), whole.residual([], y), atol=1e-14)
    a, b = whole.state_jacobian([], y), split.state_jacobian([], y)
    np.testing.assert_array_equal(a.indices, b.indices)
    assert abs(a - b).max() < 1e-14
    assert split.check([], y).passed


def test_a_form_declared_linear_is_assembled_once():
    V = skfem.Basis(triangles(), skfem.ElementTriP1())
    M = V.with_element(skfem.ElementTriP0())
    values = []
    for linear in (False, True):
        problem = pde.Equation(
            lambda u, v, m: np.exp(m) * dot(grad(u), grad(v)) - v, state=V, control=M,
            fixed=V.get_dofs(), structure=SPD, linear=linear,
        )  # fmt: skip
        (m,) = random(problem.n_x)
        solved = si.ImplicitFunction(problem).solve(m, y0=np.zeros(problem.n_y), rtol=1e-11)
        values.append(solved.y)
        assert solved.report.iterations == 1
    np.testing.assert_allclose(*values, rtol=1e-9)
    problem = pde.Equation(
        lambda u, v, m: (1 + u) * m * dot(grad(u), grad(v)) - 9 * v, state=V, control=M,
        fixed=V.get_dofs(), linear=True,
    )  # fmt: skip
    with pytest.raises(StructureError, match="declared linear"):
        si.ImplicitFunction(problem).solve(np.ones(problem.n_x), y0=np.zeros(problem.n_y))


def test_facets_normals_and_controls_of_a_boundary():
    """Robin's condition with a control on one side, which x holds no more of than it has."""
    V = skfem.Basis(triangles(), skfem.ElementTriP1())
    side = V.boundary(lambda x: np.isclose(x[1], 0.1 * np.sin(x[0]), atol=0.03))
    equation = pde.Equation([
        pde.integral(lambda u, v, m: m * dot(grad(u), grad(v)), V,
                     {"m": V.with_element(skfem.ElementTriP0())}),
        pde.integral(lambda u, v, g, w: (u - g * w.n[1] * w.x[0]) * v, side, {"g": side}),
    ])  # fmt: skip
    assert equation.packing.shapes["g"] == (equation.control_dofs["g"].size,)
    assert equation.control_dofs["g"].size < V.N / 2
    (y,) = random(equation.n_y)
    x = equation.packing.pack(m=np.ones(V.nelems), g=equation.control_dofs["g"])
    whole = poisson.laplace.assemble(V) + poisson.mass.assemble(side)
    g = np.arange(V.N, dtype=float)
    load = skfem.LinearForm(lambda v, w: w.g * w.n[1] * w.x[0] * v).assemble(
        side, g=side.interpolate(g)
    )
    np.testing.assert_allclose(equation.residual(x, y), whole @ y - load, atol=1e-12)
    assert equation.check(x, y).passed


def test_numbers_shared_by_the_domain_and_data():
    V = skfem.Basis(triangles(), skfem.ElementTriP1())
    old, step = np.cos(V.doflocs[0]), 0.25
    equation = pde.Equation(
        lambda u, v, k, w: (u - w.old) / w.step * v + k[0] * dot(grad(u), grad(v))
        + k[1] * w["old"].grad[0] * v,
        state=V, control=2, data={"old": V.interpolate(old), "step": step},
    )  # fmt: skip
    (y,) = random(V.N)
    mass, stiff = (getattr(poisson, n).assemble(V) for n in ("mass", "laplace"))
    slope = skfem.BilinearForm(lambda u, v, w: u.grad[0] * v).assemble(V)
    expected = mass @ (y - old) / step + 0.7 * stiff @ y - 0.2 * slope @ old
    np.testing.assert_allclose(equation.residual([0.7, -0.2], y), expected, atol=1e-13)
    b = equation.parameter_jacobian([0.7, -0.2], y)
    np.testing.assert_allclose(b @ np.eye(2)[0], stiff @ y, atol=1e-13)
    assert not sparse.issparse(b)


def test_several_fields():
    """Stokes: the saddle of velocities and a pressure, with B of scikit-fem."""
    V = skfem.Basis(triangles(1), skfem.ElementVector(skfem.ElementTriP1()), intorder=3)
    Q = V.with_element(skfem.ElementTriP0())
    equation = pde.Equation(
        lambda up, vq: inner(grad(up[0]), grad(vq[0])) - up[1] * div(vq[0]) - vq[1] * div(up[0])
        - vq[0][1],
        state=(V, Q), fixed=[V.get_dofs(), pde.fixed([0], 0.5, field=1)],
    )  # fmt: skip
    (y,) = random(equation.n_y)
    k = poisson.vector_laplace.assemble(V)
    d = skfem.BilinearForm(lambda u, q, w: -u.div * q if u.div is not None
                           else -(u.grad[0, 0] + u.grad[1, 1]) * q).assemble(V, Q)  # fmt: skip
    whole = sparse.block_array([[k, d.T], [d, None]], format="csr")
    load = np.concatenate([skfem.LinearForm(lambda v, w: v[1]).assemble(V), np.zeros(Q.N)])
    u = equation.full([], y)
    np.testing.assert_allclose(equation.residual([], y), (whole @ u - load)[equation.free],
                               atol=1e-13)  # fmt: skip
    assert u[V.N] == 0.5
    assert equation.fields([], y)[1].size == Q.N
    assert abs(equation.state_jacobian([], y) - equation.state_jacobian([], y).T).max() < 1e-14


def semilinear(fixed, control="m"):
    V = skfem.Basis(triangles(1), skfem.ElementTriP1(), intorder=4)
    return V, pde.Equation(
        lambda u, v, m, w: np.exp(m) * dot(grad(u), grad(v)) + u**3 * v + u.grad[0] * v - v,
        state=V, control={control: V.with_element(skfem.ElementTriP0())}, fixed=fixed(V),
    )  # fmt: skip


def quartic(equation):
    """A loss of y and x with all parts, so that none of them can be missing."""

    def loss(x, y):
        weight = np.cos(np.arange(y.size))
        return np.sum(weight * y**2) + 0.1 * np.sum(x**2), 0.2 * x, 2 * weight * y

    return loss


@pytest.mark.parametrize(
    "fixed",
    [
        lambda V: V.get_dofs(),
        lambda V: pde.fixed(V.get_dofs(), np.cos(V.get_dofs().flatten())),
        lambda V: pde.fixed(V.get_dofs(), "g"),
        lambda V: [pde.fixed(V.get_dofs(lambda x: x[0] < 1e-9), "g"),
                   pde.fixed(V.get_dofs(lambda x: x[0] > 1.0), 2.0)],
    ],
    ids=["zero", "values", "values as control", "both"],
)  # fmt: skip
def test_gradients_through_dirichlet_values(fixed):
    """Nonsymmetric and nonlinear; dL/dx with respect to coefficients and boundary values."""
    _, equation = semilinear(fixed)
    implicit = si.ImplicitFunction(equation)
    (x,) = random(equation.n_x)
    table = si.verify.taylor(implicit, quartic(equation), x, y0=np.zeros(equation.n_y))
    assert 1.9 < table.slope < 2.1, str(table)
    assert si.verify.duality(implicit.solve(x, np.zeros(equation.n_y), rtol=1e-12)).error < 1e-9


def test_second_order_of_boundary_values_and_coefficients():
    """s = λᵀc: its second derivatives against complex steps of Aᵀλ and Bᵀλ by dense algebra."""
    _, equation = semilinear(lambda V: pde.fixed(V.get_dofs(), "g"))
    x, y, x_dot, y_dot, adjoint = random(*[equation.n_x, equation.n_y] * 2, equation.n_y)
    by_x, by_y = equation.second_order(x, y, adjoint, x_dot, y_dot)

    def gradient(t):
        xt, yt = x + t * x_dot, y + t * y_dot
        return (equation.parameter_jacobian(xt, yt).T @ adjoint,
                equation.state_jacobian(xt, yt).T @ adjoint)  # fmt: skip

    h = 1e-3  # central differences with one extrapolation: error h⁴
    for given, part in ((by_x, 0), (by_y, 1)):
        fine = (gradient(h)[part] - gradient(-h)[part]) / (2 * h)
        coarse = (gradient(2 * h)[part] - gradient(-2 * h)[part]) / (4 * h)
        np.testing.assert_allclose(given, (4 * fine - coarse) / 3, atol=1e-9)


def test_patterns_are_made_once_and_depend_on_the_form_alone():
    """Right angles make entries of the Laplacian zero; they stay in the pattern."""
    V = skfem.Basis(skfem.MeshTri().refined(2), skfem.ElementTriP1())
    laplace = pde.Equation(lambda u, v: dot(grad(u), grad(v)), state=V, fixed=V.get_dofs())
    more = pde.Equation(lambda u, v: dot(grad(u), grad(v)) + u * v, state=V, fixed=V.get_dofs())
    zero = np.zeros(laplace.n_y)
    a, again, b = (p.state_jacobian([], zero) for p in (laplace, laplace, more))
    assert a.indices is again.indices
    assert (a.data == 0).any()
    np.testing.assert_array_equal(a.indices, b.indices)
    np.testing.assert_array_equal(a.indptr, b.indptr)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        (lambda u, v: v * v * u, "not linear in v"),
        (lambda u, v: dot(grad(u), grad(v)) - 1.0, "a part without v"),
        (lambda u: u, "called with \\(u, v\\)"),
        (lambda u, v, w: w.beta * u * v, "asks for w.beta; known are x, h, n"),
        (lambda u, v, w: w.n[0] * v, "no normals inside"),
        (lambda u, v: dot(grad(u * u), grad(v)), "product rule"),
    ],
)
def test_forms_that_are_none(form, told):
    V = skfem.Basis(skfem.MeshTri(), skfem.ElementTriP1())
    with pytest.raises(StructureError, match=told):
        pde.Equation(form, state=V)


@pytest.mark.parametrize("name", ["dot", "ddot", "sym_grad", "div", "mul"])
def test_words_of_scikit_fem(name):
    """Its helpers say the same as ours."""
    words = pytest.importorskip("skfem.helpers", reason="the extra pde is not installed")
    V = skfem.Basis(skfem.MeshTri().refined(1), skfem.ElementVector(skfem.ElementTriP1()))
    theirs, ours = {
        "dot": (lambda u, v: words.dot(u, v), lambda u, v: dot(u, v)),
        "ddot": (lambda u, v: words.ddot(words.grad(u), words.grad(v)),
                 lambda u, v: inner(grad(u), grad(v))),
        "sym_grad": (lambda u, v: words.ddot(words.sym_grad(u), words.grad(v)),
                     lambda u, v: inner(sym_grad(u), sym_grad(v))),
        "div": (lambda u, v: words.div(u) * words.div(v), lambda u, v: div(u) * div(v)),
        "mul": (lambda u, v: words.dot(words.mul(words.grad(u), u), v),
                lambda u, v: dot(grad(u) @ u, v)),
    }[name]  # fmt: skip
    (y,) = random(V.N)
    given, exact = (pde.Equation(f, state=V).residual([], y) for f in (theirs, ours))
    np.testing.assert_allclose(given, exact, atol=1e-15)
    assert np.linalg.norm(exact) > 0.01


def test_what_does_not_fit_is_named():
    V = skfem.Basis(skfem.MeshTri(), skfem.ElementTriP1())
    with pytest.raises(ShapeError, match="with_element"):
        pde.integral(lambda u, v, m: u * v, V, skfem.Basis(V.mesh, V.elem, intorder=5))
    with pytest.raises(ShapeError, match="must be one number"):
        pde.Equation(lambda u, v: grad(v), state=V)
    with pytest.raises(ShapeError, match="beyond the 4"):
        pde.Equation(lambda u, v: u * v, state=V, fixed=[7])
    with pytest.raises(ShapeError, match="twice"):
        pde.Equation(lambda u, v: u * v, state=V, fixed=[V.get_dofs(), V.get_dofs()])
    with pytest.raises(ShapeError, match="data 'f' has shape"):
        pde.Equation(lambda u, v, w: w.f * v, state=V, data={"f": np.ones(3)})
    with pytest.raises(StructureError, match="must be a basis"):
        pde.Equation(lambda u, v: u * v, state=V.mesh)
    equation = pde.Equation(lambda u, v: u * v, state=V)
    with pytest.raises(ShapeError, match="y has 3 numbers"):
        equation.residual([], np.ones(3))


def test_dofs_of_another_basis_are_refused():
    V = skfem.Basis(skfem.MeshTri().refined(2), skfem.ElementTriP1())
    coarse = skfem.Basis(skfem.MeshTri().refined(1), skfem.ElementTriP1())
    quadratic = coarse.with_element(skfem.ElementTriP2())  # of as many numbers as V
    assert quadratic.N == V.N

    def form(u, v):
        return dot(grad(u), grad(v)) - v

    for other in (coarse, quadratic):
        with pytest.raises(ShapeError, match="another mesh or element than field 0"):
            pde.Equation(form, state=V, fixed=other.get_dofs())
    for length in (3, V.N + 1):
        mask = np.zeros(length, dtype=bool)
        mask[:2] = True
        with pytest.raises(ShapeError, match=f"mask of {length} for the {V.N}"):
            pde.Equation(form, state=V, fixed=mask)
    same = V.with_element(skfem.ElementTriP1()).get_dofs()  # another object, the same numbers
    mask = np.isin(np.arange(V.N), same.flatten())
    for known in (same, mask, V.boundary().get_dofs()):
        assert pde.Equation(form, state=V, fixed=known).n_y == V.N - same.flatten().size


def test_dofs_of_a_second_field_need_its_number():
    U = skfem.Basis(skfem.MeshTri().refined(1), skfem.ElementTriP2())
    P = U.with_element(skfem.ElementTriP1())

    def form(u, v):
        return u[0] * v[0] + u[1] * v[1]

    both = [U.get_dofs(), P.get_dofs()]
    with pytest.raises(ShapeError, match="than field 0") as refused:
        pde.Equation(form, state=(U, P), fixed=both)
    assert "field=1" in refused.value.fix
    both[1] = pde.fixed(P.get_dofs(), field=1)
    equation = pde.Equation(form, state=(U, P), fixed=both)
    assert equation.n_y == U.N + P.N - sum(b.get_dofs().flatten().size for b in (U, P))


def test_controls_in_another_order_than_the_arguments_are_refused():
    V = skfem.Basis(skfem.MeshTri().refined(1), skfem.ElementTriP1())
    controls = {"m": V, "k": V}

    def form(u, v, k, m):
        return np.exp(m) * dot(grad(u), grad(v)) + np.exp(k) * u * v

    with pytest.raises(StructureError, match=r"calls control 'm' k, .* controls are m, k") as e:
        pde.Equation(form, state=V, control=controls)
    assert "(u, v, m, k)" in e.value.fix
    with pytest.raises(StructureError, match="calls control 'm' k"):
        pde.Energy(lambda u, k, m: k * m * u**2, state=V, control=controls)
    right = pde.Equation(form, state=V, control={"k": V, "m": V})
    named = pde.Equation(lambda u, v, a, b: form(u, v, b, a), state=V, control=controls)
    z, y = np.random.default_rng(1).standard_normal((2, 2 * V.N))
    swapped = np.r_[z[V.N :], z[: V.N]]
    np.testing.assert_allclose(
        named.residual(z, y[: V.N]), right.residual(swapped, y[: V.N]), rtol=1e-13
    )


def test_data_are_named_where_they_do_not_fit():
    V = skfem.Basis(skfem.MeshTri(), skfem.ElementTriP1())
    for data in ("a", lambda x: x, None, 1j):
        with pytest.raises(StructureError, match="data 'k' must be real numbers"):
            pde.integral(lambda u, v, w: w.k * u * v, V, data={"k": data})
    for data in (np.nan, np.full((2, 6), np.inf)):
        with pytest.raises(NonFinite, match="data 'k' holds NaN"):
            pde.integral(lambda u, v, w: w.k * u * v, V, data={"k": data})
    for name in "xhn":
        with pytest.raises(StructureError, match=f"would hide w\\.{name}"):
            pde.integral(lambda u, v: u * v, V, data={name: 1.0})
