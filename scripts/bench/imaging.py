"""One hypergradient of a denoiser, forward solve included: ours beside JAXopt's and torch's.

    python scripts/bench/imaging.py                                  ours alone
    python scripts/bench/imaging.py --peers peers/bin/python         with peers, in their own place
    python scripts/bench/imaging.py --models tv --sizes 512 1024 --peers peers/bin/python

    python3 -m venv peers
    peers/bin/pip install jax==0.4.38 jaxlib==0.4.38 jaxopt==0.8.5 torch==2.13.0

The energy and the loss are the same for all: noise of 25 on a photograph, mirrored borders, loss
½‖u − truth‖², float64, two threads, from the noisy image. Everyone is run at several tolerances;
the fastest whose gradient is right to 1e-6 of the one at 1e-12 counts, its compiling left out.
Torch unrolls 200 accelerated gradient steps, and has the error that these leave. Medians of
--repeats.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

import machine
import numpy as np
from tv import image

import sparseimplicit as si
from sparseimplicit.imaging import (
    FieldsOfExperts,
    Observation,
    TotalVariation,
    add_noise,
    squared_error,
)
from sparseimplicit.imaging.models.cosines import cosine_filters

TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
WANTED = 1e-6
PEERS = ("jaxopt l-bfgs", "jaxopt newton-cg", "torch, 200 unrolled")
MODELS = {
    "tv": (TotalVariation(epsilon=1.0), (256, 512, 1024, 2048)),
    "foe 24 5×5": (FieldsOfExperts(size=5, count=24, filters="learned"), (256, 512)),
    "foe 48 7×7": (FieldsOfExperts(size=7, count=48, filters="learned"), (256,)),
    "convex 24 5×5": (
        FieldsOfExperts(size=5, count=24, potential="charbonnier", filters="learned"),
        (256,),
    ),
}


def gradient_of(implicit, theta, noisy, truth, rtol):
    """Return the hypergradient from the noisy image, and what was done."""
    solved = implicit.solve(theta, noisy.ravel(), rtol=rtol)
    return si.hypergradient(squared_error(truth), solved, rtol=rtol, estimate_error=False), solved


def ours(implicit, theta, noisy, truth, options):
    """Return for each tolerance the seconds of all runs, the gradient and the counts."""
    found = []
    for rtol in options.tolerances:
        gradient_of(implicit, theta, noisy, truth, rtol)
        seconds = []
        for _ in range(options.repeats):
            started = time.perf_counter()
            h, solved = gradient_of(implicit, theta, noisy, truth, rtol)
            seconds.append(time.perf_counter() - started)
        counts = f"{solved.report.iterations} Newton steps, {solved.report.linear_iterations} + " \
                 f"{h.report.adjoint.iterations} iterations"  # fmt: skip
        found.append(
            {"tolerance": rtol, "seconds": seconds, "gradient": h.gradient, "counts": counts}
        )
    return found


def settings(model, theta):
    """Return what a peer has to know of a model; a step size that is safe for it."""
    if isinstance(model, TotalVariation):
        lipschitz = 1.0 + 8.0 * float(np.exp(theta[0])) / model.epsilon
        return {"kind": "tv", "epsilon": model.epsilon, "lipschitz": lipschitz, "momentum": 0.9}
    lipschitz = 1.0 + float(np.exp(theta[: model.count]).sum())
    return {
        "kind": "foe", "count": model.count, "size": model.size, "scale": model.scale,
        "potential": model.potential, "lipschitz": lipschitz, "momentum": 0.9,
    }  # fmt: skip


def peer(method, folder, options):
    """Return what a peer prints, up to its patience."""
    program = pathlib.Path(__file__).with_name("imaging_peers.py")
    with tempfile.TemporaryFile("w+") as printed:
        try:
            subprocess.run(
                [options.peers, program, folder, method, str(options.repeats),
                 *map(str, options.tolerances)],
                stdout=printed, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                check=True, timeout=options.patience, env={**os.environ, "OMP_NUM_THREADS": "2"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            print(f"  {method}: stopped after {options.patience:.0f} s", flush=True)
        except subprocess.CalledProcessError as error:
            why = error.stderr.splitlines()[-1:] or [f"ended by {error.returncode}"]
            if error.returncode == -signal.SIGKILL:
                why = ["killed by the system, as one that asks for more memory than there is"]
            print(f"  {method} failed: {why[0]}", flush=True)
        printed.seek(0)
        return [json.loads(line) for line in printed]


def best_of(found, reference):
    """Return the fastest that is right; the most accurate where none is, and its error."""
    for one in found:
        gradient = np.asarray(one["gradient"])
        one["error"] = float(np.linalg.norm(gradient - reference) / np.linalg.norm(reference))
    right = [one for one in found if one["error"] <= WANTED]
    if right:
        return min(right, key=lambda one: np.median(one["seconds"]))
    return min(found, key=lambda one: one["error"], default=None)


def compare(name, model, size, options):
    """Print ours and the peers' for one model and size."""
    truth = image(size)
    noisy = add_noise(truth, 25.0, 0)
    theta = model.start(truth.shape)
    implicit = model.implicit(Observation(noisy))
    reference = gradient_of(implicit, theta, noisy, truth, 1e-12)[0].gradient
    found = {"ours": ours(implicit, theta, noisy, truth, options)}
    print(f"{name}, {size}²: {theta.size} parameters", flush=True)
    if options.peers:
        with tempfile.TemporaryDirectory() as folder:
            arrays = {"noisy": noisy, "truth": truth, "theta": theta}
            arrays["cosines"] = cosine_filters(getattr(model, "size", 3))
            for key, array in arrays.items():
                np.save(pathlib.Path(folder, f"{key}.npy"), array)
            pathlib.Path(folder, "model.json").write_text(json.dumps(settings(model, theta)))
            for method in options.methods:
                found[method] = peer(method, folder, options)
    base = None
    for method, runs in found.items():
        best = best_of(runs, reference)
        if best is None:
            continue
        seconds = float(np.median(best["seconds"]))
        base = base or seconds
        print(
            f"  {method:<20} {seconds:8.3f} s ({min(best['seconds']):.3f}–"
            f"{max(best['seconds']):.3f})  {seconds / base:6.1f} × ours  error {best['error']:.1e} "
            f"at tolerance {best['tolerance']:.0e}  {best.get('counts', '')}",
            flush=True,
        )


def main():
    """Run the models and sizes asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=list(MODELS), help="parts of names")
    parser.add_argument("--sizes", type=int, nargs="+", help="default: those of each model")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tolerances", type=float, nargs="+", default=TOLERANCES)
    parser.add_argument("--patience", type=float, default=600.0, help="seconds for one peer")
    parser.add_argument("--methods", nargs="+", default=PEERS, choices=PEERS)
    parser.add_argument("--peers", metavar="PYTHON", help="an interpreter with jaxopt and torch")
    options = parser.parse_args()
    machine.keep_memory()
    print(machine.describe())
    for name, (model, sizes) in MODELS.items():
        if any(part in name for part in options.models):
            for size in options.sizes or sizes:
                compare(name, model, size, options)


if __name__ == "__main__":
    main()
