"""Steps of Newton's method with what takes the place of the Hessian, and without.

    python scripts/bench/steps.py

Primal-dual steps for smoothed norms, majorized ones for nonconvex experts, from the noisy image;
without them by the same problem that offers neither. Counts alone: no clock is read.
"""

from pathlib import Path

import numpy as np
from tv import image

import sparseimplicit as si
from sparseimplicit.imaging import Observation, TotalVariation, add_noise, read_model

MODELS = Path(__file__).resolve().parents[2] / "datasets" / "models"


def counts(implicit, theta, y0, rtol):
    """Return steps, linear iterations and shortened steps of a solve."""
    report = implicit.solve(theta, y0, rtol=rtol).report
    return report.iterations, report.linear_iterations, report.shortened_steps


def without(implicit):
    """Return the same function of a problem that offers the Hessian alone."""
    p = implicit.problem
    plain = si.MinimizationProblem(
        gradient=p.gradient, hessian=p.hessian, cross_hessian=p.cross_hessian,
        objective=p.objective, structure=p.structure,
    )  # fmt: skip
    return si.ImplicitFunction(plain, linear_solver=implicit.linear_solver)


def compare(name, model, theta, size, rtol):
    """Print one line."""
    noisy = add_noise(image(size), 25.0, 0)
    implicit = model.implicit(Observation(noisy))
    with_, plain = (counts(f, theta, noisy.ravel(), rtol) for f in (implicit, without(implicit)))
    print(f"{name:<28} {size:>4}²  {rtol:.0e}   {with_!s:<16} {plain}", flush=True)


def main():
    """Compare."""
    print("problem, size, rtol; steps, iterations and shortened steps, with and without")
    for epsilon in (1.0, 0.1):
        model = TotalVariation(epsilon=epsilon)
        theta = model.start((512, 512))
        compare(f"total variation, ε = {epsilon}", model, theta, 512, 1e-5)
    saved = read_model(MODELS / "foe24-sigma25.npz")
    for size in (128, 256):
        compare("24 experts, log potential", saved.model, np.asarray(saved.theta), size, 1e-4)


if __name__ == "__main__":
    main()
