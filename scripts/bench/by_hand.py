"""Total variation as a careful user writes it by hand with scikit-sparse: full Newton.

Difference matrices, sparse products for the Hessian, one symbolic analysis, one numeric
factorization an iteration, Armijo's line search, and the last factorization at the solution for
the adjoint. Nothing of sparseimplicit is used.
"""

import time
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse


@dataclass
class ByHand:
    """u(θ) = argmin ½‖u − f‖² + exp(θ) Σ √(|∇u|² + ε²), and dL/dθ for L = ½‖u − truth‖²."""

    f: np.ndarray
    truth: np.ndarray
    epsilon: float = 1.0
    iterations: int = 0
    seconds: dict = field(default_factory=lambda: {"assemble": 0.0, "factorize": 0.0, "rest": 0.0})

    def __post_init__(self):
        height, width = self.f.shape
        self.dx = sparse.csr_array(sparse.kron(sparse.eye_array(height), _forward(width)))
        self.dy = sparse.csr_array(sparse.kron(_forward(height), sparse.eye_array(width)))
        self.identity = sparse.eye_array(self.f.size, format="csr")

    def energy(self, theta, u):
        """Return g(θ, u)."""
        ux, uy = self.dx @ u, self.dy @ u
        smooth = np.sum(np.sqrt(ux * ux + uy * uy + self.epsilon**2))
        return 0.5 * np.sum((u - self.f.ravel()) ** 2) + np.exp(theta) * smooth

    def slope(self, u):
        """Return the gradient of Σ √(|∇u|² + ε²)."""
        ux, uy = self.dx @ u, self.dy @ u
        s = np.sqrt(ux * ux + uy * uy + self.epsilon**2)
        return self.dx.T @ (ux / s) + self.dy.T @ (uy / s)

    def hessian(self, theta, u):
        """Return g_uu."""
        ux, uy = self.dx @ u, self.dy @ u
        square = ux * ux + uy * uy + self.epsilon**2
        scale = np.exp(theta) / (square * np.sqrt(square))
        mixed = self.dx.T @ sparse.diags_array(-scale * ux * uy) @ self.dy
        return sparse.csc_array(
            self.identity
            + self.dx.T @ sparse.diags_array(scale * (uy * uy + self.epsilon**2)) @ self.dx
            + self.dy.T @ sparse.diags_array(scale * (ux * ux + self.epsilon**2)) @ self.dy
            + mixed
            + mixed.T
        )

    def gradient(self, theta, rtol=1e-8):
        """Return L and dL/dθ."""
        from sksparse import cholmod  # here: it loads OpenMP, whose settings come first

        u, symbolic, factor = self.f.ravel().copy(), None, None
        while True:
            started = time.perf_counter()
            g = u - self.f.ravel() + np.exp(theta) * self.slope(u)
            a = self.hessian(theta, u)
            self.seconds["assemble"] += time.perf_counter() - started
            started = time.perf_counter()
            if symbolic is None:
                symbolic = cholmod.analyze(a)
            if factor is None:
                factor = symbolic.cholesky(a)
            else:
                factor.cholesky_inplace(a)
            self.seconds["factorize"] += time.perf_counter() - started
            started = time.perf_counter()
            if np.linalg.norm(g) <= rtol * np.linalg.norm(a @ u):
                break
            self.iterations += 1
            step, t = -factor(g), 1.0
            value, along = self.energy(theta, u), g @ step
            # Near the solution the energy no longer resolves the decrease: rounding is allowed.
            while self.energy(theta, u + t * step) > value + 1e-4 * t * along + 1e-14 * value:
                t /= 2
            u = u + t * step
            self.seconds["rest"] += time.perf_counter() - started
        adjoint = factor(u - self.truth.ravel())
        loss = 0.5 * np.sum((u - self.truth.ravel()) ** 2)
        return loss, -np.exp(theta) * self.slope(u) @ adjoint


def _forward(n):
    main = -np.ones(n)
    main[-1] = 0.0
    return sparse.diags_array([main, np.ones(n - 1)], offsets=[0, 1], shape=(n, n))
