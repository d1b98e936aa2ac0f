"""The Hessian of filters on one image as an operator: responses apart, nothing assembled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from ...errors import StructureError
from ...linear.filters import Border, FilterOperator
from ..programs.contract import Contraction, matrix_program, state_program
from ..programs.lists import ListKernel, blocks_of
from ..programs.source import Program
from ..stated.bound import BoundTerm
from .lines import responses_room
from .windows import common_size, images, squares, window_of

Array = NDArray[np.float64]
Arrays = Callable[[int], dict[str, Any]]

BORDERS: Final[dict[str, Border]] = {
    "symmetric": "reflect", "periodic": "periodic", "inside": "zero",
}  # fmt: skip


class FilterHessian:
    """diag(d) + Σ_k Kᵏᵀ diag(wᵏ) Kᵏ of lifted terms whose φ is a sum over single responses.

    Terms without a lift give d: each unknown of theirs has to stand alone, as in a data term.

    Where φ″ of a response is negative anywhere, a share of all its curvatures may be given to the
    secants φ′(r)/r: with these alone the operator is the Hessian of a quadratic that lies above the
    energy and touches it, for every even φ that is concave in r². With half of them curvatures are
    no longer negative, for log(1 + r²) and Student's t. Of any other φ a secant may lie below the
    curvature; there the curvature stays.

    Source: half-quadratic regularisation, Geman and Reynolds 1992; Nikolova and Ng 2005.

    Raises
    ------
    StructureError
        If the terms are not so; it is said which, and what to write.
    """

    def __init__(self, terms: list[BoundTerm], n_y: int) -> None:
        self.terms, self.n_y = terms, n_y
        found = {t: window_of(term) for t, term in enumerate(terms) if term.lifted}
        self.windows = {t: w for t, w in found.items() if w is not None}
        for t in found.keys() - self.windows.keys():
            _refuse(terms[t], "is not one of patches of a single image", "state it by si.patches")
        first = next(iter(self.windows.values()))
        for t, window in self.windows.items():
            if (window.grid, window.border) != (first.grid, first.border):
                _refuse(terms[t], "has another grid or border", "give all the same")
        if first.border not in BORDERS:
            _refuse(
                terms[next(iter(found))], f"has the border '{first.border}'",
                'take border="symmetric", "periodic" or "inside"',
            )  # fmt: skip
        if int(np.prod(first.grid)) != n_y:
            _refuse(terms[next(iter(found))], "is not on all unknowns", "keep to one image")
        self.border = BORDERS[first.border]
        self.size = common_size(self.windows.values())
        self._programs()

    def _programs(self) -> None:
        self.kernels: dict[int, ListKernel] = {}
        self.slopes: dict[int, ListKernel] = {}
        self.responses: dict[int, NDArray[Any]] = {}
        self.places: dict[int, NDArray[Any]] = {}
        for t, term in enumerate(self.terms):
            made = matrix_program(term, "y", "y")
            if made.first != made.second:
                what = "responses" if term.lifted else "unknowns"
                _refuse(term, f"couples its {what}", "write it as a sum over single ones")
            self.responses[t] = np.array(made.first, dtype=np.int64)
            to = None
            if not term.lifted:
                to = self.places[t] = np.ascontiguousarray(term.yi[:, self.responses[t]])
            blocks = blocks_of(term.count, to, self.n_y, term.weight)
            self.kernels[t] = ListKernel(made.program, blocks)
            self.slopes[t] = ListKernel(state_program(term, Contraction(())), blocks)

    def replaced(self, programs: Mapping[int, Program]) -> FilterHessian:
        """Return the same for other programs with the same entries."""
        other = copy(self)
        other.kernels = {t: ListKernel(programs[t], k.blocks) for t, k in self.kernels.items()}
        return other

    def at(self, x: Array, arrays: Arrays, share: float = 0.0) -> FilterOperator:
        """Return the Hessian; ``arrays(t)`` are those that programs of term t read.

        share : of the secants in curvatures that may be negative.
        """
        data, filters, weights = np.zeros(self.n_y), [], []
        for t, term in enumerate(self.terms):
            if not self.responses[t].size:
                continue
            if not term.lifted:
                self.kernels[t].run(arrays(t), data, self.places[t])
                continue
            given = arrays(t)
            curvature = responses_room(self.responses[t].size, term.count)
            self.kernels[t].run(given, curvature)
            if share:
                self._towards_secants(t, curvature[:, : term.count], given, share)
            square = squares(term, term.filters(x), self.windows[t], self.size)
            filters.append(square[self.responses[t]])
            weights.append(images(self.windows[t], curvature))
        if not filters:  # all lifted terms are linear
            filters = [np.zeros((1, *self.size))]
            weights = [np.zeros((1, *next(iter(self.windows.values())).grid))]
        return FilterOperator(
            np.concatenate(filters),
            weights[0] if len(weights) == 1 else np.concatenate(weights),
            data,
            border=self.border,
            products=None,
        )

    def _towards_secants(
        self, t: int, curvature: Array, given: dict[str, Any], share: float
    ) -> None:
        slopes = responses_room(self.terms[t].responses, curvature.shape[1])
        self.slopes[t].run(given, slopes)
        for own, k in zip(curvature, self.responses[t], strict=True):
            if own.min() < 0.0:
                r, slope = given["r"][k, : own.size], slopes[k, : own.size]
                secant = np.divide(slope, r, out=own.copy(), where=r != 0.0)
                own += share * np.maximum(secant - own, 0.0)


def _refuse(term: BoundTerm, what: str, fix: str) -> NoReturn:
    raise StructureError(
        f"the Hessian is no operator of filters on one image: '{term.name}' {what}.",
        where="Energy.hessian",
        fix=f"{fix}; or leave out assembled=False.",
    )
