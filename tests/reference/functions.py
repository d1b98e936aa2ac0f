"""Functions of x alone with their derivatives, for optimisers; evaluations are counted."""

import numpy as np

from sparseimplicit.outer.point import Point


class Counted:
    def __init__(self, value, gradient, hessian):
        self.value, self.gradient, self.hessian_at = value, gradient, hessian
        self.evaluations = self.products = 0

    def point(self, x, inner):
        self.evaluations += 1
        g = self.gradient(x)
        return Point(x, float(self.value(x)), g, inner.riesz(g))

    def product(self, x):
        H = self.hessian_at(x)

        def apply(v):
            self.products += 1
            return H @ v

        return apply

    def of(self, T):
        """The function of z with x = T z."""
        return Counted(
            lambda z: self.value(T @ z), lambda z: T.T @ self.gradient(T @ z),
            lambda z: T.T @ self.hessian_at(T @ z) @ T,
        )  # fmt: skip

    @classmethod
    def quadratic(cls, H, b):
        """½ xᵀHx − bᵀx + 1."""
        made = cls(lambda x: 0.5 * x @ H @ x - b @ x + 1, lambda x: H @ x - b, lambda x: H)
        made.b = b
        return made

    @classmethod
    def rosenbrock(cls):
        """Σ 100 (x₂ᵢ₊₁ − x₂ᵢ²)² + (1 − x₂ᵢ)², minimal at 1."""

        def gradient(x):
            a, b = x[::2], x[1::2]
            out = np.empty_like(x)
            out[::2] = -400 * a * (b - a**2) - 2 * (1 - a)
            out[1::2] = 200 * (b - a**2)
            return out

        def hessian(x):
            a, b, H = x[::2], x[1::2], np.zeros((x.size, x.size))
            i = np.arange(0, x.size, 2)
            H[i, i], H[i + 1, i + 1] = 1200 * a**2 - 400 * b + 2, 200
            H[i, i + 1] = H[i + 1, i] = -400 * a
            return H

        return cls(
            lambda x: np.sum(100 * (x[1::2] - x[::2] ** 2) ** 2 + (1 - x[::2]) ** 2),
            gradient, hessian,
        )  # fmt: skip
