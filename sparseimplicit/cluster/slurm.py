"""What Slurm says of the job that this process is in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import datetime
from typing import Final

PATIENCE: Final = 10.0  # seconds that a question to the controller may take
NAMES: Final = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT",
                "SLURM_JOB_PARTITION", "SLURM_CPUS_PER_TASK", "SLURM_JOB_NODELIST")  # fmt: skip


def job_facts() -> dict[str, str]:
    """Return what the environment says of the job; nothing outside of one."""
    return {name: os.environ[name] for name in NAMES if name in os.environ}


def job_end() -> float | None:
    """Return when the job will be ended, in seconds since 1970; None if that is not known.

    The environment is asked first, then ``squeue``, then ``scontrol``.
    """
    told = os.environ.get("SLURM_JOB_END_TIME", "")
    if told.isdigit():
        return float(told)
    job = os.environ.get("SLURM_JOB_ID", "")
    if not job.isdigit():
        return None
    for command in (
        ["squeue", "-h", "-j", job, "-o", "%e"],
        ["scontrol", "-o", "show", "job", job],
    ):
        found = re.search(r"(?:EndTime=|^)(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", _answer(command))
        if found:
            return datetime.fromisoformat(found[1]).timestamp()
    return None


def _answer(command: list[str]) -> str:
    if shutil.which(command[0]) is None:
        return ""
    try:
        told = subprocess.run(  # noqa: S603 - Slurm's own commands, a number as argument
            command, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout
