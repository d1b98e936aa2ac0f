"""What is asked of images, what they answer, and the states that they keep, on disk too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ConfigError
from ...files import read_arrays, write_atomically
from ...implicit import Start
from ...linear import available_solvers, solver_named
from ...linear.operator import Array
from ...outer import Work


@dataclass(frozen=True, eq=False)
class Visit:
    """What is asked of each image: its state at θ to rtol; the gradient of its loss, and its error.

    image: whether the denoised image is to be sent back.
    """

    theta: Array
    rtol: float
    gradient: bool = True
    error: bool = False
    image: bool = False


@dataclass(frozen=True, eq=False)
class Answer:
    """What one image says.

    Attributes
    ----------
    value : float
        Of its loss: ½ ‖u − truth‖², if it names no other.
    gradient : array (n_x,) or None
        Of the value, by θ.
    error : float or None
        ‖gradient − exact‖, to first order in what state and adjoint miss.
    seconds : dict
        ``forward``, ``adjoint`` (its preparation included) and ``contraction``.
    notes : tuple of str
        What did not go as usual.
    """

    example: int
    value: float
    psnr: float
    work: Work
    seconds: dict[str, float]
    linear_solver: str
    gradient: Array | None = None
    error: float | None = None
    denoised: Array | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Kept:
    """What an image keeps from one visit to the next: where its state starts, and its adjoint."""

    start: Start
    adjoint: Array | None

    def bare(self) -> Kept:
        """Return it without the analysis, which belongs to its process."""
        return Kept(Start(self.start.y, self.start.solver), self.adjoint)


def write_kept(path: Path, kept: Mapping[int, Kept]) -> None:
    """Write the states and adjoints of some images as one file, whole or not at all."""
    arrays: dict[str, Any] = {}
    for i, one in kept.items():
        arrays[f"y_{i}"] = one.start.y
        if one.adjoint is not None:
            arrays[f"adjoint_{i}"] = one.adjoint
    solvers = {
        str(i): one.start.solver.label if one.start.solver else "" for i, one in kept.items()
    }
    text = np.frombuffer(json.dumps(solvers).encode(), dtype=np.uint8)
    write_atomically(path, lambda file: np.savez(file, solvers=text, **arrays))


def read_kept(path: Path, examples: Iterable[int]) -> dict[int, Kept]:
    """Read some of the images that a file holds.

    Raises
    ------
    ConfigError
        If it is missing or damaged.
    """
    known = available_solvers()  # a solver given as an object may not be among them
    kept = {}
    held = read_arrays(path)
    try:
        if held is None:
            raise ValueError("it is missing, or damaged")
        solvers = json.loads(held["solvers"].tobytes())
        for i in examples:
            label = solvers[str(i)]
            solver = solver_named(label) if label in known else None
            kept[i] = Kept(Start(held[f"y_{i}"], solver), held.get(f"adjoint_{i}"))
    except (ValueError, KeyError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}.",
            where="the states of a training run",
            fix="give the command again: a damaged step is left out, and made again.",
        ) from error
    return kept
