"""One system in three dimensions on the ranks of MPI: the answer of CHOLMOD, and memory a rank.

    python scripts/bench/petsc.py [--side 64] [--ranks 1,2] [--without-cholmod]

Each rank makes its own rows (`si.cluster.distribute`): none ever holds the matrix. Prints seconds,
iterations, the distance from CHOLMOD's answer, and what the largest rank took beyond what it had
when its libraries were loaded.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from shutil import which

import numpy as np
from scipy import sparse

TOLD = ("ALLOW_RUN_AS_ROOT", "ALLOW_RUN_AS_ROOT_CONFIRM", "MCA_rmaps_base_oversubscribe")
PCS = ("hypre", "gamg")


def cube(first, last, side):
    """Rows of −div(κ grad u) + 1e-3 u on a cube, κ jumping between 1 and 100."""
    n = side**3
    index = np.arange(first, last)
    place = np.stack([index // side**2, index // side % side, index % side])
    row, column, value = [index], [index], [np.full(len(index), 1e-3)]
    for axis in range(3):
        for step in (-1, 1):
            other = place.copy()
            other[axis] += step
            inside = (other[axis] >= 0) & (other[axis] < side)
            weight = 0.5 * (_kappa(place) + _kappa(other))[inside]
            there = np.ravel_multi_index(tuple(other[:, inside]), (side,) * 3)
            row += [index[inside]] * 2
            column += [index[inside], there]
            value += [weight, -weight]
    entries = np.concatenate(value), (np.concatenate(row) - first, np.concatenate(column))
    return sparse.coo_array(entries, shape=(last - first, n)).tocsr()


def _kappa(place):
    return np.where((place // 8).sum(axis=0) % 2 == 0, 1.0, 100.0)


def right_hand_side(first, last):
    return np.sin(0.1 * np.arange(first, last)) + 0.3


def on_rank(side, out):
    """What each rank does."""
    import sparseimplicit as si
    from sparseimplicit.linear import Petsc, Structure
    from sparseimplicit.linear.petsc_api import communicator

    comm = communicator()
    for pc in PCS:
        before = _peak()
        comm.Barrier()
        started = time.perf_counter()
        system = si.cluster.distribute(
            lambda first, last: cube(first, last, side), side**3, solver=Petsc(pc),
            structure=Structure.POSITIVE_DEFINITE,
        )  # fmt: skip
        found = system.solve(right_hand_side(system.first, system.last), rtol=1e-10)
        seconds = time.perf_counter() - started
        mine = (_peak() - before) / 2**20
        largest, parts = max(comm.allgather(mine)), comm.gather(found.value)
        if comm.rank == 0:
            np.save(f"{out}/{pc}-{comm.size}.npy", np.concatenate(parts))
            print(json.dumps({"pc": pc, "ranks": comm.size, "seconds": seconds, "MiB": largest,
                              "iterations": found.iterations}))  # fmt: skip
        return_unused(system)


def return_unused(system):
    """Let memory go, and the peak with it: the next method is measured for itself."""
    del system
    Path("/proc/self/clear_refs").write_text("5")


def _peak():
    told = Path("/proc/self/status").read_text()
    return 1024 * int(told.split("VmHWM:")[1].split()[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--ranks", default="1,2")
    parser.add_argument("--without-cholmod", action="store_true")
    parser.add_argument("--out", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.out:
        on_rank(given.side, given.out)
        return
    import sparseimplicit as si
    from sparseimplicit.linear import Operator, Structure

    exact = None
    if not given.without_cholmod:
        n = given.side**3
        operator = Operator(cube(0, n, given.side), Structure.POSITIVE_DEFINITE)
        exact = si.linear.solve(operator, right_hand_side(0, n), solver="cholmod", rtol=1e-10).value
    env = os.environ | {f"OMPI_{name}": "1" for name in TOLD} | {"OMP_NUM_THREADS": "1"}
    print(f"{'pc':<6} {'ranks':>5} {'seconds':>8} {'iterations':>10} {'MiB a rank':>10} distance")
    with tempfile.TemporaryDirectory() as out:
        for ranks in given.ranks.split(","):
            run = subprocess.run(
                [which("mpiexec"), "-n", ranks, sys.executable, __file__, "--side", str(given.side),
                 "--out", out],
                env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
            for line in run.stdout.splitlines():
                told = json.loads(line)
                x = np.load(f"{out}/{told['pc']}-{ranks}.npy")
                off = "–" if exact is None else (
                    f"{np.linalg.norm(x - exact) / np.linalg.norm(exact):.1e}")  # fmt: skip
                print(f"{told['pc']:<6} {ranks:>5} {told['seconds']:>8.2f} "
                      f"{told['iterations']:>10} {told['MiB']:>10.0f} {off}")  # fmt: skip


if __name__ == "__main__":
    main()
