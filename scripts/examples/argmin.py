"""Step 3 of 5, an argmin: how a smoothed signal changes with the weight of its smoothing.

y(x) = argmin ½‖y − f‖² + exp(x) Σ √((Dy)² + ε²)
"""

import numpy as np
from scipy import sparse

import sparseimplicit as si

n, epsilon = 10_000, 0.1
rng = np.random.default_rng(0)
truth = np.repeat(rng.standard_normal(n // 200), 200)
noisy = truth + 0.3 * rng.standard_normal(n)
D = sparse.diags_array([-np.ones(n - 1), np.ones(n - 1)], offsets=[0, 1], shape=(n - 1, n))


def root(y):
    return np.sqrt((D @ y) ** 2 + epsilon**2)


denoising = si.MinimizationProblem(
    objective=lambda x, y: 0.5 * np.sum((y - noisy) ** 2) + np.exp(x[0]) * np.sum(root(y)),
    gradient=lambda x, y: y - noisy + np.exp(x[0]) * D.T @ ((D @ y) / root(y)),
    hessian=lambda x, y: sparse.csr_array(
        sparse.eye_array(n) + np.exp(x[0]) * D.T @ sparse.diags_array(epsilon**2 / root(y) ** 3) @ D
    ),
    cross_hessian=lambda x, y: np.exp(x[0]) * D.T @ ((D @ y) / root(y)),
)
implicit = si.ImplicitFunction(denoising)
solved = implicit.solve(0.0, y0=noisy)
sensitivity = solved.jvp(1.0)  # dy/dx, the change of the whole signal with the weight

if __name__ == "__main__":
    print(si.verify.derivatives(denoising, 0.0, noisy))
    near = implicit.solve(1e-4, start=solved).y
    error = np.linalg.norm((near - solved.y) / 1e-4 - sensitivity) / np.linalg.norm(sensitivity)
    print(f"{solved!r}: difference quotient and derivative differ by {error:.1e}")
