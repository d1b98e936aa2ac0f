"""Poisson control: the source f that steers a membrane to a shape d, the mother problem.

−Δu = f on the unit square, u = 0 on its border; J = ½ ‖u − d‖² + a/2 ‖f‖². Newton's method in the
inner product of L² needs one step, and as many steps of CG on every mesh. Needs scikit-fem.
"""

import numpy as np
from skfem import Basis, ElementTriP0, ElementTriP1, MeshTri

import sparseimplicit as si
from sparseimplicit import pde
from sparseimplicit.pde import dot, grad

a = 1e-6


def build(n):  # the state as a function of f, the loss, the inner product, and the exact f
    line = np.linspace(0, 1, n + 1)
    V = Basis(MeshTri.init_tensor(line, line), ElementTriP1(), intorder=4)
    F = V.with_element(ElementTriP0())
    poisson = pde.Equation(
        lambda u, v, f: dot(grad(u), grad(v)) - f * v,
        state=V, control=F, fixed=V.get_dofs(), structure=si.Structure.POSITIVE_DEFINITE,
    )  # fmt: skip

    def density(u, f, w):
        d = np.sin(np.pi * w.x[0]) * np.sin(np.pi * w.x[1]) / (2 * np.pi**2)
        return 0.5 * (u - d) ** 2 + 0.5 * a * f**2

    loss = pde.Functional(poisson, density)
    x, y = V.mesh.p[:, V.mesh.t].mean(axis=1)
    best = np.sin(np.pi * x) * np.sin(np.pi * y) / (1 + 4 * a * np.pi**4)
    return si.ImplicitFunction(poisson), loss, pde.mass(F), best


def solve(n):
    implicit, loss, mass, best = build(n)
    result = si.minimize(
        loss, implicit, np.zeros(best.size), y0=np.zeros(implicit.problem.n_y),
        method="newton-cg", inner=mass, gradient_rtol=1e-10, stop_rtol=1e-8,
    )  # fmt: skip
    miss = result.x - best
    return result, np.sqrt(miss @ (mass @ miss))


if __name__ == "__main__":
    for n in (16, 32, 64):
        result, miss = solve(n)
        print(f"{n}²: J = {result.value:.4e} (1.2495e-07), ‖f − f*‖ = {miss:.2e}, "
              f"{len(result.history)} states")  # fmt: skip
