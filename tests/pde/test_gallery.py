"""The gallery at small sizes: gradients and Hessians by Taylor's remainders, and what is known."""

import runpy
from pathlib import Path

import numpy as np
import pytest

import sparseimplicit as si

pytest.importorskip("skfem", reason="the extra pde is not installed")
EXAMPLES = Path(__file__).resolve().parents[2] / "scripts" / "examples"


def gallery(name):
    return runpy.run_path(str(EXAMPLES / f"pde_{name}.py"))


def random(n, size=1.0, seed=1):
    return size * np.random.default_rng(seed).standard_normal(n)


BUILDS = {
    "poisson_control": lambda build: (*build(8)[:2], random(128, 10.0)),
    "coefficient": lambda build: (*build(4)[:2], random(25, 0.3)),
    "semilinear": lambda build: (*build(8)[:2], random(81, 40.0)),
    "convection": lambda build: (*build(6)[:2], np.abs(random(14)) + 0.2),
    "beam": lambda build: (*build(6, 3)[:2], np.random.default_rng(0).uniform(0.3, 0.8, 18)),
}


@pytest.mark.parametrize("name", BUILDS)
def test_slopes(name):
    """2 with the gradient, 3 with the Hessian, 2 of the gradient with it; exact for quadratics."""
    implicit, loss, x = BUILDS[name](gallery(name)["build"])
    y0 = np.zeros(implicit.problem.n_y)
    table = si.verify.taylor(implicit, loss, x, y0=y0)
    assert 1.9 < table.slope < 2.1, str(table)
    table = si.verify.taylor(implicit, loss, x, y0=y0, hessian=True)
    assert table.exact or 2.8 < table.slope < 3.2, str(table)
    table = si.verify.hessian_taylor(implicit, loss, x, y0=y0)
    assert table.exact or 1.9 < table.slope < 2.1, str(table)


def test_poisson_control():
    """The error falls with the mesh, in the same few steps."""
    solve = gallery("poisson_control")["solve"]
    coarse, fine = solve(8), solve(16)
    assert 0.2 < fine[1] / coarse[1] < 0.3  # order 2 at the centres of triangles
    assert abs(len(fine[0].history) - len(coarse[0].history)) <= 1
    assert fine[0].converged


def test_coefficient():
    """Total variation finds the disc better than H¹."""
    invert = gallery("coefficient")["invert"]
    (sharp, miss, _), (_, smooth_miss, _) = invert(8), invert(8, sharp=False)
    assert sharp.converged
    assert miss < 0.3 * smooth_miss


def test_semilinear():
    """The minimum satisfies its conditions node by node: u is the adjoint's, clipped."""
    result = gallery("semilinear")["solve"](12)
    assert result.converged
    _, loss, lumped = gallery("semilinear")["build"](12)
    gradient = si.hypergradient(loss, result.solved, rtol=1e-10).gradient / lumped.diagonal()
    clipped = np.clip(result.x - gradient / 1e-4, -15, 15)
    np.testing.assert_allclose(result.x, clipped, atol=1e-3)
    assert 0.3 < np.mean(np.abs(result.x) == 15.0) < 0.9


def test_convection():
    """The adjoint is nonsymmetric; κ stays, g ≥ 0."""
    space = gallery("convection")
    result, packing = space["solve"](8)
    blocks = packing.unpack(result.x)
    assert blocks.kappa[0] == 0.1
    assert blocks.g.min() >= 0.0
    assert si.verify.duality(result.solved).error < 1e-9
    problem = space["build"](4)[0].problem
    assert problem.check(np.full(problem.n_x, 0.3), random(problem.n_y)).passed
    a = problem.state_jacobian(np.full(problem.n_x, 0.3), random(problem.n_y))
    assert abs(a - a.T).max() > 0.1


def test_beam():
    """Stiffer than the even beam of the same volume, by far."""
    space = gallery("beam")
    implicit, loss, mesh = space["build"](12, 4)
    half, y0 = np.full(48, 0.5), np.zeros(implicit.problem.n_y)
    even, *_ = loss(half, implicit.solve(half, y0).y)
    result, compliance = space["optimize"](12, 4, steps=12)
    assert compliance < 0.6 * even
    assert result.x.mean() == pytest.approx(0.5, abs=0.02)
    assert mesh.nelements == 48
