"""One setting for the threads of numba, BLAS, CHOLMOD and PARDISO.

``SPARSEIMPLICIT_NUM_THREADS`` holds for the whole process and those it starts; it is read when the
package is imported, before numba and most backends are loaded. `threads` holds for a block.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from ._optional import require
from .errors import ConfigError

VARIABLE: Final = "SPARSEIMPLICIT_NUM_THREADS"
# Every library that would otherwise choose a number of threads for itself.
LIBRARIES: Final = (
    "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
)  # fmt: skip


def environment(count: int) -> dict[str, str]:
    """Return the variables that give a new process so many threads, in every library."""
    return dict.fromkeys((VARIABLE, *LIBRARIES), str(count))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Give numba, BLAS, CHOLMOD and PARDISO so many threads, within a ``with`` block.

    Parameters
    ----------
    count : int
        1 or more; no more than numba was started with, which is all cores, or
        ``SPARSEIMPLICIT_NUM_THREADS``.

    Raises
    ------
    ConfigError
        If it is something else.
    MissingBackend
        Without threadpoolctl (extra ``parallel``).

    Notes
    -----
    BLAS and OpenMP are limited in the whole process, numba in the thread that enters the block; so
    enter it from one thread at a time. A library that is first loaded within the block obeys too.

    Examples
    --------
    >>> import numpy as np, sparseimplicit as si
    >>> with si.threads(1):
    ...     solved = si.linear.solve(np.eye(2), np.ones(2))
    """
    import numba  # here, since it reads its variable when it is first imported

    config: Any = numba.config
    most = int(config.NUMBA_NUM_THREADS)
    _check(count, "threads")
    if count > most:
        raise ConfigError(
            f"{count} threads were asked for, and numba was started with {most}.",
            where="threads",
            fix=f"give {most} or fewer, or set {VARIABLE}={count} before Python starts.",
        )
    before = int(numba.get_num_threads())
    variables = {name: os.environ.get(name) for name in LIBRARIES if name != "NUMBA_NUM_THREADS"}
    loaded = _libraries()
    with loaded.limit(limits=count):
        numba.set_num_threads(count)
        os.environ.update(dict.fromkeys(variables, str(count)))
        try:
            yield
        finally:
            numba.set_num_threads(before)
            _restore(variables)
            _release(loaded, variables)


def obey(variables: Any = os.environ) -> int | None:
    """Hold this process to ``SPARSEIMPLICIT_NUM_THREADS``; return what it says, None if unset.

    Raises
    ------
    ConfigError
        If it is no count.
    MissingBackend
        Without threadpoolctl (extra ``parallel``).
    """
    told = variables.get(VARIABLE)
    if told is None:
        return None
    count = int(told) if told.strip().isdecimal() else 0
    _check(count, VARIABLE, told)
    wanted = environment(count)
    numba = sys.modules.get("numba")
    if numba is not None:  # before OpenMP, which it sets too
        numba.set_num_threads(min(count, int(numba.get_num_threads())))
        # It has read its own variable already: changed now, it would refuse to compile.
        del wanted["NUMBA_NUM_THREADS"]
    os.environ.update(wanted)
    _libraries().limit(limits=count)  # those that were loaded before the variables were set
    return count


def _libraries() -> Any:
    """Return what holds the threads of the libraries loaded by now."""
    limits = require("threadpoolctl", extra="parallel", purpose="a limit on threads")
    return limits.ThreadpoolController()


def _check(count: Any, where: str, told: str | None = None) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigError(
            f"{told if told is not None else count!r} is no number of threads.", where=where,
            fix="give 1 or more.",
        )  # fmt: skip


def _restore(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _release(loaded: Any, variables: dict[str, str | None]) -> None:
    """Give libraries that were first loaded within a block what they would have had without."""
    old = {one.filepath for one in loaded.lib_controllers}
    for one in _libraries().lib_controllers:
        if one.filepath not in old:
            name = {"openblas": "OPENBLAS_NUM_THREADS", "mkl": "MKL_NUM_THREADS"}.get(
                one.internal_api, "OMP_NUM_THREADS"
            )
            told = variables.get(name) or variables["OMP_NUM_THREADS"] or ""
            one.set_num_threads(int(told) if told.isdecimal() else len(os.sched_getaffinity(0)))


obey()
