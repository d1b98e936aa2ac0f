"""The matrices on which solvers are measured: named, made on demand, the same every time."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse, spatial
from skimage.transform import resize

import sparseimplicit as si
from sparseimplicit.imaging import read_image, total_variation

SPD = si.Structure.POSITIVE_DEFINITE
SYMMETRIC = si.Structure.SYMMETRIC
GENERAL = si.Structure.GENERAL
IMAGE = "datasets/pier.png"


@dataclass(frozen=True)
class Sample:
    """A matrix, what its user would declare, and the near-nullspace that he would know."""

    matrix: sparse.csr_array
    structure: si.Structure
    near_nullspace: np.ndarray | None = None


def tv_hessian(size, weight, epsilon):
    """Return the Hessian of TV denoising (size², 7 points) at the noisy image, scale 0 to 255."""
    clean = resize(read_image(IMAGE), (size, size), order=1, anti_aliasing=False)
    noisy = clean + np.random.default_rng(1).normal(0.0, 10.0, clean.shape)
    problem = total_variation(noisy, epsilon=epsilon)
    theta = np.array([np.log(weight)])
    return Sample(problem.hessian(theta, clean.ravel()), SPD)


def diffusion(shape, contrast, shift=0.0, anisotropy=1.0, seed=0):
    """Return −∇·(κ ∇) on a grid, Dirichlet borders, κ lognormal over ``contrast`` decades."""
    rng = np.random.default_rng(seed)
    kappa = 10.0 ** (contrast * rng.uniform(-0.5, 0.5, shape))
    n = kappa.size
    number = np.arange(n).reshape(shape)
    diagonal = np.full(shape, shift)
    rows, columns, values = [], [], []
    for axis in range(len(shape)):
        weight = anisotropy if axis == 0 else 1.0
        near = [slice(None)] * len(shape)
        far = [slice(None)] * len(shape)
        near[axis], far[axis] = slice(0, -1), slice(1, None)
        a, b = kappa[tuple(near)], kappa[tuple(far)]
        edge = weight * 2 * a * b / (a + b)
        diagonal[tuple(near)] += edge
        diagonal[tuple(far)] += edge
        for end in (0, -1):
            border = [slice(None)] * len(shape)
            border[axis] = end
            diagonal[tuple(border)] += 2 * weight * kappa[tuple(border)]
        rows += [number[tuple(near)].ravel(), number[tuple(far)].ravel()]
        columns += [number[tuple(far)].ravel(), number[tuple(near)].ravel()]
        values += [-edge.ravel(), -edge.ravel()]
    rows.append(number.ravel())
    columns.append(number.ravel())
    values.append(diagonal.ravel())
    parts = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_array(sparse.coo_array(parts, shape=(n, n)))


def delaunay(points, elasticity=False, seed=0):
    """Return P1 finite elements on random points of the unit square, the hull's nodes fixed."""
    rng = np.random.default_rng(seed)
    xy = rng.random((points, 2))
    triangles = spatial.Delaunay(xy).simplices
    corners = xy[triangles]
    e1, e2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area2 = e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]
    slopes = np.empty((len(triangles), 3, 2))
    slopes[:, 1] = np.stack([e2[:, 1], -e2[:, 0]], 1) / area2[:, None]
    slopes[:, 2] = np.stack([-e1[:, 1], e1[:, 0]], 1) / area2[:, None]
    slopes[:, 0] = -slopes[:, 1] - slopes[:, 2]
    area = np.abs(area2) / 2
    fixed = np.zeros(points, bool)
    fixed[spatial.ConvexHull(xy).vertices] = True
    if not elasticity:
        local = np.einsum("t,tai,tbi->tab", area, slopes, slopes)
        matrix = _scatter(triangles, local, points)
        return Sample(_without(matrix, fixed), SPD)
    # Plane strain, E = 1, ν = 0.3; unknowns interleaved (ux, uy).
    lame, shear = 0.3 / (1.3 * 0.4), 1 / 2.6
    local = np.einsum("t,tai,tbj->taibj", lame * area, slopes, slopes)
    local += np.einsum("t,taj,tbi->taibj", shear * area, slopes, slopes)
    local += np.einsum("t,tak,tbk,ij->taibj", shear * area, slopes, slopes, np.eye(2))
    dofs = (2 * triangles[:, :, None] + np.arange(2)).reshape(len(triangles), 6)
    matrix = _scatter(dofs, local.reshape(-1, 6, 6), 2 * points)
    modes = np.zeros((2 * points, 3))
    modes[0::2, 0] = modes[1::2, 1] = 1.0
    modes[0::2, 2], modes[1::2, 2] = -xy[:, 1], xy[:, 0]
    held = np.repeat(fixed, 2)
    return Sample(_without(matrix, held), SPD, modes[~held])


def _scatter(dofs, local, n):
    k = dofs.shape[1]
    rows, columns = np.repeat(dofs, k, axis=1).ravel(), np.tile(dofs, (1, k)).ravel()
    matrix = sparse.coo_array((local.ravel(), (rows, columns)), shape=(n, n)).tocsr()
    return sparse.csr_array((matrix + matrix.T) / 2)


def _without(matrix, held):
    keep = np.flatnonzero(~held)
    return sparse.csr_array(matrix[keep][:, keep])


def filters(size, count=8, width=5, seed=0):
    """Return I + Σ_k Kₖᵀ diag(w) Kₖ for random filters of zero mean: 81 points a row."""
    rng = np.random.default_rng(seed)
    n = size * size
    pixels = np.arange(n).reshape(size, size)
    inner = size - width + 1
    offsets = [(i, j) for i in range(width) for j in range(width)]
    columns = np.stack([pixels[i : i + inner, j : j + inner].ravel() for i, j in offsets], 1)
    matrix = sparse.eye_array(n, format="csr")
    for _ in range(count):
        f = rng.standard_normal(width * width)
        f -= f.mean()
        f /= np.linalg.norm(f)
        rows = np.repeat(np.arange(inner**2), width * width)
        k = sparse.csr_array((np.tile(f, inner**2), (rows, columns.ravel())), shape=(inner**2, n))
        w = 10.0 ** rng.uniform(-1, 2, inner**2)
        matrix = matrix + k.T @ sparse.diags_array(w) @ k
    return sparse.csr_array((matrix + matrix.T) / 2)


def convection_diffusion(size, speed=200.0):
    """Return upwind convection by a rotating flow plus diffusion, (size², 5 points)."""
    h = 1 / (size + 1)
    t = np.linspace(h, 1 - h, size)
    y, x = np.meshgrid(t, t, indexing="ij")
    vx, vy = speed * (y - 0.5), -speed * (x - 0.5)
    n = size * size
    number = np.arange(n).reshape(size, size)
    left, right = 1 + h * np.maximum(vx, 0), 1 + h * np.maximum(-vx, 0)
    up, down = 1 + h * np.maximum(vy, 0), 1 + h * np.maximum(-vy, 0)
    rows, columns, values = [number.ravel()], [number.ravel()], [(left + right + up + down).ravel()]
    for weight, here, there in (
        (left, np.s_[:, 1:], np.s_[:, :-1]), (right, np.s_[:, :-1], np.s_[:, 1:]),
        (up, np.s_[1:], np.s_[:-1]), (down, np.s_[:-1], np.s_[1:]),
    ):  # fmt: skip
        rows.append(number[here].ravel())
        columns.append(number[there].ravel())
        values.append(-weight[here].ravel())
    parts = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_array(sparse.coo_array(parts, shape=(n, n)))


def saddle(size):
    """Return [[M, Kᵀ], [K, −εM]] of an optimality system on a size² grid: indefinite."""
    k = diffusion((size, size), 1.0)
    m = sparse.eye_array(size * size)
    return sparse.csr_array(sparse.block_array([[m, k.T], [k, -1e-4 * m]]))


def patches(count=1000, size=8):
    """Return ``count`` systems of size² unknowns as one block-diagonal matrix."""
    blocks = [diffusion((size, size), 2.0, shift=0.1, seed=i) for i in range(count)]
    return sparse.csr_array(sparse.block_diag(blocks, format="csr"))


def random_graph(n=200_000, degree=6, seed=0):
    """Return the Laplacian of a random graph plus 0.01 I: an expander, which no ordering helps."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, n, (2, n * degree // 2))
    w = rng.uniform(0.1, 1.0, a.size) * (a != b)
    adjacency = sparse.coo_array((w, (a, b)), shape=(n, n)).tocsr()
    adjacency = adjacency + adjacency.T
    degrees = np.asarray(adjacency.sum(axis=1)).ravel()
    return sparse.csr_array(sparse.diags_array(degrees + 0.01) - adjacency)


ZOO = {
    "tv mild 256²": lambda: tv_hessian(256, 10.0, 3.0),
    "tv mild 1024²": lambda: tv_hessian(1024, 10.0, 3.0),
    "tv mild 2048²": lambda: tv_hessian(2048, 10.0, 3.0),
    "tv hard 256²": lambda: tv_hessian(256, 300.0, 0.1),
    "tv hard 512²": lambda: tv_hessian(512, 300.0, 0.1),
    "tv hard 1024²": lambda: tv_hessian(1024, 300.0, 0.1),
    "2-D jumps 512²": lambda: Sample(diffusion((512, 512), 4.0), SPD),
    "2-D aniso 512²": lambda: Sample(diffusion((512, 512), 0.0, anisotropy=1e-3), SPD),
    "3-D jumps 40³": lambda: Sample(diffusion((40,) * 3, 3.0), SPD),
    "3-D jumps 64³": lambda: Sample(diffusion((64,) * 3, 3.0), SPD),
    "3-D jumps 100³": lambda: Sample(diffusion((100,) * 3, 3.0), SPD),
    "elasticity 2e5": lambda: delaunay(100_000, elasticity=True),
    "Delaunay 2e5": lambda: delaunay(200_000),
    "filters 256²": lambda: Sample(filters(256), SPD),
    "convection 512²": lambda: Sample(convection_diffusion(512), GENERAL),
    "saddle 2·160²": lambda: Sample(saddle(160), SYMMETRIC),
    "1000 patches": lambda: Sample(patches(), SPD),
    "random graph 2e5": lambda: Sample(random_graph(), SPD),
    "1-D 1e6": lambda: Sample(diffusion((1_000_000,), 2.0, shift=1e-6), SPD),
}
