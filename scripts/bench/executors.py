"""Executors: what they cost for cheap problems, and what they gain for dear ones.

    python scripts/bench/executors.py [--small] [--points 5] [--only Dask]

200 cheap lower-level problems of some milliseconds each: an evaluation of loss and gradient by each
executor with one worker against a plain loop. Four problems of 0.2 s and more: two workers against
one. One thread each throughout; what is compared takes turns, point by point, the first of which
does not count. Prints a table, medians over the points, and whether the limits are kept: 10 % of
overhead, 1.5 times as fast. Above it what two processes gain over one on this machine where they
share nothing at all, which no executor can pass.
"""

import argparse
import multiprocessing
import time

import numpy as np
from scipy import sparse

import sparseimplicit as si
from sparseimplicit._optional import available
from sparseimplicit.outer.lower import Lower
from sparseimplicit.outer.run import Run

RTOL = 1e-6


def problem(side, seed):
    """½‖y − data‖² + ½ eˣ yᵀ L y + ¼ Σ y⁴ on a square grid."""
    n = side * side
    line = sparse.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(side, side))
    eye = sparse.eye_array(side)
    laplacian = sparse.csr_array(sparse.kron(line, eye) + sparse.kron(eye, line))
    data = np.random.default_rng(seed).standard_normal(n)
    lower = si.MinimizationProblem(
        gradient=lambda x, y: y - data + np.exp(x[0]) * (laplacian @ y) + y**3,
        hessian=lambda x, y: sparse.csr_array(
            sparse.diags_array(1 + 3 * y**2) + np.exp(x[0]) * laplacian
        ),
        cross_hessian=lambda x, y: np.exp(x[0]) * (laplacian @ y)[:, None],
    )
    implicit = si.ImplicitFunction(lower, linear_solver="superlu", reuse=False)
    return (lambda x, y: (0.5 * y @ y, None, y)), implicit, data


class Plain:
    """The loop that anybody would write."""

    def __init__(self, problems):
        self.problems, self.starts = problems, [None] * len(problems)

    def evaluate(self, x):
        """Return nothing: what counts is the time."""
        gradient = np.zeros(1)
        for i, (loss, implicit, data) in enumerate(self.problems):
            start = self.starts[i]
            solved = implicit.solve(x, data if start is None else None, start=start, rtol=RTOL)
            gradient += si.hypergradient(loss, solved, rtol=RTOL).gradient
            self.starts[i] = solved.handover()
            del solved

    def close(self):
        """Do nothing."""


def by(executor, problems):
    """The same evaluations, by an executor."""
    run = Run([Lower(*one) for one in problems], RTOL, None, None, executor)
    run.inner = si.inner_product(None, 1)
    return run


def spin(_):
    """Work without memory, files or Python objects shared with anybody."""
    began = time.perf_counter()
    problem(100, 0)[1].solve(np.zeros(1), np.zeros(100 * 100), rtol=RTOL)
    return time.perf_counter() - began


def machine_gain(repeats=5):
    """Return how much faster two processes are than one at the same work, done twice."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(2, initializer=single) as two, context.Pool(1, initializer=single) as one:
        gains = []
        for pool in (two, one):
            pool.map(spin, range(4), chunksize=1)
        for _ in range(repeats):
            began = time.perf_counter()
            one.map(spin, range(8), chunksize=1)
            between = time.perf_counter()
            two.map(spin, range(8), chunksize=1)
            gains.append((between - began) / (time.perf_counter() - between))
    return float(np.median(gains))


def single():
    """Give a process one thread."""
    si.threads(1).__enter__()


def in_turns(runs, points):
    """Return the seconds of each at all points but the first: (points, runs)."""
    seconds = np.zeros((len(points), len(runs)))
    for j, x in enumerate(points):
        for k, run in enumerate(runs):
            began = time.perf_counter()
            run.evaluate(np.array([x]))
            seconds[j, k] = time.perf_counter() - began
    for run in runs:
        run.close()
    return seconds[1:]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--small", action="store_true", help="a test of the script itself")
    arguments.add_argument("--points", type=int, default=9)
    arguments.add_argument("--only", default="", help="one executor alone")
    given = arguments.parse_args()
    points = -1.0 + 0.02 * np.arange(given.points)
    cheap = [problem(6, k) for k in range(10 if given.small else 200)]
    dear = [problem(8 if given.small else 190, k) for k in range(4)]
    makers = {
        "serial": lambda jobs: si.executors.Serial(),
        "processes": lambda jobs: si.executors.Processes(jobs),
    }
    if available("distributed"):
        makers["Dask"] = lambda jobs: si.cluster.Dask(jobs)
    if not given.small:
        print(f"two processes that share nothing: {machine_gain():.2f} times one")
    print(f"{'executor':<10} {'a cheap one':>12} {'overhead':>9} {'a dear one':>11} {'gain':>6}")
    kept = True
    for name, make in makers.items():
        if given.only not in ("", name):
            continue
        one, two = make(1), make(2)
        with si.threads(1):
            plain, managed = in_turns([Plain(cheap), by(one, cheap)], points).T
            alone, shared = in_turns([by(one, dear), by(two, dear)], points).T
        for executor in (one, two):
            if hasattr(executor, "close"):
                executor.close()
        overhead, gain = np.median(managed / plain) - 1, np.median(alone / shared)
        print(f"{name:<10} {1e3 * np.median(plain) / len(cheap):>9.1f} ms {overhead:>9.1%} "
              f"{np.median(alone) / len(dear):>9.2f} s {gain:>6.2f}", flush=True)  # fmt: skip
        kept &= overhead <= 0.10 and (name == "serial" or gain >= 1.5)
    print("limits kept" if kept else "limits NOT kept")


if __name__ == "__main__":
    main()
