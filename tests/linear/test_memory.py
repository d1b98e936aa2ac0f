"""Limits of memory, read from files and variables that stand in for those of a machine."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sparseimplicit.errors import ConfigError
from sparseimplicit.linear import choose, memory
from sparseimplicit.linear.memory import parsed_bytes, told_bytes


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Let the module read another machine's files: tmp_path stands for /."""

    class Elsewhere(type(Path())):
        def __new__(cls, *parts):
            return Path(tmp_path, *[str(part).lstrip("/") for part in parts])

    monkeypatch.setattr(memory, "Path", Elsewhere)
    for name in (
        "SLURM_MEM_PER_NODE",
        "SLURM_MEM_PER_CPU",
        "SLURM_CPUS_ON_NODE",
        "SLURM_CPUS_PER_TASK",
    ):
        monkeypatch.delenv(name, raising=False)

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    write("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
    write("proc/self/statm", "300 200 0 0 0 0 0\n")
    return write


def test_what_the_machine_has_left(machine):
    assert memory.available_bytes() == 4000 * 1024


def test_the_tightest_group_above_the_process_counts(machine):
    machine("proc/self/cgroup", "0::/slice/job\n")
    machine("sys/fs/cgroup/slice/job/memory.max", "max\n")
    machine("sys/fs/cgroup/slice/job/memory.current", "1\n")
    machine("sys/fs/cgroup/slice/memory.max", "3000000\n")
    machine("sys/fs/cgroup/slice/memory.current", "1000000\n")
    assert memory.available_bytes() == 2_000_000


def test_groups_of_version_1(machine):
    machine("proc/self/cgroup", "5:cpu:/a\n4:memory,other:/job\n")
    machine("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "500000\n")
    machine("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "100000\n")
    assert memory.available_bytes() == 400_000


@pytest.mark.parametrize(
    "variables",
    [{"SLURM_MEM_PER_NODE": "2"}, {"SLURM_MEM_PER_CPU": "1", "SLURM_CPUS_ON_NODE": "2"}],
)
def test_what_slurm_granted(machine, monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    pages = 200 * resource.getpagesize()
    assert memory.available_bytes() == 2 * 2**20 - pages


def test_slurms_zero_is_the_whole_node(machine, monkeypatch):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "0")
    assert memory.available_bytes() == 4000 * 1024


def test_ulimit():
    """In a process of its own: a limit once lowered stays."""
    code = (
        "import resource; from sparseimplicit.linear.memory import available_bytes as left;"
        "a = left(); resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30));"
        "b = left(); print(int(0 < b < min(a, 3 * 2**30)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "1"


def test_resident_memory_grows_with_what_is_held():
    """In a process of its own: here freed memory may be used again."""
    code = (
        "from sparseimplicit.linear.memory import resident_bytes as held; a = held();"
        "b = bytearray(b'x') * (64 * 2**20); print(int(32 * 2**20 < held() - a < 128 * 2**20))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "1"


def test_amounts_of_memory():
    assert parsed_bytes("16G") == 16 * 2**30
    assert parsed_bytes("1.5 MiB") == 3 * 2**19
    assert parsed_bytes("900") == parsed_bytes(900) == parsed_bytes(9e2) == 900


@pytest.mark.parametrize("amount", ["-1G", "much", np.nan, np.inf, -1, [1]])
def test_what_is_no_amount_of_memory_is_refused(amount):
    with pytest.raises(ConfigError, match="no amount"):
        choose(np.eye(3), memory=amount)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (-1000, "0 B"),
        (0, "0 B"),
        (1000, "1000 B"),
        (10_000, "9.8 KiB"),
        (3 * 2**19, "1.5 MiB"),
        (16 * 2**30, "16 GiB"),
        (2**60, "1048576 TiB"),
    ],
)
def test_bytes_are_told_in_a_unit_that_suits_them(count, words):
    assert told_bytes(count) == words
