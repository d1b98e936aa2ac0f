"""Coefficient inversion: what lies in the ground, from the pressure that was measured above.

−div(eᵐ ∇u) = 1 on the unit square; m has a disc of another material. J = ½ ‖u − d‖² + total
variation of m, which keeps the edge of the disc sharp; or H¹, which does not. Needs scikit-fem.
"""

import sys

import numpy as np
from skfem import Basis, ElementTriP1, ElementTriP2, MeshTri

import sparseimplicit as si
from sparseimplicit import pde
from sparseimplicit.pde import dot, grad


def build(n, *, sharp=True):  # the state as a function of m, the loss, the bases, and the truth
    line = np.linspace(0, 1, n + 1)
    V = Basis(MeshTri.init_tensor(line, line), ElementTriP2(), intorder=4)
    M = V.with_element(ElementTriP1())
    darcy = pde.Equation(
        lambda u, v, m: np.exp(m) * dot(grad(u), grad(v)) - v,
        state=V, control=M, fixed=V.get_dofs(), structure=si.Structure.POSITIVE_DEFINITE,
    )  # fmt: skip
    implicit = si.ImplicitFunction(darcy)
    truth = np.where(np.hypot(M.doflocs[0] - 0.5, M.doflocs[1] - 0.5) > 0.2, np.log(9), np.log(2))
    measured = implicit.solve(truth, y0=np.zeros(darcy.n_y), rtol=1e-12).y
    loss = pde.Tracking(darcy, darcy.full(truth, measured), pde.mass(V))
    if sharp:
        loss = loss + 1e-8 * pde.total_variation(darcy, M, epsilon=0.1)
    else:
        loss = loss + 1e-8 * pde.Quadratic(darcy, pde.stiffness(M) + 1e-2 * pde.mass(M))
    return implicit, loss, (V, M), truth


def invert(n, *, sharp=True):
    implicit, loss, (_, M), truth = build(n, sharp=sharp)
    result = si.minimize(
        loss, implicit, np.full(M.N, np.log(4.0)), y0=np.zeros(implicit.problem.n_y),
        method="newton-cg", inner=pde.h1(M, 0.1), gradient_rtol=1e-9, stop_rtol=1e-4, radius=0.5,
    )  # fmt: skip
    miss = result.x - truth
    return result, np.sqrt(miss @ (pde.mass(M) @ miss)), M


if __name__ == "__main__":
    for sharp in (True, False):
        result, miss, M = invert(12, sharp=sharp)
        print(f"{'TV' if sharp else 'H¹'}: J = {result.value:.3e}, ‖m − m*‖ = {miss:.3f}, "
              f"{len(result.history)} states")  # fmt: skip
    if len(sys.argv) > 1:
        print(f"the last is in {pde.write_vtk(sys.argv[1], M, {'m': (M, result.x)})}")
