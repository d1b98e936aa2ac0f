"""How fast this machine is at what solvers do: measured in seconds, kept for the next time.

Forecasts multiply counts (entries, operations, iterations) by these rates. A machine is known by
its processor, the cores this process may use, and the versions of the libraries that do the work.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import logging
import os
import platform
import time
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import numpy as np

from ..errors import ConfigError
from ..files import write_atomically
from .calibration import measure

log: Final = logging.getLogger(__name__)

BUSY: Final = 0.15  # part of the cores' time that others may take from a measurement
AGREE: Final = 1.4  # two measurements of a rate confirm each other within this factor
ROUNDS: Final = 3

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
    of A, to set up AMG. cycle: an entry of the hierarchy in one V-cycle. grid_setup, grid_cycle: a
    point, of multigrid on grids; an iteration of CG around its cycle is part of the second.
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
    grid_setup: float = 1.6e-7
    grid_cycle: float = 4.5e-8

    @property
    def pace(self) -> float:
        """How many times longer this machine takes to move a byte than the one of the defaults."""
        return self.byte / Rates.byte

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

    Where the cache cannot be written they are measured once in each process; what was measured
    while others worked on the machine too is measured again, an hour later at the earliest.
    """
    path = cache_path()
    known, until = _read(path)
    if known is not None and time.time() < until:
        return known
    log.info("measuring this machine's rates: some five seconds; kept in %s", path)
    return calibrate()


def calibrate() -> Rates:
    """Measure the rates of this machine and put them into the cache; returns them.

    Notes
    -----
    Runs each method on a model matrix, the whole of it two times or more, until two measurements
    of every rate agree, and takes the faster of these. Other work on the machine all the time
    makes it look slower, which is noticed and said: calibrate when it is idle. What
    cannot be measured, for want of a backend, keeps its default. Cost: two
    to five seconds a round.
    """
    rounds: list[dict[str, float]] = []
    busy, unsettled = 1.0, ["all"]
    while len(rounds) < 2 or (unsettled and len(rounds) < ROUNDS):
        found, others = measure()
        rounds.append(found)
        busy = min(busy, others)  # what counts is the quietest round
        agreed = {
            name: _confirmed([seconds[name] for seconds in rounds if name in seconds])
            for name in found
        }
        unsettled = [name for name, (_, confirmed) in agreed.items() if not confirmed]
    measured = Rates(**{name: seconds for name, (seconds, _) in agreed.items()})
    if busy > BUSY or unsettled:
        measured = _plausible(measured)
        known, _ = _read(cache_path())
        if known is not None:
            kept = dataclasses.asdict(known)
            faster = {k: min(v, kept[k]) for k, v in dataclasses.asdict(measured).items()}
            measured = Rates(**faster)
        log.warning(
            "other processes took %.0f %% of the cores while this machine's rates were measured%s: "
            "forecasts may be too long; run `sparseimplicit calibrate` when it is idle",
            100 * busy,
            f", and {', '.join(unsettled)} came out different each time" if unsettled else "",
        )
    # The rounds that were kept of these two may be different ones.
    measured = dataclasses.replace(measured, byte=max(measured.byte, measured.cached_byte))
    try:
        record = {
            "machine": machine(),
            "disturbed": busy > BUSY or bool(unsettled),
            "rates": dataclasses.asdict(measured),
        }
        text = json.dumps(record, indent=2) + "\n"
        write_atomically(cache_path(), lambda file: file.write(text.encode()))
    except ConfigError as error:
        log.warning("the rates of this machine cannot be kept: %s", error)
    rates.cache_clear()
    return measured


def _plausible(measured: Rates) -> Rates:
    """Bring each rate within a factor of two of the default, times the median of those ratios."""
    usual = np.array(dataclasses.astuple(Rates()))
    ratios = np.array(dataclasses.astuple(measured)) / usual
    pace = float(np.median(ratios))
    limited = usual * np.clip(ratios, 0.5 * pace, 2.0 * pace)
    return Rates(**dict(zip(dataclasses.asdict(measured), limited.tolist(), strict=True)))


def _confirmed(seconds: list[float]) -> tuple[float, bool]:
    """Return the fastest of which another measurement gives nearly the same, and whether one does.

    Not just the fastest: some rates are differences of two times, which other work on the machine
    can make too small as well.
    """
    ordered = sorted(seconds)
    for first, second in itertools.pairwise(ordered):
        if second <= AGREE * first:
            return first, True
    return ordered[len(ordered) // 2], False


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


def _read(path: Path) -> tuple[Rates | None, float]:
    """Return the rates kept, and the time until which they are good."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        known = Rates(**record["rates"])
        until = path.stat().st_mtime + 3600.0 if record["disturbed"] else np.inf
    except (OSError, ValueError, KeyError, TypeError):
        return None, 0.0  # not there, damaged, or of another version: measured anew
    values = dataclasses.astuple(known)
    return known if all(isinstance(v, float) and 0 < v < 1 for v in values) else None, until


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
