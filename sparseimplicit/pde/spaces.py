"""The unknowns and the parameters of a weak form: where each basis's numbers stand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ShapeError, StructureError
from ..packing import Packing
from .dirichlet import Fixed, Split, fixed
from .integral import Integral, is_number
from .local_form import LocalForm


class Spaces:
    """The unknowns and the parameters of integrals: where each basis's numbers stand.

    Attributes
    ----------
    packing : Packing
        The blocks of x: one for each control by name.
    control_dofs : dict
        For each control of a basis, which of the basis's numbers x holds, in order: those that the
        integrals touch; on facets alone, those whose shape functions do not vanish there. The
        others count as 0.
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
        stated: dict[str, list[Any]] = {}
        for i in self.integrals:
            for name, of in i.control.items():
                stated.setdefault(name, []).append(of)
        shapes: dict[str, int] = {}
        places: dict[str, Any] = {}
        for name, given in stated.items():
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
            dofs = np.unique(np.concatenate([b.element_dofs[touched(b)] for b in bases]))
            number = np.zeros(int(bases[0].N), dtype=np.int64)  # the others count as 0
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

    def check_known(self, of: Integral, where: str) -> None:
        """Refuse an integral of other states or controls than these."""
        sizes = [int(basis.N) for basis in of.state]
        if sizes != list(np.diff(self.offsets)):
            raise ShapeError(
                f"the state has fields of sizes {list(np.diff(self.offsets))}, here {sizes}.",
                where=where,
                fix="give the bases of the problem's state, or others of the same elements.",
            )
        for name, given in of.control.items():
            if name not in self.blocks:
                raise ShapeError(
                    f"there is no control '{name}'.",
                    where=where,
                    fix=f"take one of: {', '.join(self.blocks) or 'none'}.",
                )
            block = self.blocks[name]
            if is_number(given):
                known = np.ndim(block) == 0 and given == self.packing.shapes[name][0]
            else:
                known = np.shape(block) == (int(given.N),) and bool(
                    np.isin(given.element_dofs[touched(given)], self.control_dofs[name]).all()
                )
            if not known:
                raise ShapeError(
                    f"control '{name}' is another space than that of the problem, or reaches "
                    "beyond what x holds of it.",
                    where=where,
                )

    def state_places(self, of: Integral) -> NDArray[Any]:
        """Return where the unknowns of each element stand among all, (E, k)."""
        pieces = [
            np.asarray(basis.element_dofs).T + offset
            for basis, offset in zip(of.state, self.offsets[:-1], strict=True)
        ]
        return np.hstack(pieces)

    def terms(
        self, integrals: Sequence[Integral], *, tested: bool
    ) -> list[tuple[LocalForm, dict[str, Any], dict[str, Any]]]:
        """Return each integral as local terms: a function, y= and x=, and its numbers.

        It is one term, but for elements of many unknowns, whose rows are split into several.
        """
        made: list[tuple[LocalForm, dict[str, Any], dict[str, Any]]] = []
        for number, of in enumerate(integrals):
            name = f"integral {number}"
            present = {
                key: np.isin(basis.element_dofs, self.control_dofs[key])
                for key, basis in of.control.items() if key in self.control_dofs
            }  # fmt: skip
            whole = LocalForm(of, tested=tested, name=name, present=present)
            places: dict[str, Any] = {"y": self.state_places(of)}
            places["x"] = whole.places(self.blocks)
            forms = [whole]
            if whole.parts > 1:
                bounds = np.linspace(0, places["y"].shape[1], whole.parts + 1).astype(int)
                forms = [
                    LocalForm(of, tested=tested, name=name, present=present, rows=slice(a, b))
                    for a, b in pairwise(bounds.tolist())
                ]
            made += [(form, places, {"name": name, **form.data()}) for form in forms]
        return made

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
        if f.length not in (None, last - first):
            raise ShapeError(
                f"fixed= has a mask of {f.length} for the {last - first} unknowns of field "
                f"{f.field}.",
                where="fixed=",
                fix="give one boolean for each number of the basis, or basis.get_dofs(…).",
            )
        bases = [i.state[f.field] for i in self.integrals]
        if f.numbering is not None and not any(_same_numbers(f.numbering, b.dofs) for b in bases):
            raise ShapeError(
                f"fixed= has dofs of another mesh or element than field {f.field} of the state.",
                where="fixed=",
                fix="give get_dofs of the basis of the state; those of a further field with its "
                "number, pde.fixed(dofs, field=1).",
            )
        return Fixed(f.places + first, f.values, f.field)


def _same_numbers(one: Any, other: Any) -> bool:
    """Tell whether two Dofs of scikit-fem number the same cells in the same way."""
    return one is other or (
        np.array_equal(one.element_dofs, other.element_dofs)
        and np.array_equal(one.topo.t, other.topo.t)
    )


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


def vector_of(given: Any, size: int, name: str, where: str) -> NDArray[np.float64]:
    """Return a vector of this size, or say what is wrong with it."""
    array = np.asarray(given, dtype=np.float64).reshape(-1)
    if array.size != size:
        raise ShapeError(
            f"{name} has {array.size} numbers; {size} are needed.",
            where=where,
            fix="y holds the free unknowns alone, x the blocks of `packing`.",
        )
    return array


def touched(basis: Any) -> NDArray[np.bool_]:
    """Return which shape functions of each element or facet do not vanish on it, (k, E)."""
    if getattr(basis, "find", None) is None:
        return np.ones(np.shape(basis.element_dofs), dtype=bool)
    sizes = [
        np.abs(np.asarray(of[0])).reshape(-1, basis.nelems, len(basis.W)).max(axis=(0, 2))
        for of in basis.basis
    ]
    found = np.stack(sizes)
    return np.asarray(found > 1e-10 * found.max(initial=0.0))


def spaces_of(problem: Any, where: str) -> Any:
    """Return the spaces of an equation or energy; refuse what has none, as a basis."""
    if not hasattr(problem, "spaces"):
        raise StructureError(
            f"a loss is over the states of a problem, got {type(problem).__name__}.",
            where=where,
            fix="give the pde.Equation or pde.Energy that the states belong to.",
        )
    return problem.spaces
