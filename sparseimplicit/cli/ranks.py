"""A command on several ranks of mpiexec: all of them work, the first one speaks and writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from ..errors import ConfigError
from ..linear.petsc_api import communicator, together

# How launchers tell a process how many they started: Open MPI, MPICH and Intel, Slurm with PMIx.
SIZES: Final = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_SIZE")
RANKS: Final = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK")


def size() -> int:
    """Return how many ranks mpiexec started; 1 where it did not."""
    return max(_told(SIZES, 1), 1)


def first() -> bool:
    """Tell whether this process is the one that writes."""
    return _told(RANKS, 0) == 0


@contextmanager
def all_or_none(where: str) -> Iterator[None]:
    """Raise on all ranks what fails on one."""
    if size() == 1:
        yield
        return
    with together(communicator(), where):
        yield


def solver_on_ranks(solver: str) -> str:
    """Return the solver to take: on several ranks, PETSc's.

    Raises
    ------
    ConfigError
        If another one was asked for, which would do all of the work on every rank.
    """
    if size() == 1 or solver.partition("+")[0] == "petsc":
        return solver
    if solver == "auto":
        return "petsc"
    raise ConfigError(
        f"--solver {solver} knows nothing of the {size()} ranks of mpiexec.",
        fix="use petsc, petsc+gamg or petsc+mumps; or leave mpiexec out.",
    )


def _told(names: tuple[str, ...], otherwise: int) -> int:
    value: Any = next((os.environ[name] for name in names if name in os.environ), "")
    return int(value) if value.isdigit() else otherwise
