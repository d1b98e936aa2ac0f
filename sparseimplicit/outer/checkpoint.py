"""Checkpoints of an upper-level run: a folder with one file an evaluation.

L-BFGS-B asks for loss and gradient at a sequence of points that depends on their answers alone.
A resumed run asks again from the start, is answered from the files, and stands exactly where it
was: no state of the optimiser is stored, and none can be forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..files import read_arrays, write_atomically
from ..implicit import Start
from ..linear import available_solvers, solver_named
from ..linear.operator import Array


@dataclass(frozen=True)
class Record:
    """One evaluation: x, the loss, its gradient, and the states it left, with their solvers."""

    x: Array
    value: float
    gradient: Array
    starts: tuple[Start, ...]


class Checkpoint:
    """The evaluations of one run on disk: ``evaluation-0000.npz``, …, and the latest states.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def append(self, index: int, record: Record) -> None:
        """Write an evaluation; the states first, so that a record is never without them."""
        states: dict[str, Any] = {f"y_{i}": start.y for i, start in enumerate(record.starts)}
        solvers = np.array([start.solver.label if start.solver else "" for start in record.starts])
        write_atomically(
            self._states(index), lambda file: np.savez(file, solvers=solvers, **states)
        )
        write_atomically(
            self._evaluation(index),
            lambda file: np.savez(
                file, x=record.x, value=np.float64(record.value), gradient=record.gradient
            ),
        )
        if index > 1:  # the one before stays, should this one be damaged
            self._states(index - 2).unlink(missing_ok=True)

    def load(self) -> list[Record]:
        """Return the evaluations up to the last one that is whole; states only with the last.

        A damaged file (every array carries a CRC-32) ends the list; the run then goes on from the
        evaluation before it.
        """
        records: list[Record] = []
        while (arrays := read_arrays(self._evaluation(len(records)))) is not None:
            records.append(
                Record(arrays["x"], float(arrays["value"]), arrays["gradient"], starts=())
            )
        while records:
            states = read_arrays(self._states(len(records) - 1))
            if states is not None:
                last = records[-1]
                known = available_solvers()  # a solver given as an object may not be among them
                starts = tuple(
                    Start(states[f"y_{i}"], solver_named(str(label)) if label in known else None)
                    for i, label in enumerate(states["solvers"])
                )
                records[-1] = Record(last.x, last.value, last.gradient, starts)
                break
            records.pop()
        return records

    def _evaluation(self, index: int) -> Path:
        return self.folder / f"evaluation-{index:04d}.npz"

    def _states(self, index: int) -> Path:
        return self.folder / f"states-{index:04d}.npz"
