"""A gradient through 1000 steps at 10⁵ unknowns, with 50 states held and with all of them.

    python scripts/bench/pde_time.py                       a quarter of an hour on two slow cores
    python scripts/bench/pde_time.py --side 40 --steps 60 --held 12

Heat on a square with a source for control: M y' + K y = B x, implicit Euler, tracking at all times.
Each way runs in a process of its own, so that its peak memory is its own. Printed are seconds,
factorizations, steps made again, states held, and how far the two gradients differ.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
from scipy import sparse

from sparseimplicit import Structure, pde


def problem(side, steps, held, solver):
    """Return the stepping, the loss and x, on side² unknowns."""
    n, h = side * side, 1.0 / (side + 1)
    second = sparse.diags_array([2.0, -1.0, -1.0], offsets=[0, -1, 1], shape=(side, side))
    K, M = sparse.csr_array(sparse.kronsum(second, second)), h**2 * sparse.eye_array(n)
    s = np.linspace(h, 1.0 - h, side)
    shapes = [np.outer(np.sin(i * np.pi * s), np.sin(j * np.pi * s)).ravel()
              for i in range(1, 5) for j in range(1, 5)]  # fmt: skip
    B = h**2 * np.array(shapes).T
    heat = pde.Evolution(
        mass=M, residual=lambda t, x, y: K @ y - (1.0 + np.cos(9.0 * t)) * (B @ x),
        state_jacobian=lambda t, x, y: K,
        parameter_jacobian=lambda t, x, y: -(1.0 + np.cos(9.0 * t)) * B,
        second_order=pde.no_curvature, structure=Structure.POSITIVE_DEFINITE, linear=True,
    )  # fmt: skip
    stepping = pde.TimeStepping(
        heat, np.linspace(0.0, 1.0, steps + 1), shapes[0] - shapes[1], linear_solver=solver,
        max_states=held,
    )  # fmt: skip
    loss = pde.TimeTracking(np.full(steps + 1, 1.0 / steps), M, shapes[5])
    return stepping, loss, np.cos(np.arange(16.0))


def run(side, steps, held, solver):
    """Return the figures of one gradient."""
    warm, loss, x = problem(4, 5, held and 3, solver)  # what is compiled at its first use
    warm.solve(x).gradient(loss)
    stepping, loss, x = problem(side, steps, held, solver)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    trajectory = stepping.solve(x)
    forward = time.perf_counter() - started
    h = trajectory.gradient(loss)
    return {
        "forward": forward, "gradient": time.perf_counter() - started - forward,
        "value": h.value, "x_bar": h.gradient.tolist(), "report": h.report.to_dict(),
        "megabytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
    }  # fmt: skip


def compare(side, steps, held, solver, *, apart=True):
    """Return the figures of both ways, and the relative difference of their gradients."""
    both = []
    for bound in (None, held):
        if not apart:
            both.append(run(side, steps, bound, solver))
            continue
        given = json.dumps([side, steps, bound, solver])
        done = subprocess.run(
            [sys.executable, __file__, "--one", given], check=True, capture_output=True, text=True
        )
        both.append(json.loads(done.stdout.splitlines()[-1]))
    one, two = (np.array(figures["x_bar"]) for figures in both)
    return both, float(np.linalg.norm(one - two) / np.linalg.norm(one))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=317, help="unknowns are its square")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--held", type=int, default=50, help="bound on the states held")
    parser.add_argument("--solver", default="cholmod")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(run(*json.loads(given.one))))
        return
    both, difference = compare(given.side, given.steps, given.held, given.solver)
    print(f"{given.side**2} unknowns, {given.steps} steps, {both[0]['report']['linear_solver']}")
    print("  states held  forward   gradient  factorizations  made again  memory")
    for figures in both:
        report = figures["report"]
        seconds = f"{figures['forward']:7.1f} s {figures['gradient']:7.1f} s"
        print(
            f"  {report['peak_states']:>11}  {seconds}"
            f"  {report['factorizations']:>14}  {report['recomputed_steps']:>10}"
            f"  {figures['megabytes']:.0f} MB"
        )
    print(f"the gradients differ by {difference:.1e}")


if __name__ == "__main__":
    main()
