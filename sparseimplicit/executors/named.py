"""Executors by name."""

from __future__ import annotations

from ..errors import ConfigError
from .crew import Executor
from .processes import Processes
from .serial import Serial


def executor_named(executor: str | Executor, jobs: int | None = None) -> Executor:
    """Return an executor: the one given, or that of a name.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    if isinstance(executor, Executor):
        return executor
    if executor == "processes":
        return Processes(jobs)
    if executor == "serial":
        return Serial()
    raise ConfigError(
        f"there is no executor '{executor}'.",
        where="executor",
        fix="take 'serial', 'processes', or an object: sparseimplicit.cluster.Dask(...).",
    )
