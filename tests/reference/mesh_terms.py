"""Terms that no image has: elements, bars, samples, upwind flow; and each by sparse matrices."""

import numpy as np
from scipy import sparse
from scipy.spatial import Delaunay

import sparseimplicit as si

from . import case
from .case import Case, Part


def select(index, n):
    """Return the sparse matrix that takes a vector of n numbers to those of an index array."""
    index = np.ravel(index)
    return sparse.csr_array((np.ones(index.size), (np.arange(index.size), index)), (index.size, n))


def mesh(count, seed=0, ordered=False):
    """Return points (n, 2), triangles (E, 3), areas (E,), gradients (E, 3, 2) and the boundary.

    Nodes are numbered at random, or ``ordered`` by strips, and triangles by their smallest node.
    """
    rng = np.random.default_rng(seed)
    side = np.linspace(0.0, 1.0, max(3, int(np.sqrt(count) / 2)))
    edges = [np.stack([side, side * 0 + z], axis=1) for z in (0.0, 1.0)]
    border = np.unique(np.concatenate(edges + [e[:, ::-1] for e in edges]), axis=0)
    points = np.concatenate([border, rng.uniform(0.02, 0.98, (count - len(border), 2))])
    if ordered:
        strip = np.floor(points[:, 1] * np.sqrt(count / 2))
        points = points[np.lexsort((points[:, 0], strip))]
    triangles = Delaunay(points).simplices
    if ordered:
        triangles = triangles[np.argsort(triangles.min(axis=1), kind="stable")]
    a, b, c = points[triangles].swapaxes(0, 1)
    area = 0.5 * ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
    opposite = np.stack([c - b, a - c, b - a], axis=1)
    turned = np.stack([-opposite[..., 1], opposite[..., 0]], axis=-1)
    gradients = turned / (2 * area)[:, None, None]
    boundary = np.flatnonzero(np.any((points == 0.0) | (points == 1.0), axis=1))
    return points, triangles, np.abs(area), gradients, boundary


def diffusion(count=60, ordered=False):
    """−∇·((1 + u²) ∇u) = exp(m): P1 elements, one point an element, u = 0 on the boundary."""
    _, triangles, area, gradients, boundary = mesh(count, ordered=ordered)
    geometry = np.concatenate([area[:, None], gradients.reshape(-1, 6)], axis=1)
    rng = np.random.default_rng(1)
    m, u = rng.uniform(-1.0, 1.0, count), rng.uniform(-1.0, 1.0, count)

    def element(u, m, c):
        g = c[1:].reshape(3, 2)
        mean = (u[0] + u[1] + u[2]) / 3
        source = np.exp((m[0] + m[1] + m[2]) / 3) / 3
        return c[0] * ((1 + mean**2) * (g @ (g.T @ u)) - source)

    def make():
        return si.Residual(element, rows=triangles, y=triangles, x=triangles, c=geometry,
                           fixed=boundary, n_y=count, n_x=count)  # fmt: skip

    corner = [select(triangles[:, k], count) for k in range(3)]
    dx, dy = (
        sum(sparse.diags_array(gradients[:, k, axis]) @ corner[k] for k in range(3))
        for axis in range(2)
    )
    mean = sum(corner) / 3
    inside = np.ones(count)
    inside[boundary] = 0.0
    free, on_boundary = sparse.diags_array(inside), sparse.diags_array(1.0 - inside)

    def first(x, y):
        a = area * (1 + (mean @ y) ** 2)
        flux = dx.T @ (a * (dx @ y)) + dy.T @ (a * (dy @ y))
        return free @ (flux - mean.T @ (area * np.exp(mean @ x))) + on_boundary @ y

    def second(x, y):
        a, slope = area * (1 + (mean @ y) ** 2), area * 2 * (mean @ y)
        total = on_boundary
        for d in (dx, dy):
            inner = sparse.diags_array(a) @ d + sparse.diags_array(slope * (d @ y)) @ mean
            total = total + free @ d.T @ inner
        return total

    def cross(x, y):
        return -free @ mean.T @ sparse.diags_array(area * np.exp(mean @ x)) @ mean

    return Case(make=make, x=m, y=u, objective=None, first=first, second=second, cross=cross)


def truss(count=25):
    """Hencky bars ½ exp(x_e) L log(l/L)² on a mesh, loads, and springs to the ground."""
    points, triangles, *_ = mesh(count, seed=2)
    ends = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    bars = np.unique(np.sort(ends, axis=1), axis=0)
    span = points[bars[:, 1]] - points[bars[:, 0]]
    rest = np.linalg.norm(span, axis=1)
    rng = np.random.default_rng(3)
    x, y = rng.uniform(-1.0, 1.0, len(bars)), 0.05 * rng.standard_normal(2 * count)
    load = rng.standard_normal(2 * count)
    unknowns = 2 * bars[:, [0, 0, 1, 1]] + [0, 1, 0, 1]  # the state is (u₀, v₀, u₁, v₁, …)

    def bar(u, k, c):
        strain = np.log(np.linalg.norm(c[:2] + u[2:] - u[:2]) / c[2])
        return 0.5 * np.exp(k[0]) * c[2] * strain**2

    def make():
        of_bars = np.concatenate([span, rest[:, None]], axis=1)
        each, stiffness = np.arange(2 * count)[:, None], np.arange(len(bars))[:, None]
        terms = [
            si.term(bar, y=unknowns, x=stiffness, c=of_bars, name="bars"),
            si.term(lambda u, x, c: 0.1 * u[0] ** 2 - c[0] * u[0], y=each, c=load[:, None]),
        ]
        return si.Energy(terms, n_y=y.size, n_x=x.size)

    ends = [[select(unknowns[:, 2 * e + axis], y.size) for axis in range(2)] for e in range(2)]
    stretch = [b - a for a, b in zip(*ends, strict=True)]
    ground = np.sqrt(0.2) * sparse.eye_array(y.size, format="csr")
    parts = [
        Part(stretch, case.log_strain(rest), np.arange(len(bars)), offsets=span.T),
        Part([ground], case.quadratic),
        Part([sparse.diags_array(load)], lambda r: (-r[0], -np.ones_like(r), 0 * r[None])),
    ]
    return case.energy(make, parts, x, y)


def samples(count, features, kept, seed=0):
    """Return columns and values (count, kept) of a sparse design, and labels ±1.

    Rows have 2 to ``kept`` features; shorter ones are filled with their first, of value 0.
    """
    rng = np.random.default_rng(seed)
    columns = np.stack([rng.choice(features, kept, replace=False) for _ in range(count)])
    values = rng.standard_normal((count, kept))
    absent = np.arange(kept) >= rng.integers(2, kept + 1, count)[:, None]
    values[absent] = 0.0
    columns = np.where(absent, columns[:, :1], columns)
    return columns, values, rng.choice([-1.0, 1.0], count)


def logistic_regression(count=80, features=30, kept=5):
    """Σ log(1 + exp(−label a·w)) + ½ exp(x) ‖w‖²: a sample is a term of its own features."""
    columns, values, label = samples(count, features, kept)
    x, y = np.array([-0.7]), np.random.default_rng(1).standard_normal(features)

    def make():
        terms = [
            si.term(
                lambda w, x, c: np.log1p(np.exp(-c[kept] * (c[:kept] @ w))),
                y=columns,
                c=np.column_stack([values, label]),
                name="samples",
            ),
            si.term(
                lambda w, x, c: 0.5 * np.exp(x[0]) * w[0] ** 2,
                y=np.arange(features)[:, None],
                x=si.shared(1),
                name="ridge",
            ),
        ]
        return si.Energy(terms, n_y=features, n_x=1)

    rows = np.repeat(np.arange(count), kept)
    design = sparse.csr_array((values.ravel(), (rows, columns.ravel())), shape=(count, features))
    parts = [
        Part([sparse.diags_array(label) @ design], case.logistic),
        Part([sparse.eye_array(features, format="csr")], case.quadratic, 0),
    ]
    return case.energy(make, parts, x, y)


def convection(shape=(7, 9)):
    """Upwind Burgers with a side wind: −exp(x₀) Δy + (x₁ + y) y_x + x₂ y_y = f, y = 0 around."""
    h, w = shape
    number = np.arange(h * w).reshape(shape)
    border = np.setdiff1d(number, number[1:-1, 1:-1])
    rng = np.random.default_rng(4)
    x, y, f = np.array([-0.5, 0.1, 0.7]), rng.standard_normal(h * w), rng.standard_normal(h * w)

    def cell(y, x, c):
        here, north, south, west, east = y
        speed = x[1] + here
        upwind = np.maximum(speed, 0) * (here - west) + np.minimum(speed, 0) * (east - here)
        spread = np.exp(x[0]) * (4 * here - north - south - west - east)
        return [spread + upwind + 0.5 * x[2] * (south - north) - c[0]]

    def make():
        cross = si.stencil(shape, [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)])
        return si.Residual(cell, rows=number.reshape(-1, 1), y=cross, x=si.shared(3),
                           c=f[:, None], fixed=border, n_y=y.size, n_x=3)  # fmt: skip

    rows, columns = np.divmod(number.ravel(), w)
    north, south = (select(np.clip(rows + k, 0, h - 1) * w + columns, h * w) for k in (-1, 1))
    west, east = (select(rows * w + np.clip(columns + k, 0, w - 1), h * w) for k in (-1, 1))
    unit = sparse.eye_array(h * w, format="csr")
    spread = 4 * unit - north - south - west - east
    inside = np.ones(h * w)
    inside[border] = 0.0
    free, around = sparse.diags_array(inside), sparse.diags_array(1.0 - inside)

    def signs(x, y):
        speed = x[1] + y
        right = (speed.real > 0).astype(float)
        return speed, right, 1.0 - right

    def first(x, y):
        speed, right, left = signs(x, y)
        upwind = speed * (right * (y - west @ y) + left * (east @ y - y))
        side = 0.5 * x[2] * (south @ y - north @ y)
        return free @ (np.exp(x[0]) * (spread @ y) + upwind + side - f) + around @ y

    def second(x, y):
        speed, right, left = signs(x, y)
        slope = sparse.diags_array(right * (y - west @ y) + left * (east @ y - y))
        upwind = sparse.diags_array(speed * right) @ (unit - west) + slope
        upwind = upwind + sparse.diags_array(speed * left) @ (east - unit)
        side = 0.5 * x[2] * (south - north)
        return free @ (np.exp(x[0]) * spread + upwind + side) + around

    def cross(x, y):
        _, right, left = signs(x, y)
        upwind = right * (y - west @ y) + left * (east @ y - y)
        side = 0.5 * (south @ y - north @ y)
        columns = np.stack([np.exp(x[0]) * (spread @ y), upwind, side], axis=1)
        return free @ sparse.csr_array(columns)

    return Case(make=make, x=x, y=y, objective=None, first=first, second=second, cross=cross)
