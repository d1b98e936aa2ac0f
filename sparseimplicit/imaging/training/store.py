"""The checkpoint of a training run: a folder in which a step counts once its file is written.

    step-000012.npz         θ, the optimiser's arrays, and which file holds the state of each image
    states/000012-0.npz     states and adjoints of the images visited in that step by process 0
    history.jsonl           a line a step
    lock                    held by the process that writes

A step's states are written before it, under new names; those of the step before stay until the
step is there. So a run that is killed anywhere finds a whole step, and goes on with its very bits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ConfigError
from ...files import read_arrays, whole, write_atomically
from ...linear.operator import Array
from ...locks import Lock
from .steps import Step


@dataclass(frozen=True, eq=False)
class Point:
    """Where a run stands after a step.

    Attributes
    ----------
    step : Step
    arrays : mapping
        θ and whatever the optimiser has, by name.
    facts : dict
        Plain values: what else decides how the run goes on.
    places : dict of int to str
        The file of each image's state.
    replayed : bool
        The step is asked for again at a resume (L-BFGS-B), and so are those before it of its stage.
    """

    step: Step
    arrays: Mapping[str, Array]
    facts: dict[str, Any]
    places: dict[int, str]
    replayed: bool


class Store:
    """Writes points, and finds the last one that is whole.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    run : str
        What the run is, as `Training.identity` tells.

    Attributes
    ----------
    notes : list of str
        What was found damaged.

    Raises
    ------
    ConfigError
        If the folder belongs to another run, is written to by another process, or cannot be
        written.
    """

    def __init__(self, folder: str | Path, run: str) -> None:
        self.folder = Path(folder)
        self.states = self.folder / "states"
        self.run = run
        self.notes: list[str] = []
        self._points: dict[int, Point] = {}  # what of the steps on disk is still needed
        check_run(self.folder, run)
        self._lock = Lock(self.folder / "lock")
        self.notes.extend(self._lock.notes)
        if not (self.folder / "run").exists():
            write_atomically(self.folder / "run", lambda file: file.write(run.encode()))

    def resume(self) -> list[Point]:
        """Return the last whole point, after those of its stage that are replayed; [] for none.

        All that does not belong to them is removed.
        """
        found: list[Point] = []
        for number in sorted(self._numbers(), reverse=True):
            found, why = self._chain(number)
            if found:
                break
            self.notes.append(f"step {number} of the checkpoint {why}; the best one before it is "
                              "taken")  # fmt: skip
        if self.notes and not found and self._numbers():
            self.notes.append("no step of the checkpoint is whole with all it needs: all is begun "
                              "anew")  # fmt: skip
        self._points = {point.step.step: _lean(point) for point in found}
        self._clean()
        return found

    def history(self) -> list[Step]:
        """Return the steps up to the last whole point, and cut what came after it."""
        last = max(self._points, default=-1)
        path = self.folder / "history.jsonl"
        lines = path.read_bytes().splitlines() if path.exists() else []
        found: dict[int, Step] = {}
        for line in lines:
            try:
                step = Step.of(json.loads(line))
            except (ValueError, TypeError, KeyError):
                continue  # cut off when the process was killed
            if step.step <= last:
                found[step.step] = step
        found |= {number: point.step for number, point in self._points.items()}
        steps = [found[number] for number in sorted(found)]
        text = b"".join(_line(step) for step in steps)
        write_atomically(path, lambda file: file.write(text))
        lost = [number for number in range(last + 1) if number not in found]
        if lost:
            self.notes.append(f"the history lacks step{_numbered(lost)}")
        return steps

    def write(self, point: Point) -> None:
        """Write a point; its states are there already.

        Raises
        ------
        ConfigError
            If it cannot be written; the points before it are as they were.
        """
        number = point.step.step
        self._append(point.step)
        text = {
            "run": self.run, "step": point.step.to_dict(), "facts": point.facts,
            "places": {str(i): place for i, place in point.places.items()},
            "replayed": point.replayed,
        }  # fmt: skip
        packed = np.frombuffer(json.dumps(text).encode(), dtype=np.uint8)
        members: dict[str, Any] = {"description": packed, **point.arrays}
        write_atomically(self._path(number), lambda file: np.savez(file, **members))
        self._points[number] = _lean(point)
        self._forget(point)

    def close(self) -> None:
        """Let another process have the folder."""
        self._lock.release()

    def _forget(self, last: Point) -> None:
        """Remove what neither this step nor the one before it needs."""
        number = last.step.step
        stages = {last.step.stage, self._points.get(number - 1, last).step.stage}
        for old in [k for k in self._points if k < number - 1]:
            point = self._points[old]
            if not (point.replayed and point.step.stage in stages):
                self._path(old).unlink(missing_ok=True)
                del self._points[old]
        recent = [self._points[k] for k in (number - 1, number) if k in self._points]
        needed = {place for point in recent for place in point.places.values()}
        for path in self.states.glob("*.npz"):
            # Those of a later step may be on their way.
            if path.stem not in needed and int(path.stem.partition("-")[0]) <= number:
                path.unlink(missing_ok=True)

    def _chain(self, number: int) -> tuple[list[Point], str]:
        """Return a point that is whole with all it needs, at the end; or [], and why it is not."""
        last = self._read(number)
        if last is None:
            return [], f"is damaged ({self._path(number).name})"
        for place in sorted(set(last.places.values())):
            path = self.states / f"{place}.npz"
            if not path.exists() and number < max(self._numbers()) - 1:
                return [], "is too old: only the last two keep their states"
            if not whole(path):
                told = "damaged" if path.exists() else "missing"
                return [], f"is damaged: of its states, {path.name} is {told}"
        chain = [last]
        while last.replayed and chain[0].step.in_stage > 1:
            path = self._path(chain[0].step.step - 1)
            before = self._read(chain[0].step.step - 1)
            if before is None:
                told = "damaged" if path.exists() else "missing"
                return [], f"is whole, but {path.name}, which it needs, is {told}"
            chain.insert(0, before)
        return chain, ""

    def _read(self, number: int) -> Point | None:
        arrays = read_arrays(self._path(number))
        if arrays is None:
            return None
        try:
            text = json.loads(arrays.pop("description").tobytes())
            places = {int(i): place for i, place in text["places"].items()}
            return Point(Step.of(text["step"]), arrays, text["facts"], places, text["replayed"])
        except (ValueError, KeyError, TypeError):
            return None

    def _numbers(self) -> list[int]:
        return [int(path.stem.partition("-")[2]) for path in self.folder.glob("step-*.npz")]

    def _clean(self) -> None:
        """Remove steps that do not count, their states, and what a killed process left half."""
        for number in self._numbers():
            if number not in self._points:
                self._path(number).unlink(missing_ok=True)
        needed = {place for point in self._points.values() for place in point.places.values()}
        for path in self.states.glob("*.npz"):
            if path.stem not in needed:
                path.unlink(missing_ok=True)
        for folder in (self.folder, self.states):
            for path in folder.glob(".*.npz.*"):
                path.unlink(missing_ok=True)

    def _append(self, step: Step) -> None:
        path = self.folder / "history.jsonl"
        try:
            with path.open("ab") as file:
                file.write(_line(step))
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written: {error.strerror or error}.",
                fix="free space, and give the command again: it goes on from the last step.",
            ) from error

    def _path(self, number: int) -> Path:
        return self.folder / f"step-{number:06d}.npz"


def check_run(folder: Path, run: str) -> None:
    """Refuse the checkpoint of another run.

    Raises
    ------
    ConfigError
        If the folder holds steps of a run with other settings or images, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(
            f"{folder} is a file; the checkpoint is a folder.",
            fix="remove it, or choose another place.",
        )
    stamp = folder / "run"
    if not any(folder.glob("step-*.npz")):
        stamp.unlink(missing_ok=True)
    elif not stamp.exists() or stamp.read_text(encoding="utf-8") != run:
        raise ConfigError(
            f"{folder} holds the checkpoint of a run with another config or other images.",
            fix=f"choose another folder; or start over: remove {folder} (or `learn --no-resume`).",
        )


def clear(folder: Path) -> None:
    """Remove a checkpoint."""
    for path in [*folder.glob("step-*.npz"), *folder.glob("states/*.npz"), folder / "run",
                 folder / "history.jsonl"]:  # fmt: skip
        path.unlink(missing_ok=True)


def _numbered(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f" {numbers[0]}"
    return f"s {', '.join(map(str, numbers[:8]))}{' …' if len(numbers) > 8 else ''}"


def _line(step: Step) -> bytes:
    return json.dumps(step.to_dict(), ensure_ascii=False).encode() + b"\n"


def _lean(point: Point) -> Point:
    """Return a point without its arrays, to be held in memory."""
    return replace(point, arrays={})
