"""One hypergradient of total variation, forward solve included, against the same by hand.

    python scripts/bench/tv.py [--size 1024] [--repeat 5] [--theta 2.77]

Both start at the noisy image and stop at ‖g‖ ≤ 1e-8 ‖A u‖. Prints the median, the spread, the
ratio, and by how much loss and gradient differ.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from by_hand import ByHand
from machine import bandwidth, describe
from PIL import Image

import sparseimplicit as si
from sparseimplicit.imaging import add_noise, squared_error, total_variation

CANYON = Path(__file__).resolve().parents[2] / "datasets" / "canyon.png"


def image(size):
    """Return a size × size grey image, made from the canyon."""
    with Image.open(CANYON) as picture:
        side = min(picture.size)
        square = picture.crop((200, 0, 200 + side, side))
        return np.asarray(square.resize((size, size), Image.Resampling.LANCZOS), dtype=float)


def ours(noisy, truth, theta, solver):
    """Return loss, gradient and the reports."""
    implicit = si.ImplicitFunction(total_variation(noisy), linear_solver=solver)
    solved = implicit.solve(theta, noisy.ravel(), rtol=1e-8)
    h = si.hypergradient(squared_error(truth), solved, rtol=1e-8)
    return h.value, h.gradient[0], h.report


def product_bandwidth(noisy, theta):
    """Return how near the product with the Hessian is to the memory's bandwidth."""
    hessian = total_variation(noisy).hessian(np.array([theta]), noisy.ravel())
    operator, v = si.linear.Operator(hessian, si.Structure.POSITIVE_DEFINITE), noisy.ravel()
    times = []
    for _ in range(20):
        started = time.perf_counter()
        operator.apply(v)
        times.append(time.perf_counter() - started)
    moved = 12 * hessian.nnz + 20 * v.size  # values, indices; pointers, v, out
    rate = moved / float(np.median(times))
    return f"product with the Hessian: {rate / 1e9:.1f} GB/s, {rate / bandwidth():.0%} of the triad"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--theta", type=float, default=float(np.log(16.0)))
    parser.add_argument("--solvers", nargs="+", default=["auto"])
    arguments = parser.parse_args()
    truth = image(arguments.size)
    noisy = add_noise(truth, 25.0, 0)
    ours(noisy[:64, :64], truth[:64, :64], arguments.theta, "auto")  # kernels loaded
    print(f"{describe()}\n{arguments.size}² pixels, exp(θ) = {np.exp(arguments.theta):.1f}")
    print(product_bandwidth(noisy, arguments.theta))
    times, answers = {}, {}
    for run in range(arguments.repeat):
        for name in ("by hand", *arguments.solvers):  # taking turns, so that noise hits all alike
            started = time.perf_counter()
            if name == "by hand":
                hand = ByHand(noisy, truth)
                answers[name] = (*hand.gradient(arguments.theta), None)
            else:
                answers[name] = ours(noisy, truth, arguments.theta, name)
            times.setdefault(name, []).append(time.perf_counter() - started)
            print(f"  run {run + 1}  {name:<10} {times[name][-1]:8.2f} s", flush=True)
    base = float(np.median(times["by hand"]))
    loss, slope, _ = answers["by hand"]
    print(f"\n{'':<10} {'median':>8} {'min':>8} {'max':>8}   by hand / this   differs by")
    for name, seconds in times.items():
        value, gradient, report = answers[name]
        differs = max(abs(value / loss - 1), abs(gradient / slope - 1))
        print(f"{name:<10} {np.median(seconds):8.2f} {min(seconds):8.2f} {max(seconds):8.2f}   "
              f"{base / np.median(seconds):14.2f}   {differs:.1e}")  # fmt: skip
        if report is not None:
            state = report.state
            print(
                f"{'':<10} {state.iterations} Newton steps, {state.linear_iterations} products, "
                f"{state.factorizations} factorizations by {state.linear_solver}; adjoint "
                f"{report.adjoint.iterations} iterations, residual {report.adjoint.residual:.1e}"
            )
    print(f"{'by hand':<10} {hand.iterations} Newton steps, each with a factorization")


if __name__ == "__main__":
    main()
