"""How long OpenMP's threads spin between loops: a multigrid solve, alone and beside another one.

    python scripts/bench/spin.py
    python scripts/bench/spin.py --counts 0 2000 10000 --rounds 5

Each solve is one of TV at 1024², contrast 10⁴, in a process that OpenMP tells how often to look
before it sleeps (GOMP_SPINCOUNT); counts take turns. Medians of all solves but the first of each
process; and what it takes to launch an empty parallel loop.
"""

import argparse
import json
import os
import subprocess
import sys
import time

import machine
import numpy as np

SOLVES = 6


def solves():
    """Print the seconds of an empty parallel loop, and of some solves."""
    import numba
    import zoo

    from sparseimplicit.linear import Multigrid, Operator, Structure

    @numba.njit(parallel=True)
    def launch(a):
        for i in numba.prange(a.size):
            a[i] += 1.0

    a, launches = np.zeros(numba.get_num_threads()), []
    for _ in range(2000):
        started = time.perf_counter()
        launch(a)
        launches.append(time.perf_counter() - started)
    matrix = zoo.tv_hessian(1024, 2550.0, 0.255).matrix
    b, seconds = np.random.default_rng(0).standard_normal(matrix.shape[0]), []
    for _ in range(SOLVES):
        started = time.perf_counter()
        Multigrid().prepare(Operator(matrix, Structure.POSITIVE_DEFINITE)).solve(b)
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"launch": float(np.median(launches)), "seconds": seconds[1:]}))


def side_by_side(count, processes):
    """Return what so many processes at once print."""
    env = os.environ | {"GOMP_SPINCOUNT": str(count), "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, __file__, "--solves"]
    started = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE) for _ in range(processes)]
    return [json.loads(process.communicate()[0]) for process in started]


def main():
    """Take turns."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[0, 2000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--solves", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.solves:
        solves()
        return
    print(machine.describe(), flush=True)
    found = {(count, processes): [] for processes in (1, 2) for count in options.counts}
    for _ in range(options.rounds):
        for (count, processes), told in found.items():
            told += side_by_side(count, processes)
    for (count, processes), told in found.items():
        seconds = np.concatenate([one["seconds"] for one in told])
        launch = np.median([one["launch"] for one in told])
        print(
            f"GOMP_SPINCOUNT={count:<6} {'alone' if processes == 1 else 'beside another':<15} "
            f"{np.median(seconds):.3f} s ({seconds.min():.3f}–{seconds.max():.3f}), "
            f"an empty loop {1e3 * launch:.3f} ms"
        )


if __name__ == "__main__":
    main()
