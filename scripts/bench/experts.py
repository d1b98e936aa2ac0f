"""One hypergradient of a field of experts by weights and filters, and where its time goes.

    python scripts/bench/experts.py                      64², 256²: 24 filters 5×5, 48 of 7×7
    python scripts/bench/experts.py --sizes 512 --filters 48x7 --repeat 3
    python scripts/bench/experts.py --image photo.png    a crop of the image given

g = ½‖u − f‖² + Σ_k exp(w_k) Σ log(1 + ½ (F_k u)²) on grey levels, noise of 25, mirrored borders;
cosine filters without the constant one, over --scale grey levels. Forward solve from the noisy
image to --rtol, then the gradient of ½‖u − truth‖². "warm" is the same after a step that changes
all parameters by about 1 %, started at the solution before it. Medians of --repeat runs.
"""

import argparse
import time

import machine
import numpy as np
from PIL import Image
from tv import image

import sparseimplicit as si
from sparseimplicit.imaging import add_noise, psnr, squared_error


def cosines(width):
    """Return the (width² − 1, width²) cosine filters of norm 1 but the constant one."""
    t = np.arange(width)
    line = np.cos(np.pi * np.outer(t, t + 0.5) / width)
    line /= np.linalg.norm(line, axis=1, keepdims=True)
    return np.kron(line, line)[1:]


def experts(noisy, width, count, scale):
    """Return the problem and its start: equal weights, the first cosines over ``scale``."""
    basis = cosines(width)
    n = noisy.size
    data = si.term(
        lambda y, x, c: 0.5 * (y[0] - c[0]) ** 2, y=np.arange(n)[:, None], c=noisy.reshape(-1, 1),
        name="data",
    )  # fmt: skip
    prior = si.term(
        lambda r, x, c: sum(np.exp(x[k]) * np.log1p(0.5 * r[k] ** 2) for k in range(count)),
        y=si.patches(noisy.shape, (width, width), border="symmetric"),
        x=si.shared(count),
        lift=si.parameters(count, (count, len(basis))) @ basis,
        name="experts",
    )
    start = np.eye(count, len(basis)) / scale
    problem = si.Energy([data, prior], n_y=n, n_x=count + start.size, assembled=False)
    return problem, start


def evaluation(implicit, x, noisy, truth, rtol, start=None):
    """Return the solved state, the hypergradient, and the seconds of each part."""
    begun = time.perf_counter()
    solved = implicit.solve(x, noisy.ravel() if start is None else None, start=start, rtol=rtol)
    forward = time.perf_counter()
    h = si.hypergradient(squared_error(truth), solved, rtol=rtol)
    done = time.perf_counter()
    state, adjoint = solved.report, h.report.adjoint
    parts = {
        "total": done - begun, "forward": forward - begun, "backward": done - forward,
        "objective, gradient": state.seconds.get("conditions", 0.0),
        "Hessian": state.seconds.get("jacobian", 0.0),
        "preconditioner": state.seconds.get("prepare", 0.0),
        "CG": state.seconds.get("solve", 0.0), "adjoint": adjoint.seconds,
    }  # fmt: skip
    return solved, h, parts


def told(label, runs):
    """Print the medians of some runs, and the counts of the last."""
    solved, h, _ = runs[-1]
    state = solved.report
    median = {key: float(np.median([run[2][key] for run in runs])) for key in runs[0][2]}
    spread = [run[2]["total"] for run in runs]
    counts = (
        f"{state.iterations} Newton steps ({state.negative_curvature_steps} of negative curvature, "
        f"{state.shortened_steps} shortened), {state.linear_iterations} + "
        f"{h.report.adjoint.iterations} products"
    )
    print(
        f"  {label:<5} {1e3 * median['total']:9.1f} ms ({1e3 * min(spread):.1f}–"
        f"{1e3 * max(spread):.1f}): {counts}"
    )
    rest = [f"{key} {1e3 * value:.1f}" for key, value in median.items() if key != "total"]
    print(f"        ms: {', '.join(rest)}", flush=True)


def run(options, size, count, width):
    """Print what one size and model take, cold and warm."""
    if options.image is None:
        truth = image(size)
    else:
        with Image.open(options.image) as picture:
            truth = np.asarray(picture.convert("L"), dtype=float)[:size, :size]
    noisy = add_noise(truth, 25.0, 0)
    problem, filters = experts(noisy, width, count, options.scale)
    x = np.append(np.full(count, options.weight), filters)
    implicit = si.ImplicitFunction(problem, options.solver)
    rng = np.random.default_rng(1)
    near = x * (1 + 0.01 * rng.standard_normal(x.size))
    cold, warm = [], []
    for turn in range(options.repeat + 1):  # the first compiles
        one = evaluation(implicit, x, noisy, truth, options.rtol)
        two = evaluation(implicit, near, noisy, truth, options.rtol, one[0])
        if turn:
            cold.append(one)
            warm.append(two)
    found = one[0].y.reshape(noisy.shape)
    shape = "×".join(map(str, truth.shape))
    print(
        f"\n{shape}, {count} filters {width}×{width}: {psnr(noisy, truth):.2f} → "
        f"{psnr(found, truth):.2f} dB, residual {one[0].report.residual_relative:.1e}"
    )
    told("cold", cold)
    told("warm", warm)


def main():
    """Run the sizes and models asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--filters", nargs="+", default=["24x5", "48x7"])
    parser.add_argument("--image", help="default: the canyon of datasets/, resized")
    parser.add_argument("--scale", type=float, default=10.0, help="grey levels")
    parser.add_argument("--weight", type=float, default=3.0, help="w of all filters")
    parser.add_argument("--rtol", type=float, default=1e-6)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--solver", default="cg+spectral")
    options = parser.parse_args()
    machine.keep_memory()
    print(machine.describe())
    for size in options.sizes:
        for name in options.filters:
            count, width = map(int, name.split("x"))
            run(options, size, count, width)


if __name__ == "__main__":
    main()
