"""Beams, membranes and an obstacle: more problems with known answers; see `test_bank`."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize

import sparseimplicit as si
from sparseimplicit import pde
from sparseimplicit.pde import dot, grad, inner, sym_grad, trace

skfem = pytest.importorskip("skfem", reason="the extra pde is not installed")
from .meshes import left, right  # noqa: E402

SPD = si.Structure.POSITIVE_DEFINITE


def test_mpec():
    """C: control of a penalised obstacle problem with bounds, as dolfin-adjoint prints it.

    Its last penalty. The quadrature of degree 3 is that of FIAT: the penalty is no polynomial.
    """
    a, b, c = 0.659027622374092, 0.231933368553031, 0.109039009072877
    points = np.array([[a, b], [a, c], [b, a], [b, c], [c, a], [c, b]]).T
    V = skfem.Basis(right(128), skfem.ElementTriP1(), quadrature=(points, np.full(6, 1 / 12)))

    def smooth_maximum(r, width=1e-4):
        return si.where(r > width, r - width / 2, si.where(r < 0, 0 * r, r**2 / (2 * width)))

    f = 0.25 - np.abs(V.doflocs[0] * V.doflocs[1] - 0.5)
    equation = pde.Equation(
        lambda y, v, u, w: dot(grad(y), grad(v)) - smooth_maximum(-y) * v / w.penalty
        - (w.f + u) * v,
        state=V, control=V, fixed=V.get_dofs(), structure=SPD,
        data={"f": V.interpolate(f), "penalty": 1e-2 / 2**4},
    )  # fmt: skip
    mass = pde.mass(V)
    loss = pde.Tracking(equation, f, mass) + 0.01 * pde.Quadratic(equation, mass)
    result = si.minimize(
        loss, si.ImplicitFunction(equation), np.full(V.N, 0.02), y0=np.zeros(equation.n_y),
        bounds=(0.01, 0.03), gradient_rtol=1e-10, stop_rtol=1e-6,
    )  # fmt: skip
    y, u = equation.full(result.x, result.solved.y), result.x
    below = np.minimum(0, V.interpolate(y))
    assert result.value == pytest.approx(1.2064186622885919e-2, rel=1e-8)
    assert np.sqrt(y @ mass @ y) == pytest.approx(0.00232945325255, rel=1e-5)
    assert np.sqrt(u @ mass @ u) == pytest.approx(0.0217167930891, rel=1e-5)
    assert np.sqrt(np.sum(below**2 * V.dx)) == pytest.approx(8.56988113e-5, rel=1e-5)


def half_beam(width, height):
    """D: half of the MBB beam, of squares of side 1, plane stress; densities in each."""
    mesh = skfem.MeshQuad.init_tensor(np.arange(width + 1.0), np.arange(height + 1.0))
    V = skfem.Basis(mesh, skfem.ElementVector(skfem.ElementQuad1()), intorder=2)
    D = V.with_element(skfem.ElementQuad0())
    lame, shear = 0.3 / (1 - 0.3**2), 1 / (2 * (1 + 0.3))

    def form(u, v, density):
        e = sym_grad(u)
        stress = lame * trace(e) * trace(sym_grad(v)) + 2 * shear * inner(e, sym_grad(v))
        return (1e-9 + density**3 * (1 - 1e-9)) * stress

    node = V.nodal_dofs
    corner = np.flatnonzero((mesh.p[0] == 0) & (mesh.p[1] == height))[0]
    roller = np.flatnonzero((mesh.p[0] == width) & (mesh.p[1] == 0))[0]
    load = np.zeros(V.N)
    load[node[1, corner]] = -1.0
    held = np.concatenate([node[0, mesh.p[0] == 0], [node[1, roller]]])
    equation = pde.Equation(form, state=V, control=D, fixed=held, load=load, structure=SPD)
    return mesh, equation, pde.Linear(equation, load)


def test_compliance_of_the_half_beam():
    """c = 216.81 of Andreassen et al. 2011, figure 3: 60 × 20, filtered by sensitivities."""
    width, height = 60, 20
    mesh, equation, compliance = half_beam(width, height)
    implicit = si.ImplicitFunction(equation, "cholmod" if _has("cholmod") else "auto")
    centre = mesh.p[:, mesh.t].mean(axis=1).T
    distance = np.hypot(*(centre[:, None] - centre[None]).T)
    weights = sparse.csr_array(np.maximum(0.0, 0.04 * width - distance))
    sums = np.asarray(weights.sum(axis=1)).ravel()
    x, values, change, solved = np.full(width * height, 0.5), [], 1.0, None
    while change > 0.01:
        solved = implicit.solve(x, np.zeros(equation.n_y) if solved is None else None,
                                start=solved, rtol=1e-9)  # fmt: skip
        h = si.hypergradient(compliance, solved, rtol=1e-9)
        values.append(h.value)
        filtered = (weights @ (x * h.gradient)) / sums / np.maximum(1e-3, x)
        low, high = 0.0, 1e9  # the method of optimality criteria
        while (high - low) / (high + low) > 1e-3:
            middle = 0.5 * (low + high)
            wanted = x * np.sqrt(-filtered / middle)
            new = np.clip(wanted, np.maximum(0, x - 0.2), np.minimum(1, x + 0.2))
            low, high = (middle, high) if new.sum() > 0.5 * x.size else (low, middle)
        x, change = new, np.abs(new - x).max()
        assert len(values) < 150
    assert values[0] == pytest.approx(1007.0221, abs=1e-4)
    assert values[-1] == pytest.approx(216.81, rel=1e-3)


def _has(name):
    return name in si.available_solvers()


def test_thickness_of_a_clamped_beam():
    """H: 23762.15367702, as OpenMDAO's beam; Hermite's elements, whose second derivatives count."""
    n, breadth, volume = 50, 0.1, 0.01
    V = skfem.Basis(skfem.MeshLine(np.linspace(0, 1, n + 1)), skfem.ElementLineHermite())
    H = V.with_element(skfem.ElementLineP0())
    load = np.zeros(V.N)
    load[V.get_dofs(lambda x: x[0] == 1).all("u")] = -1.0
    equation = pde.Equation(
        lambda u, v, h: breadth * h**3 / 12 * u.hess[0, 0] * v.hess[0, 0],
        state=V, control=H, fixed=V.get_dofs(lambda x: x[0] == 0), load=load, structure=SPD,
    )  # fmt: skip
    compliance = pde.Linear(equation, load)
    implicit = si.ImplicitFunction(equation)

    def scaled(h):
        solved = implicit.solve(h, y0=np.zeros(equation.n_y), rtol=1e-6)
        found = si.hypergradient(compliance, solved, rtol=1e-6)
        return found.value / 1e4, found.gradient / 1e4

    area = np.full(n, breadth / n)
    best = minimize(
        scaled, np.full(n, 0.1), jac=True, method="SLSQP", bounds=[(0.01, 0.3)] * n,
        constraints={"type": "eq", "fun": lambda h: 1e2 * (area @ h - volume),
                     "jac": lambda h: 1e2 * area},
        options={"maxiter": 300, "ftol": 1e-12},
    )  # fmt: skip
    assert 1e4 * best.fun == pytest.approx(23762.15367702, rel=1e-7)
    assert best.x[0] == pytest.approx(0.14915754, abs=1e-4)
    assert best.x[-1] == pytest.approx(0.01610863, abs=1e-4)


def enneper(x, y):
    """Return the height of Enneper's minimal surface, by Newton's method for its parameters."""
    u, v = x.copy(), -y
    for _ in range(20):
        f, g = u + u * v**2 - u**3 / 3 - x, -v - u**2 * v + v**3 / 3 - y
        a, b, d = 1 + v**2 - u**2, 2 * u * v, -1 - u**2 + v**2
        u, v = u - (d * f - b * g) / (a * d + b**2), v - (a * g + b * f) / (a * d + b**2)
    return u**2 - v**2


def test_torsion_and_minimal_surface():
    """I1, I2: PETSc's eptorsion1 and minsurf2, −0.427745 and 1.41776 (stopped at 1e-3 there)."""
    V = skfem.Basis(left(11, 11, 1, 1), skfem.ElementTriP1())
    torsion = pde.Energy(lambda u: 0.5 * dot(grad(u), grad(u)) - 5 * u, state=V, fixed=V.get_dofs())
    solved = si.ImplicitFunction(torsion).solve([], np.zeros(torsion.n_y))
    assert solved.report.objective == pytest.approx(-0.427745, abs=5e-7)

    V = skfem.Basis(left(11, 9, 1, 1, -0.5), skfem.ElementTriP1())
    dofs = np.sort(V.get_dofs().flatten())
    surface = pde.Energy(
        lambda u: np.sqrt(1 + dot(grad(u), grad(u))), state=V, fixed=pde.fixed(dofs, "edge")
    )
    edge, implicit = enneper(*V.doflocs[:, dofs]), si.ImplicitFunction(surface)
    solved = implicit.solve(edge, np.zeros(surface.n_y))
    assert solved.report.objective == pytest.approx(1.41775324, rel=1e-8)

    # The gradient of ½‖z‖² with respect to the boundary, through the argmin.
    loss = pde.Tracking(surface, np.zeros(V.N))
    table = si.verify.taylor(implicit, loss, edge, start=solved)
    assert 1.9 < table.slope < 2.1, str(table)
    assert surface.check(edge, solved.y).passed
    hessian = si.reduced_hessian(loss, implicit.solve(edge, start=solved, rtol=1e-12), rtol=1e-12)
    d, h = np.cos(np.arange(dofs.size)), 1e-3

    def gradient(t):
        moved = implicit.solve(edge + t * d, start=solved, rtol=1e-12)
        return si.hypergradient(loss, moved, rtol=1e-12).gradient

    fine, coarse = ((gradient(s) - gradient(-s)) / (2 * s) for s in (h, 2 * h))
    np.testing.assert_allclose(hessian.apply(d), (4 * fine - coarse) / 3, atol=1e-7)


def test_a_minimal_surface_over_a_plate():
    """I3: PETSc's plate2_1, 1.50566: Enneper's edges, over a plate of 3 × 3 cells at height 0.2."""
    V = skfem.Basis(left(9, 7, 1, 1, -0.5), skfem.ElementTriP1())
    dofs = np.sort(V.get_dofs().flatten())
    surface = pde.Energy(
        lambda u: np.sqrt(1 + dot(grad(u), grad(u))), state=V, fixed=pde.fixed(dofs, "edge")
    )
    x, y = np.delete(V.doflocs, dofs, axis=1)
    plate = (np.abs(x) < 1.6 / 9) & (np.abs(y) < 1.6 / 7)  # the 4 × 4 nodes in the middle
    assert plate.sum() == 16
    heights = np.where(plate, 0.2, -np.inf)
    edge = enneper(*V.doflocs[:, dofs])
    over = pde.VariationalInequality(surface, lower=heights)
    free = si.ImplicitFunction(surface).solve(edge, np.zeros(surface.n_y))
    solved = over.solve(edge, free.y)
    area = surface.objective(edge, solved.y)
    assert area == pytest.approx(1.50566, abs=5e-6)
    assert area == pytest.approx(1.50566279, abs=5e-9)
    assert (solved.y[plate] >= 0.2).all()
    touching = solved.lower_active
    assert 0 < touching.sum() <= 16
    assert not touching[~plate].any()
    assert (solved.multiplier[touching] > 0).all()  # the plate presses upwards

    # The gradient of ½‖z‖² with respect to the edges, through the argmin over the plate.
    loss = pde.Tracking(surface, np.zeros(V.N))
    h, d, steps = solved.gradient(loss), np.cos(np.arange(dofs.size)), 0.5 ** np.arange(6, 10)
    values = [loss(edge + s * d, over.solve(edge + s * d, start=solved).y)[0] for s in steps]
    left_over = np.abs(np.array(values) - h.value - steps * (h.gradient @ d))
    slopes = np.diff(np.log(left_over)) / np.diff(np.log(steps))
    assert (np.abs(slopes - 2.0) < 0.1).all(), slopes
