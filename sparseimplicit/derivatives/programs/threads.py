"""Independent tasks of a compiled kernel on as many threads as numba has been given.

Kernels of local terms are compiled for one thread and release Python's lock: a parallel loop of
numba's own takes much longer to compile.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numba

SHARES = 4  # for each thread, so that a thread that is held up is helped out


def spread(run: Callable[[int, int], None], tasks: int) -> None:
    """Call ``run(first, last)`` on ranges that cover all tasks, in any order and side by side.

    A task must not depend on the others, so that results depend on no number of threads.
    """
    threads = min(int(numba.get_num_threads()), tasks)
    if threads < 2:
        run(0, tasks)
        return
    shares = min(tasks, SHARES * threads)
    bounds = [tasks * n // shares for n in range(shares + 1)]
    run(bounds[0], bounds[1])  # alone: it may have to be compiled
    list(_pool(threads).map(run, bounds[1:-1], bounds[2:]))


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="sparseimplicit-terms")


if hasattr(os, "register_at_fork"):  # a forked process has none of these threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
