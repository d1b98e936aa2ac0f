"""Heat control: steer a plate along a target by sources u(t, x), the problem mpdist2 of OPTPDE.

y_t − Δy = u on (−1, 1)² × (0, 1), y = 0 on the border; the loss is ½ ∫∫ (y − d)² + β/2 ∫∫ u². It is
quadratic in u: CG in the inner product of L² needs 7 steps on every mesh, and one factorization.
"""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg, splu
from skfem import Basis, ElementTriP1, MeshTri
from skfem.models.poisson import laplace, mass

from sparseimplicit import pde

beta, q = 0.05, 2 * np.pi**2


def build(n, steps):  # the stepping, the loss, its control's norm and u*, on n² squares
    line = np.linspace(-1, 1, n + 1)
    basis = Basis(MeshTri.init_tensor(line, line), ElementTriP1())
    free = basis.complement_dofs(basis.get_dofs())
    M, K = mass.assemble(basis), laplace.assemble(basis)
    times = np.linspace(0, 1, steps + 1)
    shape = np.prod(np.cos(np.pi * basis.doflocs / 2), axis=0)
    early, late = 1 - q / 4 - 4 / ((4 + q) * beta), (q / 4 + 4 / (q * beta)) * np.e
    sources = M[free]  # of all nodes, into the equations of the free ones
    first = {t: k * shape.size for k, t in enumerate((times[1:] + times[:-1]) / 2)}
    heat = pde.Evolution(
        mass=M[free][:, free],
        residual=lambda t, x, y: K[free][:, free] @ y - sources @ x[first[t] :][: shape.size],
        state_jacobian=lambda t, x, y: K[free][:, free],
        parameter_jacobian=lambda t, x, y: pde.Columns(-sources, first[t]),
        second_order=pde.no_curvature, linear=True,
    )  # fmt: skip
    start = (4 / (q * beta) * np.e - 4 / ((4 + q) * beta)) * shape[free]
    stepping = pde.TimeStepping(heat, times, start, scheme="midpoint")
    weights = np.convolve(np.full(steps, 1 / steps), (0.5, 0.5))  # the trapezoidal rule
    norm = sparse.kron(sparse.eye_array(steps) / steps, M, format="csc")  # of L² in time and space
    target = np.outer(late + early * np.exp(times), shape[free])
    loss = pde.TimeTracking(weights, M[free][:, free], target, control=beta * norm)
    return stepping, loss, norm, np.outer((np.e - np.exp(list(first))) / beta, shape).ravel()


def control(stepping, loss, norm):  # the best u, the loss there, the steps of CG, a report
    trajectory = stepping.solve(np.zeros(norm.shape[0]))
    hessian, iterations = trajectory.hessian(loss), []
    riesz = LinearOperator(norm.shape, matvec=splu(norm).solve, dtype=float)
    u, _ = cg(hessian.as_operator(), -trajectory.gradient(loss).gradient, rtol=1e-9, M=riesz,
              callback=iterations.append)  # fmt: skip
    return u, stepping.solve(u, start=trajectory).value(loss), len(iterations), hessian.report


if __name__ == "__main__":
    for n, steps in ((16, 10), (32, 20)):
        *problem, best = build(n, steps)
        u, value, iterations, report = control(*problem)
        miss = np.sqrt((u - best) @ (problem[-1] @ (u - best)))
        print(f"{n}² × {steps}: J = {value:.6f} (36.425798), ‖u − u*‖ = {miss:.2e}, "
              f"{iterations} steps, {report.factorizations} factorization")  # fmt: skip
