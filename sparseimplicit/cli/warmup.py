"""``sparseimplicit warmup``: compile the kernels ahead."""

from __future__ import annotations

import time

import numpy as np
import typer

from ..derivatives import Energy, Residual, parameters, patches, shared, term
from ..imaging import total_variation
from ..kernels import incidence
from ..kernels.__main__ import warm_up

SIZE = 330  # of an image whose loops run in parallel, with tiles as those of larger ones have


def warmup() -> None:
    """Compile every kernel and keep the code on disk, so that no job waits for the compiler.

    For example, once on each kind of node:

    sparseimplicit warmup

    Takes some minutes the first time, and seconds when all is there. Kernels of terms of your own
    are compiled at first use, and kept too.
    """
    typer.echo(f"kernels compiled in {warm_up():.1f} s")
    started = time.perf_counter()
    _warm_total_variation()
    _warm_terms()
    typer.echo(f"local terms compiled in {time.perf_counter() - started:.1f} s")


def _warm_total_variation() -> None:
    image = np.zeros((SIZE, SIZE))
    for weight_map in (False, True):
        for assembled in (True, False):
            problem = total_variation(image, weight_map=weight_map, assembled=assembled)
            _run(problem)


def _warm_terms() -> None:
    """Run what is the same for all lists of elements and all lifts."""
    pairs = np.array([[0, 1], [1, 2], [2, 0]])
    spring = term(lambda y, x, c: np.exp(x[0]) * (y[1] - y[0]) ** 2, y=pairs, x=pairs[:, :1])
    _run(Energy(spring, n_y=3, n_x=3))
    flow = Residual(lambda y, x, c: [y[0] - x[0], y[1] * y[0]], rows=pairs, y=pairs, x=pairs[:, :1],
                    n_y=3, n_x=3)  # fmt: skip
    flow.residual(np.zeros(3), np.zeros(3))
    flow.state_jacobian(np.zeros(3), np.zeros(3))
    windows = patches((20, 20), (3, 3))
    for places in (windows, windows.indices()):
        for lift in (np.ones((1, 9)), parameters(1, (1, 9))):
            expert = term(lambda r, x, c: x[0] * r[0] ** 2, y=places, x=shared(1), lift=lift)
            _run(Energy(expert, n_y=400, n_x=10))
    starts, order = np.empty(4, dtype=np.int64), np.empty(3, dtype=np.int64)
    for kind in (np.int32, np.int64):  # a long list is grouped, for threads
        incidence.group_elements(pairs.astype(kind), 3, 2, starts, order)


def _run(problem: Energy) -> None:
    x, y = np.zeros(problem.n_x), np.zeros(problem.n_y)
    problem.objective(x, y)
    problem.gradient(x, y)
    problem.hessian(x, y)
    b = problem.cross_hessian(x, y)
    b @ x
    b.T @ y
