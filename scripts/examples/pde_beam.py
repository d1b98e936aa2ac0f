"""Topology optimisation: the stiffest half of a beam from half of its material.

Plane stress on squares, each of which has a density ρ; Young's modulus is ρ³ (SIMP), ρ blurred over
the length r by a Helmholtz filter, which is solved with the elasticity as one state. The compliance
is minimised subject to the volume by a penalty, 0 ≤ ρ ≤ 1. Needs scikit-fem.
"""

import numpy as np
from skfem import Basis, ElementQuad0, ElementQuad1, ElementVector, MeshQuad

import sparseimplicit as si
from sparseimplicit import pde
from sparseimplicit.pde import dot, grad, inner, sym_grad, trace

lame, shear, r = 0.3 / (1 - 0.3**2), 1 / (2 * (1 + 0.3)), 1.0


def build(width, height, share=0.5):
    mesh = MeshQuad.init_tensor(np.arange(width + 1.0), np.arange(height + 1.0))
    V = Basis(mesh, ElementVector(ElementQuad1()), intorder=3)
    R, D = V.with_element(ElementQuad1()), V.with_element(ElementQuad0())

    def form(states, tests, density):
        (u, rho), (v, q) = states, tests
        e, t = sym_grad(u), sym_grad(v)
        stiffness = 1e-6 + (1 - 1e-6) * rho**3
        return (stiffness * (lame * trace(e) * trace(t) + 2 * shear * inner(e, t))
                + r**2 * dot(grad(rho), grad(q)) + (rho - density) * q)  # fmt: skip

    corner = (mesh.p[0] == 0) & (mesh.p[1] == height)
    roller = (mesh.p[0] == width) & (mesh.p[1] == 0)
    load = np.zeros(V.N + R.N)
    load[V.nodal_dofs[1, corner]] = -1.0
    held = np.concatenate([V.nodal_dofs[0, mesh.p[0] == 0], V.nodal_dofs[1, roller]])
    beam = pde.Equation(pde.integral(form, (V, R), {"density": D}), fixed=held, load=load)
    excess = pde.Quadratic(beam, np.full((D.N, D.N), 1.0 / D.N**2), centre=share)
    return si.ImplicitFunction(beam), pde.Linear(beam, load) + 2e5 * excess, mesh


def optimize(width, height, steps=40):
    implicit, loss, mesh = build(width, height)
    result = si.minimize(
        loss, implicit, np.full(mesh.nelements, 0.5), y0=np.zeros(implicit.problem.n_y),
        bounds=(0.0, 1.0), gradient_rtol=1e-9, max_iterations=steps,
    )  # fmt: skip
    return result, loss.parts[0][1](result.x, result.solved.y)[0]


if __name__ == "__main__":
    result, compliance = optimize(30, 10)
    print(
        f"compliance {compliance:.1f}, volume {result.x.mean():.3f}, "
        f"{np.mean((result.x < 0.1) | (result.x > 0.9)):.2f} of the squares empty or full"
    )
