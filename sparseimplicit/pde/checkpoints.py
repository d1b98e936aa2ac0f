"""A run forward and a run back over a chain of steps, with a bound on the states held."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from .._optional import require
from ..errors import ConfigError
from ..linear.operator import Array

Node = tuple[Array, ...]  # y_k; with its tangents where they run along
Window = tuple[Node, ...]  # the nodes that the next step looks back on, the newest last


def check_room(max_states: int, steps: int, memory: int, vectors: int) -> None:
    """Refuse a bound that leaves no room for one window to restart from.

    vectors : arrays of a node, y_k and its tangents.
    """
    least = vectors * min(2 * memory + 1, steps + 1)
    if max_states < least:
        raise ConfigError(
            f"max_states = {max_states} leaves no room: a step holds {(memory + 1) * vectors} "
            f"arrays, a restart {memory * vectors}.",
            where="pde.TimeStepping",
            fix=f"give at least max_states={least}.",
        )


class Sweep:
    """Forward from node 0 to node N, then back, where each step sees the nodes around it again.

    Parameters
    ----------
    steps : int
        N.
    first : Node
        Node 0.
    advance : callable
        ``advance(k, window) -> node k`` for k = 1, …, N; called again for some steps on the way
        back, unless all nodes are held.
    memory : int
        Nodes that a step looks back on.
    max_states : int, optional
        Bound on the arrays held at any moment, those at work included; None holds all nodes.
    on_disk : int
        Of windows, beside that bound, in a temporary folder.

    Attributes
    ----------
    peak : int
        Most arrays that were held at once.
    advanced : int
        Steps made so far, those made again included.

    Raises
    ------
    ConfigError
        If the bound leaves no room for one window to restart from.

    Notes
    -----
    Schedule: `checkpoint_schedules.MultistageCheckpointSchedule`, which is Revolve's with memory
    and disk as two stages. With S windows held and N ≤ C(S + r, r) steps, no step is made more
    than r + 1 times. Source: Griewank and Walther 2000, ACM TOMS 26; Stumm and Walther 2009.
    """

    def __init__(
        self,
        steps: int,
        first: Node,
        advance: Callable[[int, Window], Node],
        *,
        memory: int,
        max_states: int | None,
        on_disk: int = 0,
    ) -> None:
        self.steps: Final = steps
        self.memory: Final = memory
        self.first: Final = first
        self._advance = advance
        self.advanced = self.peak = 0
        self._work: tuple[Node, ...] = (first,)
        self._nodes: list[Node] | None = None
        self._held: dict[int, Window] = {}
        self._schedule: Any = None
        self._folder: Path | None = None
        vectors = sum(_vectors(array) for array in first)
        if max_states is None or max_states >= vectors * (steps + 1):
            self._nodes = [first]
            return
        check_room(max_states, steps, memory, vectors)
        windows = (max_states // vectors - memory - 1) // memory
        package = require("checkpoint_schedules", extra="pde", purpose="a bound on states held")
        self._schedule = package.MultistageCheckpointSchedule(steps, windows, on_disk)
        self._storage: Final = package.StorageType
        if on_disk:
            self._folder = Path(tempfile.mkdtemp(prefix="sparseimplicit-"))
            # Also where the way back is never taken, or ends in an error.
            self._clean = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    @property
    def complete(self) -> bool:
        """Whether all nodes are held, so that any number of ways back may follow."""
        return self._nodes is not None

    @property
    def nodes(self) -> list[Node] | None:
        """All nodes, where they are held."""
        return self._nodes

    def forward(self, visit: Callable[[int, Node], None] | None = None) -> Node:
        """Run to the end, once; return node N."""
        if visit is not None:
            visit(0, self.first)
        if self._nodes is not None:
            for k in range(1, self.steps + 1):
                self._step(k, visit)
                self._nodes.append(self._work[-1])
                self.peak = max(self.peak, len(self._nodes) * sum(map(_vectors, self.first)))
            return self._work[-1]
        for action in self._schedule:
            if type(action).__name__ == "EndForward":
                break
            self._follow(action, visit)
        return self._work[-1]

    def backward(self, visit: Callable[[int, tuple[Node, ...]], None]) -> None:
        """Call ``visit(k, nodes)`` for k = N, …, 1; nodes k − memory (or 0), …, k.

        Once, unless all nodes are held.
        """
        if self._nodes is not None:
            for k in range(self.steps, 0, -1):
                visit(k, tuple(self._nodes[max(k - self.memory, 0) : k + 1]))
            return
        for action in self._schedule:
            kind = type(action).__name__
            if kind == "EndReverse":
                break
            if kind == "Reverse":
                visit(action.n1, self._work)
            else:
                self._follow(action, None)
        if self._folder is not None:
            self._clean()

    def _follow(self, action: Any, visit: Callable[[int, Node], None] | None) -> None:
        kind = type(action).__name__
        if kind == "Forward":
            if action.write_ics:
                self._store(action.n0, self._work[-self.memory :], action.storage)
            for step in action:
                self._step(step + 1, visit)
            return
        if action.n in self._held:
            self._work = self._held[action.n]
        else:
            self._work = self._read(action.n)
        if kind == "Move":
            self._held.pop(action.n, None)

    def _store(self, n: int, window: Window, storage: Any) -> None:
        if storage is self._storage.DISK:
            arrays = [array for node in window for array in node]
            np.savez(self._file(n), *arrays)
        else:
            self._held[n] = window

    def _read(self, n: int) -> Window:
        with np.load(self._file(n)) as stored:
            arrays = [stored[name] for name in stored.files]
        each = len(self.first)
        return tuple(tuple(arrays[i : i + each]) for i in range(0, len(arrays), each))

    def _file(self, n: int) -> Path:
        assert self._folder is not None  # noqa: S101 - there is a folder where disk is used
        return self._folder / f"{n}.npz"

    def _step(self, k: int, visit: Callable[[int, Node], None] | None) -> None:
        window = self._work[-self.memory :]
        node = self._advance(k, window)
        self._work = (*window, node)
        self.advanced += 1
        if self._nodes is None:
            windows = (self._work, *self._held.values())
            held = {id(a): _vectors(a) for kept in windows for each in kept for a in each}
            self.peak = max(self.peak, sum(held.values()))
        if visit is not None:
            visit(k, node)


def _vectors(array: Array) -> int:
    return 1 if array.ndim == 1 else int(array.shape[1])
