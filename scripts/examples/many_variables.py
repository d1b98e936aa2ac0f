"""Step 2 of 5, many variables: the Jacobian, a perturbation, an adjoint.

A flow carries a heat source x along a line; y is the temperature, −y″ + 20 y′ + y³ = x: a
nonsymmetric system of 2000 unknowns with 2000 parameters.
"""

import numpy as np
from scipy import sparse

import sparseimplicit as si

n = 2000
h = 1.0 / (n + 1)
diffusion = sparse.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)],
                               offsets=[-1, 0, 1]) / h**2  # fmt: skip
flow = sparse.diags_array([-np.ones(n - 1), np.ones(n)], offsets=[-1, 0]) * (20.0 / h)
transport = sparse.csr_array(diffusion + flow)

problem = si.RootProblem(
    residual=lambda x, y: transport @ y + y**3 - x,
    state_jacobian=lambda x, y: transport + sparse.diags_array(3 * y**2),
    parameter_jacobian=lambda x, y: -sparse.eye_array(n),
)
s = np.linspace(0, 1, n)
solved = si.ImplicitFunction(problem).solve(100 * np.sin(np.pi * s), y0=np.zeros(n))

x_dot = np.exp(-((s - 0.3) ** 2) / 0.002)  # a perturbation of the source …
y_dot = solved.jvp(x_dot)  # … and what it does to the temperature

y_bar = np.exp(-((s - 0.7) ** 2) / 0.002)  # a thermometer …
x_bar = solved.vjp(y_bar)  # … and where the heat that it feels comes from

jacobian = solved.jacobian(as_operator=True)  # the whole of dy/dx, as products

if __name__ == "__main__":
    print(solved.report)
    print(f"⟨y_bar, J x_dot⟩ = {y_bar @ y_dot:.12f}   ⟨Jᵀ y_bar, x_dot⟩ = {x_bar @ x_dot:.12f}")
    print(f"the thermometer at 0.7 feels most the source at {s[np.argmax(x_bar)]:.3f}")
