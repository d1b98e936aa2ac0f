"""The memory that is really available to this process."""

from __future__ import annotations

import math
import os
import re
import resource
from collections.abc import Iterator
from numbers import Real
from pathlib import Path
from typing import Any, Final

from ..errors import ConfigError

UNITS: Final = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def available_bytes() -> int:
    """Return the bytes that can still be allocated, by the tightest of the limits found.

    These are what the machine has left (MemAvailable), the control groups of this process and all
    above them (versions 2 and 1), what Slurm granted the job on this node, and ``ulimit -v``.
    Where nothing can be read, half of the physical memory.
    """
    bounds = [bound for bound in (_meminfo(), _cgroups(), _slurm(), _ulimit()) if bound is not None]
    if bounds:
        return max(min(bounds), 0)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _meminfo() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _cgroups() -> int | None:
    left = [
        room
        for folder, limit, use in _groups()
        if (room := _room(folder / limit, folder / use)) is not None
    ]
    return min(left) if left else None


def _groups() -> Iterator[tuple[Path, str, str]]:
    """Yield the folders of this process's memory groups, from its own up to the root."""
    for folder, version in control_groups("memory"):
        files = ("memory.max", "memory.current")
        if version == 1:
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        yield folder, *files


def control_groups(controller: str) -> Iterator[tuple[Path, int]]:
    """Yield the folders of the groups that limit this process, from its own up to the root.

    Each with the version of control groups that it belongs to, 2 or 1.
    """
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except OSError:
        lines = ["0::/"]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = Path("/sys/fs/cgroup") / controller if controllers else Path("/sys/fs/cgroup")
        folder = root / path.lstrip("/")
        while True:
            yield folder, 1 if controllers else 2
            if folder == root or root not in folder.parents:
                break
            folder = folder.parent


def _room(limit: Path, use: Path) -> int | None:
    try:
        text = limit.read_text(encoding="ascii").strip()
        return None if text == "max" else int(text) - int(use.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _slurm() -> int | None:
    """Return what Slurm granted on this node less what this process holds; not all sites enforce it
    by control groups, and the job is killed all the same.
    """
    granted = _mebibytes("SLURM_MEM_PER_NODE")
    if granted is None:
        each = _mebibytes("SLURM_MEM_PER_CPU")
        cpus = os.environ.get("SLURM_CPUS_ON_NODE") or os.environ.get("SLURM_CPUS_PER_TASK")
        if each is None or cpus is None or not cpus.isdigit():
            return None
        granted = each * int(cpus)
    return granted - resident_bytes() if granted else None  # 0 means all of the node's


def _mebibytes(name: str) -> int | None:
    text = os.environ.get(name, "")
    return int(text) * 2**20 if text.isdigit() else None


def _ulimit() -> int | None:
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return None
    return soft - _statm(0)


def resident_bytes() -> int:
    """Return the memory that this process holds now; 0 where the system does not tell."""
    return _statm(1)


def _statm(column: int) -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[column])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def told_bytes(count: float) -> str:
    """Return bytes in the unit that suits them: ``1000 B``, ``9.8 KiB``, ``16 GiB``."""
    size, unit = max(float(count), 0.0), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024.0:
            break
        size, unit = size / 1024.0, larger
    return f"{size:.{1 if unit != 'B' and size < 10.0 else 0}f} {unit}"


def parsed_bytes(memory: Any) -> int:
    """Return the bytes meant by ``16G``, ``900M``, a string of digits or a number."""
    if isinstance(memory, str):
        pattern = r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:i?B)?"
        found = re.fullmatch(pattern, memory.strip(), re.IGNORECASE)
        if found is not None:
            return int(float(found[1]) * UNITS[found[2].upper()])
    elif isinstance(memory, Real) and 0 <= float(memory) < math.inf:
        return int(float(memory))
    raise ConfigError(
        f"memory {memory!r}: no amount of memory.", fix="give bytes, '16G' or '900M'."
    )
