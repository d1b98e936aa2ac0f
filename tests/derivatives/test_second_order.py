"""Hessians through states of local terms alone: published figures, slopes, symmetry."""

import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si

# Barycentric points and weights of a rule on the triangle that is exact to degree 4 (Dunavant).
A, B = 0.445948490915965, 0.091576213509771
POINTS = np.array([
    [1 - 2 * A, A, A], [A, 1 - 2 * A, A], [A, A, 1 - 2 * A],
    [1 - 2 * B, B, B], [B, 1 - 2 * B, B], [B, B, 1 - 2 * B],
])  # fmt: skip
WEIGHTS = np.repeat([0.223381589678011, 0.109951743655322], 3)


def triangles(n):
    """Nodes (N, 2), triangles (E, 3) with diagonals to the right, and a mask of the border."""
    i, j = np.meshgrid(np.arange(n + 1), np.arange(n + 1))
    p = np.column_stack([i.ravel(), j.ravel()]) / n
    first = (np.arange(n) + (n + 1) * np.arange(n)[:, None]).ravel()
    right, left = [0, 1, n + 2], [0, n + 2, n + 1]
    t = np.concatenate([first[:, None] + right, first[:, None] + left])
    return p, t, ((p == 0) | (p == 1)).any(axis=1)


class Semilinear:
    """−Δy + 100 y³ = u, y = 0 on the border: P1 for both, and the tracking loss.

    Problem F: Hessian and gradient of dolfin-adjoint 2025.0.0 at u = 50 sin(2πx) y.
    """

    alpha = 1e-6

    def __init__(self, n):
        p, t, border = triangles(n)
        d1, d2 = p[t[:, 1]] - p[t[:, 0]], p[t[:, 2]] - p[t[:, 0]]
        det = d1[:, 0] * d2[:, 1] - d1[:, 1] * d2[:, 0]
        g1 = np.column_stack([d2[:, 1], -d2[:, 0]]) / det[:, None]
        g2 = np.column_stack([-d1[:, 1], d1[:, 0]]) / det[:, None]
        g = np.stack([-g1 - g2, g1, g2], axis=1)
        self.problem = si.Residual(
            local, rows=t, y=t, x=t, c=np.column_stack([g.reshape(-1, 6), det / 2]),
            fixed=border, n_y=len(p), n_x=len(p),
        )  # fmt: skip
        entries = (det[:, None, None] / 24 * (np.ones((3, 3)) + np.eye(3))).ravel()
        rows, columns = np.repeat(t, 3, axis=1).ravel(), np.tile(t, 3).ravel()
        self.mass = sparse.csr_array((entries, (rows, columns)), shape=(len(p), len(p)))
        x, y = p.T
        self.target = np.sin(2 * np.pi * x) * np.sin(2 * np.pi * y)
        self.u, self.h = 50 * np.sin(2 * np.pi * x) * y, x * (1 - y)

    def loss(self, u, y):
        miss, of_u = self.mass @ (y - self.target), self.mass @ u
        value = 0.5 * (y - self.target) @ miss + 0.5 * self.alpha * u @ of_u
        return value, self.alpha * of_u, miss

    def second(self, u, y, u_dot, y_dot):
        return self.alpha * (self.mass @ u_dot), self.mass @ y_dot


def local(y, u, c):
    """Return the residual of a triangle: ∫ ∇y·∇φ + 100 y³ φ − u φ."""
    g, area = c[:6].reshape(3, 2), c[6]
    flux = y @ g
    out = [area * (g[i] @ flux) for i in range(3)]
    for point, weight in zip(POINTS, WEIGHTS, strict=True):
        at = y @ point
        density = area * weight * (100 * at**3 - u @ point)
        out = [o + density * b for o, b in zip(out, point, strict=True)]
    return out


def test_the_figures_of_dolfin_adjoint():
    f = Semilinear(64)
    loss = si.TwiceDifferentiable(f.loss, f.second)
    solved = si.ImplicitFunction(f.problem).solve(f.u, np.zeros(f.u.size), rtol=1e-12)
    gradient = si.hypergradient(loss, solved, rtol=1e-12)
    assert gradient.value == pytest.approx(0.19610226970376454, rel=1e-11)
    assert np.linalg.norm(gradient.gradient) == pytest.approx(8.161712408237e-5, rel=1e-10)
    assert gradient.gradient @ f.h == pytest.approx(4.16993786377832e-5, rel=1e-10)
    hessian = si.reduced_hessian(loss, solved, adjoint=gradient, rtol=1e-12)
    product = hessian.apply(f.h)
    assert product @ f.h == pytest.approx(3.440208349917e-5, rel=1e-9)
    assert np.linalg.norm(product) == pytest.approx(2.2170843378366e-6, rel=1e-9)
    assert si.verify.hessian_symmetry(hessian) < 1e-12


def test_slope_of_a_residual():
    f = Semilinear(8)
    loss = si.TwiceDifferentiable(f.loss, f.second)
    implicit = si.ImplicitFunction(f.problem)
    table = si.verify.hessian_taylor(
        implicit, loss, f.u, y0=np.zeros(f.u.size), direction=10 * f.u
    )  # fmt: skip
    assert 1.9 < table.slope < 2.1, str(table)


def energy(learned):
    """Smoothed norms of filters on a small image, and a data term."""
    rng = np.random.default_rng(4)
    shape, n = (6, 7), 42
    y = si.patches(shape, (2, 2), border="symmetric")
    filters = rng.standard_normal((2, 4))
    count = 2 + filters.size if learned else 2
    lift = si.parameters(2, (2, 4)) if learned else filters
    norms = lambda r, x, c: sum(np.exp(x[k]) * np.sqrt(r[k] ** 2 + 0.1) for k in range(2))
    data = si.term(
        lambda y, x, c: 0.5 * (y[0] - c[0]) ** 2, y=np.arange(n)[:, None],
        c=rng.standard_normal((n, 1)),
    )  # fmt: skip
    problem = si.Energy(
        [data, si.term(norms, y=y, lift=lift, x=si.shared(2))], n_y=n, n_x=count
    )  # fmt: skip
    x = np.concatenate([[-0.5, 0.2], filters.ravel()]) if learned else np.array([-0.5, 0.2])
    return problem, x, rng.standard_normal(n)


@pytest.mark.parametrize("learned", [False, True])
def test_a_minimiser_through_filters(learned):
    problem, x, target = energy(learned)
    loss = si.TwiceDifferentiable(
        lambda x, y: (0.5 * np.sum((y - target) ** 2), None, y - target),
        lambda x, y, x_dot, y_dot: (None, y_dot),
    )
    implicit = si.ImplicitFunction(problem)
    table = si.verify.hessian_taylor(implicit, loss, x, y0=target)
    assert 1.9 < table.slope < 2.1, str(table)
    h = si.reduced_hessian(loss, implicit.solve(x, target, rtol=1e-12), rtol=1e-13)
    assert si.verify.hessian_symmetry(h) < 1e-12
