"""One job many times: a grid, or a list, as numbered tasks."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..files import write_atomically


@dataclass(frozen=True)
class Task:
    """A job with some keys set: task ``number``, from 0."""

    number: int
    given: dict[str, Any]

    @property
    def name(self) -> str:
        """Of its run directory, below ``tasks/``."""
        return f"{self.number:04d}"

    @property
    def title(self) -> str:
        """What tells it from the others."""
        return ", ".join(
            f"{key} = {json.dumps(value, default=str)}" for key, value in self.given.items()
        )


def expanded(grid: Mapping[str, Sequence[Any]], listed: Sequence[Mapping[str, Any]]) -> list[Task]:
    """Return the tasks of a grid, the last key varying fastest, for each of a list; or of one.

    Raises
    ------
    ConfigError
        If a key of the grid has no list of values, or two tasks are the same.
    """
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ConfigError(f"grid.{key} = {values!r}: no list of values.",
                              fix=f"write it as {key} = [1, 2].")  # fmt: skip
    combined = [dict(zip(grid, values, strict=True)) for values in
                itertools.product(*grid.values())]  # fmt: skip
    tasks = [{**one, **point} for one in (listed or [{}]) for point in combined]
    seen: dict[str, int] = {}
    for number, task in enumerate(tasks):
        first = seen.setdefault(json.dumps(task, sort_keys=True, default=str), number)
        if first != number:
            raise ConfigError(f"tasks {first} and {number} are the same: {task}.",
                              fix="leave one of them out.")  # fmt: skip
    return [Task(number, task) for number, task in enumerate(tasks)]


def write_tasks(folder: Path, tasks: Sequence[Task], job: str) -> None:
    """Write which tasks a folder is for; the same ones may be written again.

    Parameters
    ----------
    job : str
        The text of the job that all tasks share.

    Raises
    ------
    ConfigError
        If the folder is that of other tasks.
    """
    path = folder / "tasks.json"
    record = {"job": hashlib.sha256(job.encode()).hexdigest(),
              "tasks": [task.given for task in tasks]}  # fmt: skip
    text = json.dumps(record, indent=2, ensure_ascii=False, default=str) + "\n"
    if path.exists():
        if path.read_text(encoding="utf-8") != text:
            raise ConfigError(
                f"{folder} holds the tasks of another sweep, or of this one as it was before.",
                fix="choose another folder (--out).",
            )
        return
    write_atomically(path, lambda file: file.write(text.encode()))


def read_tasks(folder: Path) -> list[Task]:
    """Return the tasks that a folder is for.

    Raises
    ------
    ConfigError
        If it is no folder of a sweep.
    """
    try:
        record = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
        return [Task(number, dict(given)) for number, given in enumerate(record["tasks"])]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{folder} is no folder of a sweep.", fix="give what `sparseimplicit sweep` wrote to."
        ) from error
