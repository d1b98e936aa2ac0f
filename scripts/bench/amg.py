"""AMG on unstructured matrices: pyamg's set-up and cycle against ours, CG to 1e-8 around both.

    python scripts/bench/amg.py [--repeat 5]

Both run in turns in one process, on the same matrix and right-hand side, to the same relative
residual. Prints iterations, median seconds of set-up and solve, their ratios, seconds of a refresh.
"""

import argparse
import time
import warnings

import numpy as np
import pyamg
from machine import describe
from scipy import sparse
from zoo import SPD, Sample, delaunay, diffusion

from sparseimplicit.linear import AMG, CG, Operator

RTOL = 1e-8


def shuffled(matrix, seed=0):
    """Return the matrix in a random order of its unknowns."""
    order = np.random.default_rng(seed).permutation(matrix.shape[0])
    return sparse.csr_array(matrix[order][:, order])


CASES = {
    "Delaunay 2e5": (lambda: delaunay(200_000), "classical"),
    "elasticity 2e5": (lambda: delaunay(100_000, elasticity=True), "aggregation"),
    "3-D 100³ shuffled": (
        lambda: Sample(shuffled(diffusion((100,) * 3, 3.0)), SPD),
        "classical",
    ),
    "3-D 100³ shuffled, sa": (
        lambda: Sample(shuffled(diffusion((100,) * 3, 3.0)), SPD),
        "aggregation",
    ),
}


def by_pyamg(sample, kind, b):
    """Return seconds of set-up and solve, iterations, relative residual: pyamg's defaults."""
    matrix = sparse.csr_matrix(sample.matrix, copy=True)  # pyamg sorts it in place
    matrix.indices, matrix.indptr = matrix.indices.astype("i4"), matrix.indptr.astype("i4")
    started = time.perf_counter()
    if kind == "classical":
        hierarchy = pyamg.ruge_stuben_solver(matrix)
    else:
        hierarchy = pyamg.smoothed_aggregation_solver(matrix, B=sample.near_nullspace)
    ready = time.perf_counter()
    residuals = []
    x = hierarchy.solve(b, tol=RTOL, accel="cg", residuals=residuals)
    done = time.perf_counter()
    return ready - started, done - ready, len(residuals) - 1, residual(matrix, x, b)


def by_us(dtype):
    """Return the same for our hierarchy, with the seconds of a refresh last."""

    def run(sample, kind, b):
        operator = Operator(sample.matrix, sample.structure)
        solver = CG(AMG(kind, sample.near_nullspace, dtype=dtype))
        started = time.perf_counter()
        system = solver.prepare(operator)
        ready = time.perf_counter()
        solution = system.solve(b, rtol=RTOL)
        done = time.perf_counter()
        system.refresh(operator)
        refreshed = time.perf_counter() - done
        error = residual(sample.matrix, solution.value, b)
        return ready - started, done - ready, solution.report.iterations, error, refreshed

    return run


def residual(a, x, b):
    return float(np.linalg.norm(b - a @ x) / np.linalg.norm(b))


WAYS = {"pyamg": by_pyamg, "ours": by_us(np.float64), "ours float32": by_us(np.float32)}


def main(repeat=5, cases=None):
    warnings.simplefilter("ignore")  # what pyamg says of formats
    small = delaunay(30_000)
    for way in WAYS.values():  # kernels loaded
        for kind in ("classical", "aggregation"):
            way(small, kind, np.ones(small.matrix.shape[0]))
    print(describe())
    head = f"{'matrix':<22} {'way':<13} {'its':>4} {'set-up':>8} {'solve':>8} {'refresh':>8}"
    print(f"{head}   pyamg / this: set-up, solve, both   residual")
    for name in cases or CASES:
        make, kind = CASES[name]
        sample = make()
        b = np.random.default_rng(0).standard_normal(sample.matrix.shape[0])
        runs = {way: [] for way in WAYS}
        for _ in range(repeat):  # taking turns, so that noise hits all alike
            for way, run in WAYS.items():
                runs[way].append(run(sample, kind, b))
        base = None
        for way, found in runs.items():
            setup, solve = (float(np.median([f[i] for f in found])) for i in (0, 1))
            base = base or (setup, solve)
            refresh = f"{np.median([f[4] for f in found]):8.2f}" if len(found[0]) > 4 else " " * 8
            ratios = (base[0] / setup, base[1] / solve, sum(base) / (setup + solve))
            print(
                f"{name:<22} {way:<13} {found[0][2]:>4} {setup:8.2f} {solve:8.2f} {refresh}   "
                f"{ratios[0]:13.2f} {ratios[1]:6.2f} {ratios[2]:6.2f} {found[0][3]:18.1e}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--cases", nargs="+", choices=list(CASES))
    arguments = parser.parse_args()
    main(arguments.repeat, arguments.cases)
