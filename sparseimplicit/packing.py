"""Named blocks of a flat parameter: x = (block, block, …), each with a shape of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import NonFinite, ShapeError

Shape = tuple[int, ...]


class Packing:
    """The order and the shapes of the named blocks of a flat x.

    Parameters
    ----------
    **shapes : int or tuple of int
        The shape of each block, in the order in which they lie in x; ``()`` is a number.

    Raises
    ------
    ShapeError
        For a shape that is none, or a name that a mapping needs for itself (``keys``).

    Examples
    --------
    >>> packing = Packing(weights=2, filters=(2, 3), epsilon=())
    >>> x = packing.pack(weights=[1, 2], filters=np.ones((2, 3)), epsilon=0.5)
    >>> x
    array([1. , 2. , 1. , 1. , 1. , 1. , 1. , 1. , 0.5])
    >>> packing.unpack(x).filters.shape
    (2, 3)
    >>> packing.describe(7)
    'filters[1, 2]'
    """

    shapes: Final[dict[str, Shape]]
    size: Final[int]

    def __init__(self, **shapes: int | Shape) -> None:
        self.shapes = {name: _shape(name, shape) for name, shape in shapes.items()}
        sizes = [math.prod(shape) for shape in self.shapes.values()]
        ends = list(accumulate(sizes, initial=0))
        self.size = ends[-1]
        self._slices = {
            name: slice(first, last)
            for name, first, last in zip(self.shapes, ends[:-1], ends[1:], strict=True)
        }

    def pack(self, **blocks: ArrayLike) -> NDArray[np.float64]:
        """Return x, (size,), with a copy of every block.

        Raises
        ------
        ShapeError
            If a block is missing or unknown, or its shape is not the declared one.
        NonFinite
            If an entry is NaN or infinite; it is named.
        """
        for name in blocks:
            self.slice(name)
        missing = [name for name in self.shapes if name not in blocks]
        if missing:
            raise ShapeError(
                f"no value for {', '.join(missing)}.", where="Packing.pack", fix="give every block."
            )
        x = np.empty(self.size)
        for name, value in blocks.items():
            x[self.slice(name)] = self._checked(name, value).reshape(-1)
        if not np.isfinite(x).all():
            place = int(np.argmin(np.isfinite(x)))
            raise NonFinite(f"{self.describe(place)} is {x[place]}.", where="Packing.pack")
        return x

    def unpack(self, x: Any) -> Blocks:
        """Return the blocks of x, (size,), as views: what is written to them is written to x.

        x may be real or complex, or any array that can be cut and reshaped.
        """
        if np.shape(x) != (self.size,):
            raise ShapeError(
                f"x has shape {np.shape(x)}; the blocks {self} need ({self.size},).",
                where="Packing.unpack",
            )
        flat = x if hasattr(x, "reshape") else np.asarray(x)
        return Blocks(
            {name: flat[self._slices[name]].reshape(shape) for name, shape in self.shapes.items()}
        )

    def slice(self, name: str) -> slice:
        """Return where a block lies in x."""
        if name not in self._slices:
            raise ShapeError(
                f"there is no block {name!r}.",
                where="Packing",
                fix=f"take one of: {', '.join(self.shapes) or 'none, it is empty'}.",
            )
        return self._slices[name]

    def index(self, name: str) -> NDArray[np.intp]:
        """Return the flat indices of a block's entries, in the shape of the block."""
        place = self.slice(name)
        return np.arange(place.start, place.stop).reshape(self.shapes[name])

    def describe(self, i: int) -> str:
        """Return block and place of the flat index i, for messages: ``'filters[3, 7]'``."""
        if not 0 <= i < self.size:
            raise ShapeError(
                f"x has no entry {i}; it has {self.size} entries.", where="Packing.describe"
            )
        name = next(name for name, place in self._slices.items() if i < place.stop)
        inside = np.unravel_index(i - self._slices[name].start, self.shapes[name])
        return f"{name}[{', '.join(str(k) for k in inside)}]" if inside else name

    def _checked(self, name: str, value: ArrayLike) -> NDArray[np.float64]:
        if np.iscomplexobj(value):
            raise ShapeError(f"block {name!r} is complex; parameters are real.",
                             where="Packing.pack")  # fmt: skip
        try:
            block = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ShapeError(
                f"block {name!r} is no array of numbers ({error}).", where="Packing.pack"
            ) from error
        if block.shape != self.shapes[name]:
            raise ShapeError(
                f"block {name!r} has shape {block.shape}, declared is {self.shapes[name]}.",
                where="Packing.pack",
                fix=f"reshape it, or broadcast it: np.broadcast_to(value, {self.shapes[name]}).",
            )
        return block

    def __repr__(self) -> str:
        """Name the blocks and their shapes."""
        return f"Packing({', '.join(f'{name}={shape}' for name, shape in self.shapes.items())})"


class Blocks(Mapping[str, Any]):
    """The blocks of one x, by key or by attribute: ``blocks["weights"]``, ``blocks.weights``."""

    def __init__(self, views: dict[str, Any]) -> None:
        self._views = views

    def __getitem__(self, name: str) -> Any:
        """Return a block."""
        return self._views[name]

    def __getattr__(self, name: str) -> Any:
        """Return a block."""
        if not name.startswith("_") and name in self._views:
            return self._views[name]
        raise AttributeError(f"there is no block {name!r}; there are: {', '.join(self)}.")

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in the order of x."""
        return iter(self._views)

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self._views)

    def __repr__(self) -> str:
        """Show the blocks."""
        return f"Blocks({', '.join(f'{name}={value!r}' for name, value in self.items())})"


def _shape(name: str, shape: Any) -> Shape:
    if name.startswith("_") or hasattr(Mapping, name):
        raise ShapeError(
            f"a block cannot be called {name!r}: the mapping of the blocks has that name itself.",
            where="Packing",
            fix=f"call it {name.strip('_')}_block, for instance.",
        )
    axes = (shape,) if isinstance(shape, int | np.integer) else shape
    whole = isinstance(axes, tuple) and all(isinstance(k, int | np.integer) for k in axes)
    if not whole or any(isinstance(k, bool) or k < 0 for k in axes):
        raise ShapeError(
            f"the shape of block {name!r} is {shape!r}.",
            where="Packing",
            fix="give a number of entries, or a tuple of them; () for a single number.",
        )
    return tuple(int(k) for k in axes)
