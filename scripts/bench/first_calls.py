"""Measure the first calls of local terms, each in processes of its own; a part of derivatives.py.

    python scripts/bench/first_calls.py "TV, map"      the seconds of one problem, in this process

With an empty cache of kernels they hold trace, compilation and one evaluation; with the cache that
the process before has filled, a load in place of the compilation. What numba needs to start, before
it loads its first kernel whatsoever, has a column of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # the problems and their derivatives by hand are the tests'

from sparseimplicit.kernels import vectors  # noqa: E402
from tests.reference import image_terms, mesh_terms  # noqa: E402
from tests.reference.terms import CASES  # noqa: E402

COLUMNS = ("numba", "make", "g_y, f", "g_yy", "g_yx u", "g_yxᵀv", "g")
LARGE = {
    "TV 512²": lambda: image_terms.total_variation((512, 512)),
    "P1 diffusion, 100 000 nodes": lambda: mesh_terms.diffusion(100_000),
}


def wanted(names, only):
    """Return the names that hold one of the parts named, separated by semicolons; else all."""
    parts = [part.strip() for part in only.split(";") if part.strip()]
    return [name for name in names if not parts or any(part in name for part in parts)]


def seconds(name):
    """Return the seconds of a problem's making and of the first call of each of its functions."""
    case = (CASES | LARGE)[name]()
    times = {"numba": _seconds(lambda: vectors.dot(case.y, case.y))}
    made = []
    times["make"] = _seconds(lambda: made.append(case.make()))
    problem, x, y = made[0], case.x, case.y
    names = ("gradient", "hessian", "cross_hessian", "objective")
    if case.objective is None:
        names = ("residual", "state_jacobian", "parameter_jacobian")
    first, second, cross, *objective = (getattr(problem, name) for name in names)
    calls = [
        lambda: first(x, y),
        lambda: second(x, y),
        lambda: cross(x, y) @ x,  # an operator compiles when it is applied
        lambda: cross(x, y).T @ y,
        *(lambda f=f: f(x, y) for f in objective),
    ]
    for key, call in zip(COLUMNS[2:], calls, strict=False):
        times[key] = _seconds(call)
        times[f"{key} again"] = _seconds(call)
    return times


def _seconds(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def line(name, state, times):
    """Return one line of the table: the first calls, their sum without numba, the second calls."""
    again = sum(value for key, value in times.items() if key.endswith("again"))
    cells = [f"{times[key]:7.2f}" if key in times else f"{'':7}" for key in COLUMNS]
    total = sum(times.get(key, 0.0) for key in COLUMNS[1:])
    slowest = max(times.get(key, 0.0) for key in COLUMNS[2:])
    return f"{name:<28} {state:<5} {' '.join(cells)} {slowest:7.2f} {total:6.2f} {again:6.2f}"


def main(only=""):
    """Print the first calls with an empty and with a filled cache."""
    print("\nseconds to a first result")
    print(f"{'':<28} cache {' '.join(f'{c:>7}' for c in COLUMNS)} slowest    all  again")
    for name in wanted((*CASES, *LARGE), only):
        with tempfile.TemporaryDirectory() as cache:
            for state in ("empty", "warm"):
                command = [sys.executable, str(Path(__file__).resolve()), name]
                settings = os.environ | {"XDG_CACHE_HOME": cache}
                done = subprocess.run(command, env=settings, capture_output=True, text=True)
                if done.returncode:
                    print(f"{name:<28} {state:<5} failed: {done.stderr.strip().splitlines()[-1]}")
                    break
                print(line(name, state, json.loads(done.stdout)), flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in CASES | LARGE:
        sys.exit(f"name one of: {'; '.join((*CASES, *LARGE))}")
    print(json.dumps(seconds(sys.argv[1])))
