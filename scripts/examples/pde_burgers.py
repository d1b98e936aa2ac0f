"""A nonsymmetric, nonlinear evolution: which initial velocity spends least energy.

u_t + 0.4 u u_x = 1e-4 u_xx on (0, 1), u = 0 at the ends, quadratic elements, implicit Euler;
the loss is Δt Σ ‖u_k‖², the control u_0. Needs scikit-fem.
"""

import numpy as np
from scipy import sparse
from skfem import Basis, BilinearForm, ElementLineP2, LinearForm, MeshLine
from skfem.helpers import grad

from sparseimplicit import pde

basis = Basis(MeshLine(np.linspace(0, 1, 31)), ElementLineP2(), intorder=6)
s = basis.doflocs[0]
ends = sparse.diags_array(np.isin(s, (0.0, 1.0)).astype(float))
inside = sparse.eye_array(s.size) - ends
dt, steps, at = 0.05, 7, basis.interpolate


@BilinearForm
def linearized(u, v, w):
    return 0.4 * (u * w.y.grad[0] + w.y * grad(u)[0]) * v + 1e-4 * grad(u)[0] * grad(v)[0]


@LinearForm
def flow(v, w):
    return 0.4 * w.y * w.y.grad[0] * v + 1e-4 * w.y.grad[0] * grad(v)[0]


@BilinearForm
def twice(u, v, w):  # the second derivative of the flow, with an adjoint
    return 0.4 * w.a * (u * grad(v)[0] + v * grad(u)[0])


M = BilinearForm(lambda u, v, w: u * v).assemble(basis)
burgers = pde.Evolution(
    mass=inside @ M,  # the rows of the ends hold u = 0, at every time but the first
    residual=lambda t, x, y: inside @ flow.assemble(basis, y=at(y)) + ends @ y,
    state_jacobian=lambda t, x, y: inside @ linearized.assemble(basis, y=at(y)) + ends,
    parameter_jacobian=lambda t, x, y: sparse.csr_array((y.size, x.size)),
    second_order=lambda t, x, y, adjoint, x_dot, y_dot: (
        np.zeros_like(x),
        twice.assemble(basis, a=at(inside @ adjoint)) @ y_dot,
    ),
)
x = np.interp(s, basis.mesh.p[0], np.sin(2 * np.pi * basis.mesh.p[0]))
initial = pde.Dependent.affine(sparse.eye_array(s.size))  # y_0 is x
stepping = pde.TimeStepping(burgers, dt * np.arange(steps + 1), initial, max_factors=steps)
trajectory = stepping.solve(x, rtol=1e-13)
energy = pde.TimeTracking(2 * dt * np.minimum(np.arange(steps + 1), 1), M)
h = trajectory.gradient(energy, rtol=1e-13)
hessian = trajectory.hessian(energy, rtol=1e-13)

if __name__ == "__main__":
    direction = np.sin(3 * np.pi * s)
    print(f"energy {h.value:.14f}, |gradient| {np.linalg.norm(h.gradient):.14f}")
    print(f"curvature along sin 3πx: {direction @ hessian.apply(direction):.14f}")
    print(hessian.report)
