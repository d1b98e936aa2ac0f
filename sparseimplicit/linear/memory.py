"""The memory that is really available to this process."""

from __future__ import annotations

import os
from pathlib import Path


def available_bytes() -> int:
    """Return the bytes that can still be allocated: the machine's, or its cgroup's if less.

    Reads ``/proc/meminfo`` (MemAvailable) and the limit and use of the control group, versions 2
    and 1. Where neither exists, half of the physical memory.
    """
    bounds = [bound for bound in (_meminfo(), _cgroup()) if bound is not None]
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


def _cgroup() -> int | None:
    root = Path("/sys/fs/cgroup")
    for limit, use in (
        (root / "memory.max", root / "memory.current"),
        (root / "memory/memory.limit_in_bytes", root / "memory/memory.usage_in_bytes"),
    ):
        try:
            text = limit.read_text(encoding="ascii").strip()
            return None if text == "max" else int(text) - int(use.read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
    return None
