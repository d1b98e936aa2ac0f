"""Executors: what they cost for cheap problems, and what they gain for dear ones.

    python scripts/bench/executors.py [--small]

200 cheap lower-level problems of some milliseconds each: an evaluation of loss and gradient by each
executor with one worker against a plain loop. Four problems of 0.2 s and more: two workers against
one. One thread each throughout; medians, warm. Prints a table, and whether the limits are kept:
10 % of overhead, 1.5 times as fast.
"""

import argparse
import time

import numpy as np
from scipy import sparse

import sparseimplicit as si
from sparseimplicit._optional import available


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


def plain(problems, points, rtol=1e-6):
    """The loop that anybody would write; returns seconds of each evaluation."""
    starts, seconds = [None] * len(problems), []
    for x in points:
        began = time.perf_counter()
        gradient = np.zeros(1)
        for i, (loss, implicit, data) in enumerate(problems):
            first = data if starts[i] is None else None
            solved = implicit.solve([x], first, start=starts[i], rtol=rtol)
            gradient += si.hypergradient(loss, solved, rtol=rtol).gradient
            starts[i] = solved.handover()
            del solved
        seconds.append(time.perf_counter() - began)
    return seconds


def by(executor, problems, points, rtol=1e-6):
    """The same evaluations by an executor."""
    from sparseimplicit.outer.lower import Lower
    from sparseimplicit.outer.run import Run

    lower = [Lower(*one) for one in problems]
    run = Run(lower, rtol, None, None, executor)
    run.inner = si.inner_product(None, 1)
    seconds = []
    try:
        for x in points:
            began = time.perf_counter()
            run.evaluate(np.array([float(x)]))
            seconds.append(time.perf_counter() - began)
    finally:
        run.close()
    return seconds


def warm(seconds):
    return float(np.median(seconds[2:]))


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--small", action="store_true", help="a test of the script itself")
    small = arguments.parse_args().small
    points = np.linspace(-1.0, -0.9, 4 if small else 7)
    cheap = [problem(6, k) for k in range(10 if small else 200)]
    dear = [problem(8 if small else 130, k) for k in range(4)]
    makers = {
        "serial": lambda jobs: si.executors.Serial(),
        "processes": lambda jobs: si.executors.Processes(jobs),
    }
    if available("distributed"):
        makers["Dask"] = si.cluster.Dask
    with si.threads(1):
        loops = {"cheap": warm(plain(cheap, points)), "dear": warm(plain(dear, points))}
    print(f"plain loop: {len(cheap)} cheap ones {loops['cheap']:.3f} s, "
          f"{len(dear)} dear ones {loops['dear']:.3f} s")  # fmt: skip
    print(
        f"{'executor':<10} {'overhead, 1 worker':>19} {'1 worker':>9} {'2 workers':>10} {'gain':>6}"
    )
    kept = True
    for name, make in makers.items():
        times = {}
        for jobs in (1,) if name == "serial" else (1, 2):
            executor = make(jobs)
            try:
                with si.threads(1):
                    times[jobs] = warm(by(executor, dear, points))
                    if jobs == 1:
                        before = warm(plain(cheap, points))  # just now: the machine may be shared
                        overhead = warm(by(executor, cheap, points)) / before - 1
            finally:
                if hasattr(executor, "close"):
                    executor.close()
        gain = times[1] / times[2] if 2 in times else float("nan")
        print(f"{name:<10} {overhead:>18.1%} {times[1]:>9.3f} {times.get(2, np.nan):>10.3f} "
              f"{gain:>6.2f}")  # fmt: skip
        kept &= overhead <= 0.10 and (name == "serial" or gain >= 1.5)
    print("limits kept" if kept else "limits NOT kept")


if __name__ == "__main__":
    main()
