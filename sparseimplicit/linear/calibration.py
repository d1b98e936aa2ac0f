"""Measuring how fast this machine is at what solvers do: each method on a model matrix."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from .._optional import available
from ..errors import SparseImplicitError
from ..kernels.graph import column_counts
from .cholmod_api import analyse
from .operator import Operator, Structure, csr_from_parts
from .preconditioners import AMG, Jacobi
from .recognition import stencil_of
from .solvers import CG, Cholmod, Multigrid, Pardiso, SuperLU
from .solvers.multigrid import Recognised

log: Final = logging.getLogger(__name__)
SPD: Final = Structure.POSITIVE_DEFINITE


def measure() -> tuple[dict[str, float], float]:
    """Return the rates that could be measured, and how busy others kept the cores meanwhile.

    Busy is a part of the cores' time, from 0 to 1; 0 where the system does not tell.
    """
    started, others = time.perf_counter(), _others_seconds()
    found = _cg() | _cholmod() | _pardiso() | _superlu() | _amg() | _grid() | _blas()
    cores = len(os.sched_getaffinity(0))
    passed = max(time.perf_counter() - started, 1e-9)
    return found, float(np.clip((_others_seconds() - others) / (cores * passed), 0.0, 1.0))


def _others_seconds() -> float:
    """Return the seconds that this process's cores have worked for other processes."""
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    mine = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    ticks = 0
    for name, *counts in (line.split() for line in lines if line.startswith("cpu")):
        if name in mine:
            user, nice, system, _idle, _wait, *interrupts = map(int, counts[:8])
            ticks += user + nice + system + sum(interrupts)
    return ticks / os.sysconf("SC_CLK_TCK") - sum(os.times()[:2])


def grid_laplacian(*shape: int) -> Operator:
    """Return the 5- or 7-point Laplacian of a grid plus 0.01 I, which every method can take."""
    n = int(np.prod(shape))
    index = np.arange(n).reshape(shape)
    columns, values = [index.ravel()], [np.full(n, 2.0 * len(shape) + 0.01)]
    for axis in range(len(shape)):
        for step in (-1, 1):
            beside = np.roll(index, -step, axis=axis)
            edge = [slice(None)] * len(shape)
            edge[axis] = slice(0, 1) if step < 0 else slice(-1, None)
            beside[tuple(edge)] = -1
            columns.append(beside.ravel())
            values.append(np.full(n, -1.0))
    column, value = np.stack(columns, axis=1), np.stack(values, axis=1)
    order = np.argsort(column, axis=1)
    column, value = np.take_along_axis(column, order, 1), np.take_along_axis(value, order, 1)
    inside = column >= 0
    indptr = np.zeros(n + 1, dtype=np.int32)
    np.cumsum(inside.sum(axis=1), out=indptr[1:])
    entries = csr_from_parts(value[inside], column[inside].astype(np.int32), indptr, (n, n))
    return Operator(entries, SPD)


def _fastest(work: Callable[[], Any], repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def _cg() -> dict[str, float]:
    def seconds_an_iteration(operator: Operator, few: int, many: int) -> float:
        """Take the difference of two runs, which leaves out what is done once."""
        b = np.random.default_rng(0).random((operator.n, 1))
        tight = np.array([1e-300])
        runs = [CG(Jacobi(), max_iterations=k).prepare(operator).method for k in (few, many)]
        times = [_fastest(lambda run=run: run._solve(b, tight)) for run in runs]  # type: ignore[misc]
        return max(times[1] - times[0], 1e-9) / (many - few)

    small, middle, large = (grid_laplacian(m, m) for m in (24, 230, 1100))
    overhead = seconds_an_iteration(small, 5, 25)

    def a_byte(operator: Operator, few: int, many: int) -> float:
        seconds = seconds_an_iteration(operator, few, many) - overhead
        moved = 12.0 * int(operator.entries.nnz) + 124.0 * operator.n
        return max(seconds, 0.0) / moved

    cached = max(a_byte(middle, 4, 24), 1e-12)
    return {
        "iteration": overhead,
        "cached_byte": cached,
        "byte": max(a_byte(large, 1, 5), cached),
    }


def _cholmod() -> dict[str, float]:
    if not available("sksparse"):
        return {}
    operator = grid_laplacian(200, 200)
    entries = operator.entries
    try:
        symbolic = analyse(entries, "amd")
        counts = column_counts(entries.indptr, entries.indices, symbolic.order())
        small = grid_laplacian(100, 100).entries
        method = Cholmod("amd").prepare(operator)
        b = np.ones((operator.n, 1))
        return {
            "ordering": _fastest(lambda: analyse(entries, "amd"), 2) / entries.nnz,
            "dissection": _fastest(lambda: analyse(small, "metis"), 1) / small.nnz,
            "factor": _fastest(lambda: symbolic.factorize(entries), 2) / float(counts.sum()),
            "solve": _fastest(lambda: method.method._solve(b, np.ones(1))) / float(counts.sum()),
        }
    except SparseImplicitError as error:  # a CHOLMOD without METIS, or a broken one
        log.warning("CHOLMOD could not be measured: %s", error)
        return {}


def _pardiso() -> dict[str, float]:
    if not available("pypardiso"):
        return {}
    operator = grid_laplacian(200, 200)
    nonzeros = operator.entries.nnz
    try:
        system = Pardiso("amd").prepare(operator)  # the first call loads the library
        entries = float(system.analysis.handle.entries)
        ordering = _fastest(lambda: Pardiso("amd").analyse(operator), 2)
        b = np.ones((operator.n, 1))
        return {
            "pardiso_ordering": ordering / nonzeros,
            "pardiso_dissection": _fastest(lambda: Pardiso().analyse(operator), 2) / nonzeros,
            "pardiso_factor": _fastest(lambda: system.refresh(operator)) / entries,
            "pardiso_solve": _fastest(lambda: system.method._solve(b, np.ones(1))) / entries,
        }
    except SparseImplicitError as error:
        log.warning("PARDISO could not be measured: %s", error)
        return {}


def _superlu() -> dict[str, float]:
    operator = grid_laplacian(160, 160)  # a factor beyond the caches
    system = SuperLU().prepare(operator)
    entries = (system.report.bytes_estimate or 1) / 24
    b = np.ones((operator.n, 1))
    return {
        "lu": _fastest(lambda: SuperLU().prepare(operator), 1) / entries,
        "lu_solve": _fastest(lambda: system.method._solve(b, np.ones(1))) / entries,
    }


def _amg() -> dict[str, float]:
    operator = grid_laplacian(120, 120)
    nonzeros = operator.entries.nnz
    r = np.ones((operator.n, 1))
    classical = AMG("classical").prepare(operator)
    held = 12 * nonzeros / (classical.bytes_estimate or 1)
    return {
        "classical": _fastest(lambda: AMG("classical").prepare(operator), 2) / nonzeros,
        "aggregation": _fastest(lambda: AMG("aggregation").prepare(operator), 2) / nonzeros,
        "cycle": _fastest(lambda: classical.apply(r)) / nonzeros * held,
    }


def _grid() -> dict[str, float]:
    operator = grid_laplacian(400, 400)
    stencil = stencil_of(operator.entries, (400, 400))
    assert stencil is not None  # noqa: S101 - it was made so
    analysis = Recognised(operator, stencil)
    solver = Multigrid()
    method = solver.prepare(operator, analysis=analysis).method
    b = np.random.default_rng(0).random((operator.n, 1))
    iterations = method._solve(b, np.array([1e-8])).iterations
    return {
        "grid_setup": _fastest(lambda: solver.prepare(operator, analysis=analysis)) / operator.n,
        "grid_cycle": _fastest(lambda: method._solve(b, np.array([1e-8])))
        / (operator.n * (iterations + 1)),  # one cycle before the first iteration
    }


def _blas() -> dict[str, float]:
    a = np.ones((600, 600))
    return {"flop": _fastest(lambda: a @ a) / (2.0 * 600**3)}
