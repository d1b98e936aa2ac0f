"""What a benchmark says of the machine it ran on: cores, load, memory bandwidth, noise.

python scripts/bench/machine.py     the same, and what memory costs that was given back
"""

import ctypes
import gc
import os
import sys
import time

import numpy as np
from numba import njit, prange


@njit(parallel=True)
def _triad(a, b, c):
    for i in prange(a.size):
        a[i] = b[i] + 3.0 * c[i]


def triad(n=20_000_000):
    """Return a function that runs a = b + s c once, beyond the caches, and its bytes."""
    a, b, c = np.zeros(n), np.ones(n), np.ones(n)
    _triad(a, b, c)
    return lambda: _triad(a, b, c), 24 * n


def bandwidth():
    """Return the triad's bytes a second, at its best."""
    run, moved = triad()
    return moved / min(_seconds(run) for _ in range(7))


def turns(methods, repeats, pause=0.0):
    """Return the seconds of each method's runs, taken in turns after one that does not count.

    pause : seconds before each, for threads of the one before to come to rest.
    """
    times = {name: [] for name in methods}
    for run in range(repeats + 1):
        for name, work in methods.items():
            time.sleep(pause)
            seconds = _seconds(work)
            if run:
                times[name].append(seconds)
    return times


def noise():
    """Return (slowest − fastest) / median of a fixed piece of work, run 9 times."""
    x = np.random.default_rng(0).standard_normal(4_000_000)
    times = [_seconds(lambda: np.sqrt(np.abs(x)).sum()) for _ in range(9)]
    return (max(times) - min(times)) / float(np.median(times))


def describe():
    """Return one line for the head of a table."""
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, load {load:.2f}, triad {bandwidth() / 1e9:.1f} GB/s, "
        f"noise {100 * noise():.0f} % of a fixed piece of work"
    )


def keep_memory():
    """Start this program again with an allocator that gives no memory back to the system.

    A virtual machine may hand freed memory to its host after some seconds, and needs long to get
    it again, see `give_and_take`: whichever method comes next would pay for the last one. Glibc
    reads the settings when a process starts.
    """
    settings = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
    if not settings.items() <= os.environ.items():
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, os.environ | settings)  # noqa: S606 - itself


def give_back():
    """Hand all that is free to the system: after a method that took what others need.

    `keep_memory` would hold it to the end of the process.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def _seconds(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def give_and_take(megabytes=400, seconds=6.0):
    """Return the milliseconds a MiB to touch memory given back just now, and some time ago."""

    def touch():
        np.empty(megabytes * 131072)[::512] = 1.0  # one number a page

    touch()
    at_once = _seconds(touch)
    time.sleep(seconds)
    return 1e3 * at_once / megabytes, 1e3 * _seconds(touch) / megabytes


if __name__ == "__main__":
    print(describe())
    print("{:.2f} ms a MiB given back just now, {:.2f} after six seconds".format(*give_and_take()))
