"""An obstacle, identified: how hard a membrane is pressed, and where the floor below it lies.

y(x) = argmin ½ yᵀK y + x₀ 1ᵀy over y ≥ ψ(x): the load x₀, and a floor with a bump of height x₂ on
a plane at x₁, are found from the shape of the membrane. The derivative is that of the free part.
"""

import numpy as np
import scipy.optimize
from scipy import sparse

import sparseimplicit as si
from sparseimplicit import pde

n = 23
s = np.arange(1, n + 1) / (n + 1)
second = sparse.diags_array([2.0, -1.0, -1.0], offsets=[0, -1, 1], shape=(n, n)) * (n + 1) ** 2
K = sparse.csr_array(sparse.kronsum(second, second))
bump = np.exp(-20.0 * ((s[:, None] - 0.4) ** 2 + (s - 0.55) ** 2)).ravel()

membrane = si.MinimizationProblem(
    objective=lambda x, y: 0.5 * y @ (K @ y) + x[0] * y.sum(),
    gradient=lambda x, y: K @ y + x[0],
    hessian=lambda x, y: K,
    cross_hessian=lambda x, y: np.outer(np.ones(n * n), [1.0, 0.0, 0.0]),
)
floor = pde.Dependent.affine(np.column_stack([0.0 * bump, 0.0 * bump + 1.0, bump]))
pressed = pde.VariationalInequality(membrane, lower=floor, linear_solver="superlu")

truth = np.array([20.0, -0.3, 0.2])
observed = pressed.solve(truth)
scale = 1.0 / np.sum(observed.y**2)


def loss(_, y):
    miss = y - observed.y
    return 0.5 * scale * miss @ miss, None, scale * miss


def value_and_gradient(x):
    h = pressed.solve(x, start=observed).gradient(loss)
    return h.value, h.gradient


def identify(start):
    return scipy.optimize.minimize(
        value_and_gradient, start, jac=True, method="L-BFGS-B",
        bounds=[(5.0, 40.0), (-0.6, -0.1), (0.0, 0.5)], options={"ftol": 1e-15, "gtol": 1e-9},
    )  # fmt: skip


if __name__ == "__main__":
    print(observed.report)
    found = identify([15.0, -0.25, 0.1])
    print(
        f"load and floor {found.x} (made with {truth}), loss {found.fun:.1e}, {found.nfev} solves"
    )
