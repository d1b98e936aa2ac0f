"""Convection–diffusion: where on the border must heat flow in, to warm a room evenly?

−κ Δu + b·∇u = 0, a nonsymmetric equation; the flux g through the left and lower side is the
control, the outer temperature 0 beyond the others (Robin). The adjoint is solved with the same
factor as the state, transposed. κ can be a second control. Needs scikit-fem.
"""

import numpy as np
from skfem import Basis, ElementTriP1, MeshTri

import sparseimplicit as si
from sparseimplicit import pde
from sparseimplicit.pde import dot, grad


def build(n):  # the temperature as a function of κ and g, and the loss
    line = np.linspace(0, 1, n + 1)
    V = Basis(MeshTri.init_tensor(line, line), ElementTriP1(), intorder=3)
    heated = V.boundary(lambda x: (x[0] < 1e-9) | (x[1] < 1e-9))
    cold = V.boundary(lambda x: (x[0] > 1 - 1e-9) | (x[1] > 1 - 1e-9))

    def carried(u, v, kappa, w):
        flow = np.stack([1.0 + w.x[1], -1.0 + 2.0 * w.x[0]])
        return kappa * dot(grad(u), grad(v)) + dot(flow, grad(u)) * v

    equation = pde.Equation([
        pde.integral(carried, V, {"kappa": 1}),
        pde.integral(lambda u, v, g: -g * v, heated, {"g": heated}),
        pde.integral(lambda u, v: 2.0 * u * v, cold),
    ])  # fmt: skip
    evenly = pde.Functional(equation, pde.integral(lambda u: 0.5 * (u - 1.0) ** 2, V))
    cost = pde.Functional(equation, pde.integral(lambda u, g: 0.5e-3 * g**2, heated, {"g": heated}))
    return si.ImplicitFunction(equation), evenly + cost


def solve(n, kappa=0.1):
    implicit, loss = build(n)
    packing = implicit.problem.packing
    start = packing.pack(kappa=[kappa], g=np.zeros(packing.shapes["g"]))
    held = np.where(np.arange(packing.size) == packing.slice("kappa").start, kappa, np.inf)
    bounds = [(kappa, kappa) if h == kappa else (0.0, None) for h in held]  # κ given, g ≥ 0
    return si.minimize(
        loss, implicit, start, y0=np.zeros(implicit.problem.n_y), bounds=bounds,
        gradient_rtol=1e-10, stop_rtol=1e-5, max_iterations=200,
    ), packing  # fmt: skip


if __name__ == "__main__":
    result, packing = solve(24)
    g = packing.unpack(result.x).g
    print(f"J = {result.value:.6f}, flux up to {g.max():.3f}, {len(result.history)} states by "
          f"{result.solved.report.linear_solver}")  # fmt: skip
