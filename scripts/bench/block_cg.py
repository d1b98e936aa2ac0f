"""Does block CG pay for many right-hand sides? Our CG, whose columns share products, against it.

    python scripts/bench/block_cg.py

Block CG finds all columns in one common space, in fewer iterations, each with four products of
n × k by k × k more. Its directions are made orthonormal in each step, so that it does not break
down. Source: O'Leary 1980; Dubrulle 2001. It is here, and not among the solvers, as it won nowhere.
"""

import time

import machine
import numpy as np
import zoo
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular

import sparseimplicit as si

RTOL = 1e-8
CASES = (
    ("tv hard 256²", "cg+jacobi"),
    ("3-D jumps 40³", "cg+jacobi"),
    ("3-D jumps 64³", "cg+amg"),
    ("Delaunay 2e5", "cg+amg"),
)


def block_cg(apply, precondition, b, most=3000):
    """Return A⁻¹ b for the columns of b, and the iterations."""
    x, r, sizes = np.zeros_like(b), b.copy(), np.linalg.norm(b, axis=0)
    p = orthonormal(precondition(r))
    for iteration in range(1, most + 1):
        q = apply(p)
        curvature = p.T @ q
        factor = cho_factor((curvature + curvature.T) / 2)
        length = cho_solve(factor, p.T @ r)
        x += p @ length
        r -= q @ length
        if (np.linalg.norm(r, axis=0) <= 0.9 * RTOL * sizes).all():
            return x, iteration
        z = precondition(r)
        p = orthonormal(z - p @ cho_solve(factor, q.T @ z))
    return x, most


def orthonormal(p):
    """Return a basis of the same space with pᵀ p = 1, by Cholesky."""
    square = p.T @ p
    upper = cholesky((square + square.T) / 2)
    return np.ascontiguousarray(solve_triangular(upper.T, p.T, lower=True).T)


def main():
    """Print both, for 4 and 16 right-hand sides."""
    print(machine.describe())
    for name, solver in CASES:
        sample = zoo.ZOO[name]()
        operator = si.linear.Operator(sample.matrix, sample.structure)
        system = si.linear.solver_named(solver).prepare(operator)
        preconditioner = system.method.as_preconditioner()
        diagonal = preconditioner.diagonal[:, None]
        apply = (lambda r, d=diagonal: d * r) if diagonal.size else preconditioner.apply
        for k in (4, 16):
            b = np.random.default_rng(0).standard_normal((operator.n, k))
            system.solve(b, rtol=RTOL)
            started = time.perf_counter()
            ours = system.solve(b, rtol=RTOL).report
            between = time.perf_counter()
            x, iterations = block_cg(operator.apply, apply, b)
            ended = time.perf_counter()
            residual = np.linalg.norm(b - sample.matrix @ x) / np.linalg.norm(b)
            print(
                f"{name:<14} {solver:<10} k {k:>2}: CG {between - started:6.2f} s, "
                f"{ours.iterations} iterations; block CG {ended - between:6.2f} s, {iterations} "
                f"iterations, residual {residual:.0e}",
                flush=True,
            )


if __name__ == "__main__":
    main()
