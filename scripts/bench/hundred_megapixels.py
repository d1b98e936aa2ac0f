"""Differentiate through TV denoising at 10 240 × 10 240 = 104 857 600 unknowns, on one machine.

    python scripts/bench/hundred_megapixels.py               20 GB and a minute or two
    python scripts/bench/hundred_megapixels.py --size 2048   the same, smaller

Given a denoised image y: the adjoint solve g_yy λ = L_y with the exact Hessian of total variation
as a stencil, to a true relative residual of 1e-6, and the contraction −g_yxᵀ λ with the
cross-Hessian of the weight. Prints seconds, the peak of the process's memory and bytes an unknown.
"""

import argparse
import resource
import time
from pathlib import Path

import machine
import numpy as np
import zoo

import sparseimplicit as si
from sparseimplicit.imaging import total_variation

RTOL = 1e-6
WEIGHT, EPSILON = 10.0, 3.0


def image(size):
    """Return a photograph tiled and mirrored to size², with noise."""
    small = zoo.resize(zoo.read_image(zoo.IMAGE), (512, 512), order=1, anti_aliasing=False)
    pair = np.block([[small, small[:, ::-1]], [small[::-1], small[::-1, ::-1]]])
    times = -(-size // pair.shape[0])
    tiled = np.tile(pair, (times, times))[:size, :size]
    rng = np.random.default_rng(0)
    for row in tiled:  # by rows: no second image of noise
        row += rng.normal(0.0, 3.0, size)
    return np.ascontiguousarray(tiled)


def check(size=64):
    """Compare with the assembled Hessian and a direct solver, on a small image."""
    y = image(size).ravel()
    theta, y_bar = np.log([WEIGHT]), np.sin(np.arange(y.size))
    found = []
    for assembled in (True, False):
        problem = total_variation(y.reshape(size, size), epsilon=EPSILON, assembled=assembled)
        hessian = si.linear.Operator(problem.hessian(theta, y), si.Structure.POSITIVE_DEFINITE)
        solver = "superlu" if assembled else "multigrid"
        cross = problem.cross_hessian(theta, y)
        found.append(si.vjp(hessian, cross, y_bar, linear_solver=solver, rtol=1e-10)[0])
    assert abs(found[0] - found[1]) <= 1e-8 * abs(found[0]), found


def status(key):
    """Return a figure of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key):
            return 1024 * int(line.split()[1])
    return 0


def main():
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=10_240)
    size = parser.parse_args().size
    print(machine.describe())
    check()
    base = status("VmRSS")
    y = image(size)
    n = y.size
    problem = total_variation(y, epsilon=EPSILON, assembled=False)
    theta = np.log([WEIGHT])
    started = time.perf_counter()
    hessian = problem.hessian(theta, y.reshape(-1))
    operator = si.linear.Operator(hessian, si.Structure.POSITIVE_DEFINITE)
    filled = time.perf_counter()
    y_bar = np.sin(np.arange(n, dtype=np.float64))
    system = si.linear.Multigrid().prepare(operator)
    prepared = time.perf_counter()
    solution = system.solve(y_bar, rtol=RTOL)
    del y_bar
    solved = time.perf_counter()
    x_bar = -(problem.cross_hessian(theta, y.reshape(-1)).T @ solution.value)
    done = time.perf_counter()
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = solution.report
    print(
        f"{n} unknowns: Hessian {filled - started:.1f} s, set-up {prepared - filled:.1f} s, "
        f"{report.iterations} iterations {solved - prepared:.1f} s to a true residual of "
        f"{report.residual:.1e}, contraction {done - solved:.1f} s; {done - started:.1f} s in all"
    )
    print(
        f"peak {peak / 1e9:.2f} GB, {(peak - base) / n:.0f} bytes an unknown beyond the process's "
        f"own {base / 1e9:.2f} GB; hierarchy {system.report.bytes_estimate / n:.0f} bytes an "
        f"unknown; dL/dθ = {x_bar[0]:.6e}"
    )


if __name__ == "__main__":
    main()
