"""Time stepping in plain dense NumPy, real or complex: the oracle of pde's trajectories."""

import numpy as np
from scipy import sparse

from sparseimplicit import pde

N_Y, N_X = 7, 5
# Steps of unequal lengths on purpose.
TIMES = np.array([0.0, 0.1, 0.25, 0.3, 0.5, 0.6, 0.7, 0.85, 1.0])
_RNG = np.random.default_rng(3)
MASS = np.diag(1.0 + np.arange(N_Y)) + 0.3 * np.diag(np.ones(N_Y - 1), 1)
K = 4.0 * np.eye(N_Y) - np.diag(np.ones(N_Y - 1), 1) - 2.0 * np.diag(np.ones(N_Y - 1), -1)
B = _RNG.standard_normal((N_Y, N_X))
E = np.zeros((N_Y, N_X))
E[0, 3] = E[4, 4] = 1.0  # two unknowns of the initial state are controls too
OFFSET = np.cos(np.arange(N_Y))
X = _RNG.standard_normal(N_X)


def rate(t, x, y):
    """r = (1 + t) K y + sin(x₀) y³ + B eˣ cos t, with x in the operator as well."""
    return (1.0 + t) * (K @ y) + np.sin(x[0]) ** 2 * y**3 + np.cos(t) * (B @ np.exp(0.3 * x))


def rate_y(t, x, y):
    return (1.0 + t) * K + 3.0 * np.sin(x[0]) ** 2 * np.diag(y**2)


def rate_x(t, x, y):
    part = np.cos(t) * B * (0.3 * np.exp(0.3 * x))
    part[:, 0] += np.sin(2.0 * x[0]) * y**3
    return part


def rate_second(t, x, y, adjoint, x_dot, y_dot):
    sin2, cos2 = np.sin(2.0 * x[0]), np.cos(2.0 * x[0])
    x_part = 0.09 * np.cos(t) * np.exp(0.3 * x) * (B.T @ adjoint) * x_dot
    x_part[0] += 2.0 * cos2 * (adjoint @ y**3) * x_dot[0] + 3.0 * sin2 * (adjoint @ (y**2 * y_dot))
    y_part = adjoint * (3.0 * sin2 * y**2 * x_dot[0] + 6.0 * np.sin(x[0]) ** 2 * y * y_dot)
    return x_part, y_part


def evolution(**changes):
    fields = {
        "mass": sparse.csr_array(MASS),
        "residual": rate,
        "state_jacobian": lambda t, x, y: sparse.csr_array(rate_y(t, x, y)),
        "parameter_jacobian": rate_x,
        "second_order": rate_second,
    }
    return pde.Evolution(**{**fields, **changes})


INITIAL = pde.Dependent.affine(E, OFFSET)


class Loss:
    """Running, ½ w_k ‖y − e^x₁‖² + x₂ y₀, and final, y·y³; every second derivative is there."""

    def __call__(self, x, k, t, y):
        goal = np.exp(0.2 * x[1])
        w = 0.1 * (k + 1)
        l_x = np.zeros_like(x)
        l_x[1] = -w * np.sum(y - goal) * 0.2 * goal
        l_x[2] = y[0]
        l_y = w * (y - goal)
        l_y[0] += x[2]
        value = 0.5 * w * np.sum((y - goal) ** 2) + x[2] * y[0]
        if k == TIMES.size - 1:
            value = value + np.sum(y**4)
            l_y = l_y + 4.0 * y**3
        return value, l_x, l_y

    def second_order(self, x, k, t, y, x_dot, y_dot):
        goal, w = np.exp(0.2 * x[1]), 0.1 * (k + 1)
        x_part = np.zeros_like(x)
        x_part[1] = 0.04 * w * goal * (y.size * goal - np.sum(y - goal)) * x_dot[1]
        x_part[1] -= 0.2 * w * goal * np.sum(y_dot)
        x_part[2] = y_dot[0]
        y_part = w * y_dot - 0.2 * w * goal * x_dot[1]
        y_part[0] += x_dot[2]
        if k == TIMES.size - 1:
            y_part = y_part + 12.0 * y**2 * y_dot
        return x_part, y_part


def coefficients(scheme, k, times):
    """Return a and b of a step, BDF2's by differentiating the quadratic through three points."""
    if scheme == "implicit-euler":
        return [1.0, -1.0], [1.0, 0.0]
    if scheme == "crank-nicolson":
        return [1.0, -1.0], [0.5, 0.5]
    if k == 1 or scheme == "midpoint":  # whose equation stands below
        return [1.0, -1.0], [1.0, 0.0]
    nodes = times[[k, k - 1, k - 2]]
    h = nodes[0] - nodes[1]
    a = []
    for i in range(3):  # the derivative at nodes[0] of Lagrange's basis
        others = [nodes[j] for j in range(3) if j != i]
        lead = np.prod([nodes[i] - o for o in others])
        a.append(h * (2.0 * nodes[0] - sum(others)) / lead)
    return a, [1.0, 0.0, 0.0]


def march(scheme, x, times=TIMES):
    """Return all states, (N + 1, n_y), of the type of x."""
    ys = [OFFSET + E @ x]
    for k in range(1, times.size):
        a, b = coefficients(scheme, k, times)
        h = times[k] - times[k - 1]
        settled = sum(a[j] * MASS @ ys[k - j] for j in range(1, len(a)))
        settled = settled + h * b[1] * rate(times[k - 1], x, ys[k - 1])
        y = ys[-1].copy()
        for _ in range(30):
            c = a[0] * MASS @ y + h * b[0] * rate(times[k], x, y) + settled
            jacobian = a[0] * MASS + h * b[0] * rate_y(times[k], x, y)
            if scheme == "midpoint":
                middle, z = (times[k] + times[k - 1]) / 2.0, (y + ys[-1]) / 2.0
                c = MASS @ (y - ys[-1]) + h * rate(middle, x, z)
                jacobian = MASS + h / 2.0 * rate_y(middle, x, z)
            y = y - np.linalg.solve(jacobian, c)
        ys.append(y)
    return np.array(ys)


def total(scheme, x, times=TIMES):
    """Return the loss of all states."""
    loss = Loss()
    return sum(loss(x, k, t, y)[0] for k, (t, y) in
               enumerate(zip(times, march(scheme, x, times), strict=True)))  # fmt: skip


def gradient(scheme, x):
    """Return d total/dx by the complex step, exact to rounding."""
    unit = 1e-30j * np.eye(x.size)
    return np.array([total(scheme, x + unit[i]).imag / 1e-30 for i in range(x.size)])
