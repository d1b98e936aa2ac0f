"""The unknowns and the parameters of a weak form: where each basis's numbers stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ShapeError
from ..packing import Packing
from .dirichlet import Fixed, Split, fixed
from .integral import Integral, is_number


class Spaces:
    """The unknowns and the parameters of integrals: where each basis's numbers stand.

    Attributes
    ----------
    packing : Packing
        The blocks of x: one for each control by name.
    control_dofs : dict
        For each control of a basis, which of the basis's numbers x holds, in order: those that the
        integrals touch.
    """

    def __init__(self, integrals: Sequence[Integral], given: Any, where: str) -> None:
        self.integrals = list(integrals)
        if not self.integrals:
            raise ShapeError("there is no integral.", where=where)
        sizes = [[int(basis.N) for basis in i.state] for i in self.integrals]
        if any(size != sizes[0] for size in sizes):
            raise ShapeError(
                f"the integrals have state spaces of different sizes: {sizes}.",
                where=where,
                fix="give all the same fields, in the same order.",
            )
        self.offsets = np.concatenate([[0], np.cumsum(sizes[0])]).astype(np.int64)
        self.size = int(self.offsets[-1])
        self.fixed = [self._placed(f) for f in _fixed(given)]
        self.control_dofs: dict[str, NDArray[Any]] = {}
        self._controls(where)

    def _controls(self, where: str) -> None:
        touched: dict[str, list[Any]] = {}
        for i in self.integrals:
            for name, of in i.control.items():
                touched.setdefault(name, []).append(of)
        shapes: dict[str, int] = {}
        places: dict[str, Any] = {}
        for name, given in touched.items():
            numbers = {int(of) for of in given if is_number(of)}
            bases = [of for of in given if not is_number(of)]
            if len(numbers) + len({int(b.N) for b in bases}) != 1:
                raise ShapeError(
                    f"control '{name}' has spaces of different sizes.",
                    where=where,
                    fix="give the same space, or another name.",
                )
            if numbers:
                shapes[name] = numbers.pop()
                continue
            dofs = np.unique(np.concatenate([np.ravel(b.element_dofs) for b in bases]))
            number = np.full(int(bases[0].N), -1, dtype=np.int64)
            number[dofs] = np.arange(dofs.size)
            self.control_dofs[name], shapes[name], places[name] = dofs, int(dofs.size), number
        for f in self.fixed:
            if isinstance(f.values, str):
                if f.values in shapes:
                    raise ShapeError(
                        f"two controls are called '{f.values}'.", where=where,
                        fix="give the Dirichlet values a name of their own.",
                    )  # fmt: skip
                shapes[f.values] = f.places.size
        self.packing = Packing(**shapes)
        starts = {name: self.packing.slice(name).start for name in shapes}
        self.blocks: dict[str, Any] = {
            name: places[name] + start if name in places else start
            for name, start in starts.items()
        }

    def state_places(self, of: Integral) -> NDArray[Any]:
        """Return where the unknowns of each element stand among all, (E, k)."""
        pieces = [
            np.asarray(basis.element_dofs).T + offset
            for basis, offset in zip(of.state, self.offsets[:-1], strict=True)
        ]
        return np.hstack(pieces)

    def split(self) -> Split:
        """Return the split into free and fixed unknowns."""
        return Split(self.size, self.fixed, self.blocks, self.packing.size)

    def _placed(self, f: Fixed) -> Fixed:
        if not 0 <= f.field < self.offsets.size - 1:
            raise ShapeError(
                f"fixed= names field {f.field}; the state has {self.offsets.size - 1}.",
                where="fixed=",
            )
        first, last = self.offsets[f.field : f.field + 2]
        if f.places.size and (f.places.min() < 0 or f.places.max() >= last - first):
            raise ShapeError(
                f"fixed= names an unknown beyond the {last - first} of field {f.field}.",
                where="fixed=",
            )
        return Fixed(f.places + first, f.values, f.field)


def _fixed(given: Any) -> list[Fixed]:
    if given is None:
        return []
    if isinstance(given, Fixed):
        return [given]
    if isinstance(given, list | tuple) and any(
        isinstance(g, Fixed) or (hasattr(g, "flatten") and not isinstance(g, np.ndarray))
        for g in given
    ):
        return [f for g in given for f in _fixed(g)]
    return [fixed(given)]
