"""Semilinear control with bounds: −Δy + 100 y³ = u, |u| ≤ 15, on the unit square.

J = ½ ‖y − d‖² + a/2 ‖u‖². Where the bounds hold, the control is bang-bang. Needs scikit-fem.
"""

import numpy as np
from skfem import Basis, ElementTriP1, MeshTri

import sparseimplicit as si
from sparseimplicit import pde
from sparseimplicit.pde import dot, grad

bound = 15.0


def build(n):  # the state as a function of u, the loss, and the inner product
    line = np.linspace(0, 1, n + 1)
    V = Basis(MeshTri.init_tensor(line, line), ElementTriP1(), intorder=4)
    equation = pde.Equation(
        lambda y, v, u: dot(grad(y), grad(v)) + 100 * y**3 * v - u * v,
        state=V, control=V, fixed=V.get_dofs(), structure=si.Structure.POSITIVE_DEFINITE,
    )  # fmt: skip
    x, y = V.doflocs
    mass, lumped = pde.mass(V), pde.mass(V, lumped=True)
    target = np.sin(2 * np.pi * x) * np.sin(2 * np.pi * y)
    # With the lumped mass the conditions of first order hold at each node by itself.
    loss = pde.Tracking(equation, target, mass) + 1e-4 * pde.Quadratic(equation, lumped)
    return si.ImplicitFunction(equation), loss, lumped


def solve(n):
    implicit, loss, lumped = build(n)
    return si.minimize(
        loss, implicit, np.zeros(lumped.shape[0]), y0=np.zeros(implicit.problem.n_y),
        method="newton-cg", bounds=(-bound, bound), inner=lumped.diagonal(),
        gradient_rtol=1e-9, stop_rtol=1e-7,
    )  # fmt: skip


if __name__ == "__main__":
    for n in (16, 32):
        result = solve(n)
        held = np.mean(np.abs(result.x) == bound)
        print(f"{n}²: J = {result.value:.6f}, {100 * held:.0f} % of the nodes at a bound, "
              f"{len(result.history)} states")  # fmt: skip
