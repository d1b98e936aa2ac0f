"""Checkpoints of an upper-level run: a folder with one file an evaluation.

An optimiser asks for loss and gradient at a sequence of points that depends on their answers alone.
A resumed run asks again from the start, is answered from the files, and stands exactly where it
was: no state of the optimiser is stored, and none can be forgotten. Of Newton's method the files
have the steps too, which took products with the Hessian.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..files import read_arrays, write_atomically
from ..implicit import Start
from ..linear import available_solvers, solver_named
from ..linear.operator import Array


@dataclass(frozen=True)
class StepRecord:
    """What a step to an evaluation took that cannot be had again without products.

    Attributes
    ----------
    predicted : float
        Decrease of the loss, by the model.
    radius, length : float
        Of the trust region and of the step, in the norm of M.
    iterations, products : int
        Of CG; products with the Hessian, those of CG included.
    end : str
        Why CG ended.
    """

    predicted: float
    radius: float
    length: float
    iterations: int
    products: int
    end: str


@dataclass(frozen=True)
class Record:
    """One evaluation: x, the loss, its gradient, and states, with their solvers.

    starts: what the states left; of a trust-region method, what they started from. failure: why
    there is no loss at a trial point.
    """

    x: Array
    value: float
    gradient: Array
    starts: tuple[Start, ...]
    step: StepRecord | None = None
    failure: str | None = None


class Checkpoint:
    """The evaluations of one run on disk: ``evaluation-0000.npz``, …, and the latest states.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._oldest = 0  # states before it are gone

    def append(self, index: int, record: Record, *, since: int | None = None) -> None:
        """Write an evaluation; the states first, so that a record is never without them.

        States before evaluation ``since`` are deleted, by default those before the last but one.
        """
        states: dict[str, Any] = {f"y_{i}": start.y for i, start in enumerate(record.starts)}
        solvers = np.array([start.solver.label if start.solver else "" for start in record.starts])
        write_atomically(
            self._states(index), lambda file: np.savez(file, solvers=solvers, **states)
        )
        arrays: dict[str, Any] = {"x": record.x, "value": np.float64(record.value)}
        arrays["gradient"] = record.gradient
        if record.step is not None:
            arrays["step"] = np.array(json.dumps(asdict(record.step)))
        if record.failure is not None:
            arrays["failure"] = np.array(record.failure)
        write_atomically(self._evaluation(index), lambda file: np.savez(file, **arrays))
        # The one before stays, should this one be damaged.
        for old in range(max(self._oldest, 0), index - 1 if since is None else since):
            self._states(old).unlink(missing_ok=True)
            self._oldest = old + 1

    def load(self) -> list[Record]:
        """Return the evaluations up to the last one that is whole; states only with the last.

        A damaged file (every array carries a CRC-32) ends the list; the run then goes on from the
        evaluation before it.
        """
        records: list[Record] = []
        while (arrays := read_arrays(self._evaluation(len(records)))) is not None:
            failure = str(arrays["failure"]) if "failure" in arrays else None
            records.append(Record(
                arrays["x"], float(arrays["value"]), arrays["gradient"], (), _step(arrays), failure
            ))  # fmt: skip
        while records:
            starts = self.starts(len(records) - 1)
            if starts is not None:
                records[-1] = replace(records[-1], starts=starts)
                break
            records.pop()
        return records

    def starts(self, index: int) -> tuple[Start, ...] | None:
        """Return the states written with an evaluation; None if they are gone or damaged."""
        states = read_arrays(self._states(index))
        if states is None:
            return None
        known = available_solvers()  # a solver given as an object may not be among them
        return tuple(
            Start(states[f"y_{i}"], solver_named(str(label)) if label in known else None)
            for i, label in enumerate(states["solvers"])
        )

    def note(self, settings: dict[str, Any]) -> None:
        """Write the settings of a new run."""
        text = json.dumps(settings).encode()
        write_atomically(self._settings, lambda file: file.write(text))

    def noted(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return the settings of the run that is taken up again, more than those of this one.

        Raises
        ------
        ConfigError
            If one of these was another.
        """
        try:
            before: dict[str, Any] = json.loads(self._settings.read_text())
        except (OSError, ValueError):  # of a run that was begun before there was a choice
            before = {"method": "L-BFGS-B", "gauss_newton": 0}
        for name, value in settings.items():
            if before.get(name) != value:
                raise ConfigError(
                    f"{self.folder} is the checkpoint of another run: its {name} is "
                    f"{before.get(name)!r}, not {value!r}.",
                    where="minimize",
                    fix=f"give {name}={before.get(name)!r}, or another folder.",
                )
        return before

    @property
    def _settings(self) -> Path:
        return self.folder / "run.json"

    def _evaluation(self, index: int) -> Path:
        return self.folder / f"evaluation-{index:04d}.npz"

    def _states(self, index: int) -> Path:
        return self.folder / f"states-{index:04d}.npz"


def _step(arrays: dict[str, Any]) -> StepRecord | None:
    return StepRecord(**json.loads(str(arrays["step"]))) if "step" in arrays else None
