"""Coefficient inversion by dense tables of P2 elements: problem K of the bank, in plain numpy.

−∇·(eᵐ ∇u) = 1, u = 0 on the border of the unit square; u P2, m P1; J = ½∫(u − u_d)² + ½ mᵀ R m
with R = 1e-8 K + 1e-10 M, u_d the state of log(2 + 7 [r > 0.2]).
"""

import numpy as np
from scipy import sparse

import sparseimplicit as si


def triangles(n):
    """Nodes (N, 2) and triangles (E, 3) of the unit square, with diagonals to the right."""
    i, j = np.meshgrid(np.arange(n + 1), np.arange(n + 1))
    first = (np.arange(n) + (n + 1) * np.arange(n)[:, None]).ravel()
    right, left = [0, 1, n + 2], [0, n + 2, n + 1]
    elements = np.concatenate([first[:, None] + right, first[:, None] + left])
    return np.column_stack([i.ravel(), j.ravel()]) / n, elements


def gradients(p, t):
    """Gradients of the barycentric coordinates (E, 3, 2), and areas (E,)."""
    d1, d2 = p[t[:, 1]] - p[t[:, 0]], p[t[:, 2]] - p[t[:, 0]]
    twice = d1[:, 0] * d2[:, 1] - d1[:, 1] * d2[:, 0]
    g1 = np.column_stack([d2[:, 1], -d2[:, 0]]) / twice[:, None]
    g2 = np.column_stack([-d1[:, 1], d1[:, 0]]) / twice[:, None]
    return np.stack([-g1 - g2, g1, g2], axis=1), twice / 2


def quadrature(points=5):
    """Barycentric coordinates (Q, 3) and weights (Q,), exact to degree 2 points − 2."""
    g, w = np.polynomial.legendre.leggauss(points)
    a, b = np.meshgrid((g + 1) / 2, (g + 1) / 2, indexing="ij")
    weights = np.outer(w, w) * (1 - a) / 2
    return np.column_stack([(1 - a - b * (1 - a)).ravel(), a.ravel(), (b * (1 - a)).ravel()]), (
        weights.ravel()
    )


class Inversion:
    """The problem with its second derivatives by hand, and its loss."""

    def __init__(self, n=32):
        p, t = triangles(n)
        edges = np.sort(np.concatenate([t[:, [1, 2]], t[:, [0, 2]], t[:, [0, 1]]]), axis=1)
        ends, number = np.unique(edges, axis=0, return_inverse=True)
        self.t, self.t2 = t, np.hstack([t, len(p) + number.reshape(3, -1).T])
        every = np.concatenate([p, p[ends].mean(axis=1)])
        inner = ~((every == 0) | (every == 1)).any(axis=1)
        self.n_x, self.n_all, self.n_y = len(p), len(every), int(inner.sum())
        self.inner = sparse.eye_array(self.n_all, format="csr")[inner]
        g, areas = gradients(p, t)
        self.psi, weights = quadrature()
        b = self.psi
        phi = np.column_stack([b * (2 * b - 1), 4 * b[:, [1, 0, 0]] * b[:, [2, 2, 1]]])
        slopes = np.zeros((len(b), 6, 3))
        for k, (i, j) in enumerate([(1, 2), (0, 2), (0, 1)]):
            slopes[:, k, k] = 4 * b[:, k] - 1
            slopes[:, 3 + k, i], slopes[:, 3 + k, j] = 4 * b[:, j], 4 * b[:, i]
        self.slopes = np.einsum("qik,ekd->qeid", slopes, g)
        self.weights = weights[:, None] * areas
        self.load = self.scattered(np.einsum("qe,qi->ei", self.weights, phi), self.t2)
        mass = np.einsum("qe,qi,qj->eij", self.weights, phi, phi, optimize=True)
        self.mass = self.inner @ self.matrix(mass, self.t2, self.t2) @ self.inner.T
        mass = np.einsum("qe,qi,qj->eij", self.weights, b, b, optimize=True)
        stiff = np.einsum("e,eid,ejd->eij", areas, g, g, optimize=True)
        self.prior = self.matrix(1e-8 * stiff + 1e-10 * mass, t, t)
        self.problem = si.RootProblem(
            residual=self.residual, state_jacobian=self.state_jacobian,
            parameter_jacobian=self.parameter_jacobian, second_order=self.second_order,
            structure=si.Structure.POSITIVE_DEFINITE,
        )  # fmt: skip
        self.loss = si.TwiceDifferentiable(self.first, self.second)
        self.start, self.direction = np.full(self.n_x, np.log(2)), p[:, 0] * (1 - p[:, 1])
        far = np.hypot(*(p - 0.5).T) > 0.2
        self.implicit = si.ImplicitFunction(self.problem)
        truth = np.log(2 + 7.0 * far)
        self.measured = self.implicit.solve(truth, np.zeros(self.n_y), rtol=1e-12).y

    def matrix(self, local, rows, columns):
        shape = tuple(self.n_x if t is self.t else self.n_all for t in (rows, columns))
        places = np.broadcast_arrays(rows[:, :, None], columns[:, None, :])
        return sparse.csr_array((local.ravel(), [q.ravel() for q in places]), shape=shape)

    def scattered(self, local, t):
        return np.bincount(t.ravel(), local.ravel(), self.n_x if t is self.t else self.n_all)

    def at_points(self, m):
        return m[self.t] @ self.psi.T

    def gradient(self, u):
        return np.einsum("qeid,ei->qed", self.slopes, (self.inner.T @ u)[self.t2])

    def weighted(self, m):
        return self.weights * np.exp(self.at_points(m)).T

    def residual(self, m, u):
        flux = self.weighted(m)[:, :, None] * self.gradient(u)
        local = np.einsum("qeid,qed->ei", self.slopes, flux)
        return self.inner @ (self.scattered(local, self.t2) - self.load)

    def state_jacobian(self, m, u):
        flux = self.weighted(m)[:, :, None, None] * self.slopes
        local = np.einsum("qeid,qejd->eij", flux, self.slopes, optimize=True)
        return self.inner @ self.matrix(local, self.t2, self.t2) @ self.inner.T

    def parameter_jacobian(self, m, u):
        flux = self.weighted(m)[:, :, None] * self.gradient(u)
        each = np.einsum("qeid,qed->qei", self.slopes, flux)
        local = np.einsum("qei,qa->eia", each, self.psi, optimize=True)
        return self.inner @ self.matrix(local, self.t2, self.t)

    def second_order(self, m, u, adjoint, m_dot, u_dot):
        weight, moved = self.weighted(m), self.at_points(m_dot).T
        of_adjoint = self.gradient(adjoint)
        dot = moved[:, :, None] * self.gradient(u) + self.gradient(u_dot)
        by_m = np.einsum("qe,qed,qed,qa->ea", weight, of_adjoint, dot, self.psi, optimize=True)
        flux = (weight * moved)[:, :, None] * of_adjoint
        by_u = np.einsum("qeid,qed->ei", self.slopes, flux)
        return self.scattered(by_m, self.t), self.inner @ self.scattered(by_u, self.t2)

    def first(self, m, u):
        miss, rough = self.mass @ (u - self.measured), self.prior @ m
        return 0.5 * (u - self.measured) @ miss + 0.5 * m @ rough, rough, miss

    def second(self, m, u, m_dot, u_dot):
        return self.prior @ m_dot, self.mass @ u_dot
