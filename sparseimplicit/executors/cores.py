"""The cores that this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

from ..linear.memory import control_groups


def available_cores() -> int:
    """Return how many cores there are: by affinity, control groups (both versions), and Slurm."""
    bounds = [len(os.sched_getaffinity(0))]
    granted = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if granted.isdigit() and int(granted):
        bounds.append(int(granted))
    for folder, version in control_groups("cpu"):
        quota = _quota(folder, version)
        if quota is not None:
            bounds.append(quota)
    return max(min(bounds), 1)


def _quota(folder: Path, version: int) -> int | None:
    """Return the cores that the quota of a control group amounts to, rounded up; None for none."""
    try:
        if version == 2:
            quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            period = (folder / "cpu.cfs_period_us").read_text(encoding="ascii")
        if quota in ("max", "-1"):
            return None
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return None
