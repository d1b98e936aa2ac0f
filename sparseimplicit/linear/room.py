"""Room for hierarchies: the arrays of one that is gone serve the next, of a neighbouring matrix.

Memory that a process has given back can cost it more to get again than a hierarchy costs to make:
2.5 ms a MiB on a virtual machine that gave it back, too (`scripts/bench/machine.py`).
"""

from __future__ import annotations

import threading
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..kernels.vectors import cast

CACHE_LINE: Final = 64  # bytes


class Room:
    """Arrays that nobody uses, by size and type.

    made : bytes that no array was free for, so far.
    """

    def __init__(self) -> None:
        self.made = 0
        self._free: dict[tuple[int, Any], list[NDArray[Any]]] = {}
        # A collection of garbage may end a lease while this thread is in here.
        self._lock = threading.RLock()

    @property
    def free(self) -> int:
        """Bytes that are held for the next hierarchy."""
        with self._lock:
            return sum(array.nbytes for arrays in list(self._free.values()) for array in arrays)

    def empty(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return an array with any content."""
        size = int(np.prod(shape))
        with self._lock:
            free = self._free.get((size, np.dtype(dtype)))
            if free:
                return free.pop().reshape(shape)
            self.made += size * np.dtype(dtype).itemsize
        return _aligned(size, np.dtype(dtype)).reshape(shape)

    def give_back(self, *arrays: NDArray[Any]) -> None:
        """Take arrays back that came from `empty`; nobody may use them any more."""
        with self._lock:
            for array in arrays:
                self._free.setdefault((array.size, array.dtype), []).append(array)

    def clear(self) -> None:
        """Hold nothing that is free, where memory counts for more than time."""
        with self._lock:
            self._free.clear()


def _aligned(size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an array that begins where a line of cache does, so that no vector lies across two."""
    raw = np.empty(size * dtype.itemsize + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + size * dtype.itemsize].view(dtype)


class Lease:
    """The arrays of one hierarchy, all of them given back at its end."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.arrays: list[NDArray[Any]] = []

    def empty(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return an array with any content, to be held."""
        array = self.room.empty(shape, dtype)
        self.arrays.append(array)
        return array

    def cast(self, values: NDArray[Any], dtype: Any) -> NDArray[Any]:
        """Return a copy of contiguous values in a precision, to be held."""
        array = self.empty(values.shape, dtype)
        cast(values.reshape(-1), 1.0, array.reshape(-1))
        return array

    def end(self) -> None:
        """Give all arrays back."""
        self.room.give_back(*self.arrays)
        self.arrays = []
