"""Energies of images, each as local terms and by sparse matrices: TV and its kin, TGV, filters."""

import numpy as np
from scipy import sparse

import sparseimplicit as si

from . import case
from .case import Part
from .tv import differences

FORWARD = [(0, 0), (0, 1), (1, 0)]  # a pixel, its right and its lower neighbour


def image(shape, seed=0):
    """Return a noisy step with values about 1."""
    rng = np.random.default_rng(seed)
    step = np.add.outer(np.arange(shape[0]), np.arange(shape[1])) > sum(shape) / 2
    return step + 0.4 * rng.standard_normal(shape)


def data_term(f):
    return si.term(
        lambda y, x, c: 0.5 * (y[0] - c[0]) ** 2,
        y=np.arange(f.size)[:, None],
        c=f.reshape(-1, 1),
        name="data",
    )


def data_part(f, fields=1):
    select = sparse.eye_array(f.size, fields * f.size, format="csr")
    return Part([select], case.quadratic, offsets=-f.reshape(1, -1))


def weights(shape, weight_map, seed=1):
    """Return x, and where in it the weight of a pixel stands."""
    n = int(np.prod(shape))
    x = np.random.default_rng(seed).uniform(-1.0, 1.0, n if weight_map else 1)
    return x, np.arange(n) if weight_map else 0


def _denoising(shape, weight_map, phi, potential):
    f, y = image(shape), image(shape, seed=2).ravel()
    x, index = weights(shape, weight_map)

    def make():
        weight = index[:, None] if weight_map else si.shared(1)
        smoothness = si.term(phi, y=si.stencil(shape, FORWARD), x=weight, name="smoothness")
        return si.Energy([data_term(f), smoothness], n_y=f.size, n_x=x.size)

    return case.energy(make, [data_part(f), Part(differences(*shape), potential, index)], x, y)


def total_variation(shape=(9, 11), weight_map=False, epsilon=0.3):
    """½‖y − f‖² + Σ exp(x) √(|∇y|² + ε²)."""

    def phi(y, x, c):
        return np.exp(x[0]) * np.sqrt((y[1] - y[0]) ** 2 + (y[2] - y[0]) ** 2 + epsilon**2)

    return _denoising(shape, weight_map, phi, case.charbonnier(epsilon))


def anisotropic(shape=(9, 11), weight_map=False, epsilon=0.3):
    """½‖y − f‖² + Σ exp(x) (√(y_x² + ε²) + √(y_y² + ε²)): a vector of differences."""

    def phi(y, x, c):
        return np.exp(x[0]) * np.sum(np.sqrt((y[1:] - y[0]) ** 2 + epsilon**2))

    return _denoising(shape, weight_map, phi, case.charbonnier_each(epsilon))


def huber(shape=(9, 11), weight_map=False, delta=0.6):
    """½‖y − f‖² + Σ exp(x) h(|∇y|); in the last corner the root that is not chosen is one of 0."""

    def phi(y, x, c):
        square = (y[1] - y[0]) ** 2 + (y[2] - y[0]) ** 2
        near, far = square / (2 * delta), np.sqrt(square) - delta / 2
        return np.exp(x[0]) * si.where(square < delta**2, near, far)

    return _denoising(shape, weight_map, phi, case.huber(delta))


def second_order(shape=(8, 9), epsilon=0.3):
    """½‖u − f‖² + exp(x₀) Σ |∇u − v|_ε + exp(x₁) Σ |Ev|_ε + 0.05 ‖v‖²; the state is (u, v₁, v₂)."""
    f, rng = image(shape), np.random.default_rng(3)
    x, y = np.array([0.2, -0.4]), rng.standard_normal(3 * f.size)
    here = [(0, 0)]

    def slope(y, x, c):
        right, below, v = y[1] - y[0], y[2] - y[0], y[3:]
        return np.exp(x[0]) * np.sqrt((right - v[0]) ** 2 + (below - v[1]) ** 2 + epsilon**2)

    def bend(y, x, c):
        v, w = y[:3], y[3:]
        shear = 0.5 * (v[2] - v[0] + w[1] - w[0])
        square = (v[1] - v[0]) ** 2 + (w[2] - w[0]) ** 2 + 2 * shear**2
        return np.exp(x[0]) * np.sqrt(square + epsilon**2)

    def make():
        u_and_v = (
            si.stencil(shape, FORWARD) + si.stencil(shape, here, 1) + si.stencil(shape, here, 2)
        )
        v_alone = si.stencil(shape, FORWARD, 1) + si.stencil(shape, FORWARD, 2)
        v_here = np.arange(f.size, 3 * f.size)[:, None]
        terms = [
            data_term(f),
            si.term(slope, y=u_and_v, x=si.shared(1), name="slope"),
            si.term(bend, y=v_alone, x=si.shared(1, first=1), name="bend"),
            si.term(lambda y, x, c: 0.05 * y[0] ** 2, y=v_here, name="small"),
        ]
        return si.Energy(terms, n_y=y.size, n_x=2)

    dx, dy = differences(*shape)
    u, v, w = (sparse.kron(unit, sparse.eye_array(f.size)) for unit in np.eye(3)[:, None])
    shear = np.sqrt(0.5) * (dy @ v + dx @ w)
    parts = [
        data_part(f, fields=3),
        Part([dx @ u - v, dy @ u - w], case.charbonnier(epsilon), 0),
        Part([dx @ v, dy @ w, shear], case.charbonnier(epsilon), 1),
        Part([np.sqrt(0.1) * v, np.sqrt(0.1) * w], case.quadratic),
    ]
    return case.energy(make, parts, x, y)


def filters(count, width, seed=4):
    """Return (count, width²) filters of zero mean and norm 1."""
    f = np.random.default_rng(seed).standard_normal((count, width**2))
    f -= f.mean(axis=1, keepdims=True)
    return f / np.linalg.norm(f, axis=1, keepdims=True)


def taps(shape, width):
    """Return S_j, one sparse matrix a tap: the pixel that tap j sees, for every patch that fits."""
    number = np.arange(int(np.prod(shape))).reshape(shape)
    windows = np.lib.stride_tricks.sliding_window_view(number, (width, width))
    return [
        sparse.csr_array(
            (np.ones(see.size), (np.arange(see.size), see)), shape=(see.size, number.size)
        )
        for see in windows.reshape(-1, width**2).T
    ]


def experts(shape=(10, 12), count=8, width=5):
    """½‖y − f‖² + Σ_k exp(x_k) Σ log(1 + ½ (F_k y)²), with filters that are fixed."""
    f, bank = image(shape), filters(count, width)
    x = np.random.default_rng(5).uniform(-1.0, 1.0, count)

    def make():
        return si.Energy(
            [data_term(f), expert_term(shape, width, count, bank)], n_y=f.size, n_x=x.size
        )

    parts = [data_part(f), *expert_parts(taps(shape, width), bank)]
    return case.energy(make, parts, x, image(shape, seed=6).ravel())


def expert_term(shape, width, count, lift):
    return si.term(
        lambda r, x, c: sum(np.exp(x[k]) * np.log1p(0.5 * r[k] ** 2) for k in range(count)),
        y=si.patches(shape, (width, width)),
        x=si.shared(count),
        lift=lift,
        name="experts",
    )


def expert_parts(see, bank):
    maps = [sum(c * s for c, s in zip(f, see, strict=True)) for f in bank]
    return [Part([m], case.student, k) for k, m in enumerate(maps)]


def learned_experts(shape=(10, 12), count=8, width=5):
    """The same, and the filters are parameters too: x = (weights, filters)."""
    f, bank = image(shape), filters(count, width)
    x = np.append(np.random.default_rng(5).uniform(-1.0, 1.0, count), bank)
    see = taps(shape, width)

    def make():
        lift = si.parameters(count, (count, width**2))
        return si.Energy(
            [data_term(f), expert_term(shape, width, count, lift)], n_y=f.size, n_x=x.size
        )

    def parts(x):
        return [data_part(f), *expert_parts(see, x[count:].reshape(count, -1))]

    of_weights = case.energy(make, parts, x, image(shape, seed=6).ravel())

    def cross(x, y):
        """Column (k, j): exp(x_k) (S_jᵀ φ'(r) + K_kᵀ (φ''(r) S_j y))."""
        columns = [of_weights.cross(x, y)[:, :count]]
        for part in parts(x)[1:]:
            weight, _, (slope,), ((curvature,),) = part(x, y)
            columns += [
                sparse.csr_array(
                    s.T @ (weight * slope) + part.maps[0].T @ (weight * curvature * (s @ y))
                ).T.reshape(-1, 1)
                for s in see
            ]
        return sparse.csr_array(sparse.hstack(columns))

    return case.Case(make=make, x=x, y=of_weights.y, objective=of_weights.objective,
                     first=of_weights.first, second=of_weights.second, cross=cross)  # fmt: skip
