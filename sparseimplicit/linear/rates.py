"""How fast this machine is at what solvers do: measured in a second, kept for the next time.

Forecasts multiply counts (entries, operations, iterations) by these rates. A machine is known by
its processor, the cores this process may use, and the versions of the libraries that do the work.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np

from .._optional import available
from ..errors import ConfigError, SparseImplicitError
from ..files import write_atomically
from ..kernels.graph import column_counts
from .cholmod_api import analyse
from .operator import Operator, Structure, csr_from_parts
from .preconditioners import AMG, Jacobi
from .solvers import CG, Cholmod, Pardiso, SuperLU

log: Final = logging.getLogger(__name__)
SPD: Final = Structure.POSITIVE_DEFINITE

# Working sets of a CG iteration between which it goes from cache to main memory.
IN_CACHE: Final = 8 * 2**20
OUT_OF_CACHE: Final = 64 * 2**20

THREADS: Final = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS")
LIBRARIES: Final = (
    "numpy", "scipy", "numba", "pyamg", "scikit-sparse", "pypardiso", "mkl", "sparseimplicit",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Seconds for one of each; the defaults were measured on two cores of a 2022 server.

    iteration: of CG, whatever the size. cached_byte, byte: moved by CG in cache, and out of it.
    ordering, dissection: an entry of A, by minimum degree and by METIS. factor: an entry of L, of
    planar graphs. flop: of a matrix product. solve: an entry of L, forth and back. pardiso_…: the
    same by PARDISO. lu, lu_solve: an entry of L + U by SuperLU. classical, aggregation: an entry
    of A, to set up AMG. cycle: an entry of the hierarchy in one V-cycle.
    """

    iteration: float = 2e-5
    cached_byte: float = 1.5e-11
    byte: float = 3.5e-11
    ordering: float = 1.0e-7
    dissection: float = 7e-7
    factor: float = 5.0e-8
    flop: float = 1.5e-11
    solve: float = 3.0e-9
    pardiso_ordering: float = 1.2e-7
    pardiso_dissection: float = 3.1e-7
    pardiso_factor: float = 1.8e-8
    pardiso_solve: float = 1.5e-9
    lu: float = 2.0e-7
    lu_solve: float = 4.0e-9
    classical: float = 2.5e-7
    aggregation: float = 3.5e-7
    cycle: float = 2.5e-8

    def iteration_of_cg(self, n: int, nonzeros: int, columns: int = 1) -> float:
        """Return the seconds of one iteration of CG with Jacobi's preconditioner."""
        moved = 12.0 * nonzeros + (20.0 + 104.0 * columns) * n
        held = 12.0 * nonzeros + 48.0 * n * columns
        spilled = np.clip(np.log(held / IN_CACHE) / np.log(OUT_OF_CACHE / IN_CACHE), 0.0, 1.0)
        return self.iteration + moved * float(
            self.cached_byte + spilled * (self.byte - self.cached_byte)
        )


@lru_cache(maxsize=1)
def rates() -> Rates:
    """Return the rates of this machine: from the cache, or else measured now and cached.

    Where the cache cannot be written they are measured once in each process.
    """
    path = cache_path()
    known = _read(path)
    if known is not None:
        return known
    log.info("measuring this machine's rates, once: about a second; kept in %s", path)
    return calibrate()


def calibrate() -> Rates:
    """Measure the rates of this machine and put them into the cache; returns them.

    Notes
    -----
    Runs each method on a model matrix, two or three times, and takes the fastest. Other work on
    the machine makes it look slower: calibrate when it is idle. What cannot be measured, for want
    of a backend, keeps its default. Cost: one to two seconds.
    """
    measured = Rates(**(_cg() | _cholmod() | _pardiso() | _superlu() | _amg() | _blas()))
    try:
        text = json.dumps(measured_record(measured), indent=2) + "\n"
        write_atomically(cache_path(), lambda file: file.write(text.encode()))
    except ConfigError as error:
        log.warning("the rates of this machine cannot be kept: %s", error)
    rates.cache_clear()
    return measured


def measured_record(measured: Rates) -> dict[str, Any]:
    """Return the rates with the machine that they are of, as it is stored."""
    return {"machine": machine(), "rates": dataclasses.asdict(measured)}


def machine() -> dict[str, str]:
    """Return what tells this machine from another, as far as speed goes."""
    cores = {"processor": _processor(), "cores": str(len(os.sched_getaffinity(0)))}
    threads = {name: value for name in THREADS if (value := os.environ.get(name))}
    return cores | threads | {name: _version(name) for name in LIBRARIES}


def cache_path() -> Path:
    """Return where the rates of this machine are kept: ``$XDG_CACHE_HOME/sparseimplicit/``."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    name = hashlib.sha256(json.dumps(machine(), sort_keys=True).encode()).hexdigest()[:16]
    return Path(root) / "sparseimplicit" / f"rates-{name}.json"


def _read(path: Path) -> Rates | None:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))["rates"]
        known = Rates(**record)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, damaged, or of another version: measured anew
    values = dataclasses.astuple(known)
    return known if all(isinstance(v, float) and 0 < v < 1 for v in values) else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


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

    small, middle, large = (
        grid_laplacian(24, 24),
        grid_laplacian(230, 230),
        grid_laplacian(900, 900),
    )
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


def _blas() -> dict[str, float]:
    a = np.ones((600, 600))
    return {"flop": _fastest(lambda: a @ a) / (2.0 * 600**3)}
