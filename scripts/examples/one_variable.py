"""Step 1 of 5, one variable: y(x) with y³ + y = x, and its derivative dy/dx = 1 / (3 y² + 1)."""

import sparseimplicit as si

problem = si.RootProblem(
    residual=lambda x, y: y**3 + y - x,
    state_jacobian=lambda x, y: 3 * y**2 + 1,
    parameter_jacobian=lambda x, y: -1.0,
)
solved = si.ImplicitFunction(problem).solve(10.0, y0=1.0)
slope = solved.jvp(1.0)[0]

if __name__ == "__main__":
    print(f"y(10) = {solved.y[0]:.12f}   dy/dx = {slope:.12f}   exact 1/13 = {1 / 13:.12f}")
