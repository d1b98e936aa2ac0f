"""The mother problem of PDE control, by linear triangles on a tensor grid: assembled by hand.

−Δu = f on the unit square, u = 0 on its border; J = ½‖u − d‖² + α/2 ‖f‖², d = sin πx sin πy/(2π²).
"""

import numpy as np
from scipy import sparse

import sparseimplicit as si

ALPHA = 1e-6


def triangles(s):
    """Points and triangles of the grid s × s, each rectangle cut along one diagonal."""
    n = s.size
    points = np.stack(np.meshgrid(s, s, indexing="ij"), -1).reshape(-1, 2)
    corner = np.arange(n * n).reshape(n, n)
    a, b, c, d = (corner[:-1, :-1], corner[1:, :-1], corner[:-1, 1:], corner[1:, 1:])
    cells = np.concatenate([np.stack([a, b, d], -1), np.stack([a, d, c], -1)])
    return points, cells.reshape(-1, 3)


def assembled(points, cells):
    """Stiffness, mass, and the area of each triangle."""
    p = points[cells]
    edges = p[:, [2, 0, 1]] - p[:, [1, 2, 0]]
    area = 0.5 * abs(edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0])
    stiffness = np.einsum("eik,ejk->eij", edges, edges) / (4 * area)[:, None, None]
    mass = area[:, None, None] / 12 * (np.ones((3, 3)) + np.eye(3))
    i, j = np.repeat(cells, 3, axis=1).ravel(), np.tile(cells, 3).ravel()
    shape = (len(points), len(points))
    return (*(sparse.csr_array((m.ravel(), (i, j)), shape) for m in (stiffness, mass)), area)


def grid(n, grading=1.0):
    """n intervals of (0, 1), the finer towards the middle the smaller grading is."""
    t = np.linspace(-1, 1, n + 1)
    return 0.5 + 0.5 * np.sign(t) * abs(t) ** (1 / grading)


class Mother:
    """State u at the inner points; control f at all points (P1), or constant on triangles."""

    def __init__(self, s, *, constant=False, alpha=ALPHA, data=None):
        self.points, cells = triangles(s)
        stiffness, mass, area = assembled(self.points, cells)
        x, y = self.points.T
        inside = np.flatnonzero((x > 0) & (x < 1) & (y > 0) & (y < 1))
        K, N = stiffness[inside][:, inside], mass[inside][:, inside]
        if constant:
            load = sparse.csr_array(
                (np.repeat(area / 3, 3), (cells.ravel(), np.repeat(np.arange(len(cells)), 3))),
                (len(self.points), len(cells)),
            )
            self.B, self.M = load[inside], sparse.diags_array(area).tocsr()
            self.places = self.points[cells].mean(1)
        else:
            self.B, self.M, self.places = mass[inside], mass, self.points
        self.K, self.N, self.alpha = K, N, alpha
        wave = np.sin(np.pi * x) * np.sin(np.pi * y) / (2 * np.pi**2)
        self.d = (wave if data is None else data(x, y))[inside]
        problem = si.RootProblem(
            residual=lambda f, u: K @ u - self.B @ f,
            state_jacobian=lambda f, u: K,
            parameter_jacobian=lambda f, u: -self.B,
            structure=si.Structure.POSITIVE_DEFINITE,
            second_order=lambda f, u, adjoint, f_dot, u_dot: (0 * f, 0 * u),
        )
        self.implicit = si.ImplicitFunction(problem, linear_solver="superlu", reuse=False)
        self.start = self.places.sum(1)
        self.u0 = np.zeros(inside.size)

    def __call__(self, f, u):
        gap = u - self.d
        L_u, L_f = self.N @ gap, self.alpha * (self.M @ f)
        return 0.5 * (gap @ L_u + f @ L_f), L_f, L_u

    def second_order(self, f, u, f_dot, u_dot):
        return self.alpha * (self.M @ f_dot), self.N @ u_dot

    def dense(self):
        """H and g₀ with J = ½ fᵀHf + g₀ᵀf + ½ dᵀNd."""
        S = np.linalg.solve(self.K.toarray(), self.B.toarray())
        return S.T @ (self.N @ S) + self.alpha * self.M.toarray(), -(S.T @ (self.N @ self.d))

    def minimize(self, **options):
        options = {"y0": self.u0, "gradient_rtol": 1e-10, **options}
        return si.minimize(self, self.implicit, self.start, **options)
