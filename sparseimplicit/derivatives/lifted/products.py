"""Terms of linear combinations of many unknowns: r = F y_loc, never written out.

With r and its directions at hand φ is a term of few numbers. What it gives goes back through Fᵀ;
filters that are parameters take their own part. Of directions (ẏ, Ḟ): ṙ = F ẏ + Ḟ y.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels import lifts
from ..programs.contract import Contraction
from ..programs.threads import spread
from ..stated.bound import BoundTerm
from .by_lines import PARALLEL, LineProducts
from .lines import responses_room

Array = NDArray[np.float64]


class Lifted:
    """A lifted term: the products with its filters, for a list or for the lines of a grid."""

    def __init__(self, term: BoundTerm) -> None:
        self.term = term
        self.lines = None if term.stencil is None else LineProducts(term.stencil)

    @property
    def learned(self) -> bool:
        """Whether the filters are parameters."""
        return self.term.lift_places is not None

    def lift(self, filters: Array, u: Array) -> Array:
        """Return F u_loc of every element, (R, E)."""
        if self.lines is not None:
            return self.lines.lift(filters, u)
        out = responses_room(filters.shape[0], self.term.count)

        def share(first: int, last: int) -> None:
            lifts.lift_list(first, last, filters, u, self.term.yi, out)

        if out.size * self.term.k < PARALLEL:
            share(0, self.term.count)
        else:
            spread(share, self.term.count)
        return out

    def lower(self, filters: Array, q: Array, out: Array) -> None:
        """Add Fᵀ q of every element to the unknowns."""
        if self.lines is not None:
            self.lines.lower(filters, q, out)
        else:
            lifts.lower_list(filters, q, self.term.yi, out)

    def outer(self, q: Array, u: Array) -> Array:
        """Return Σ_e q_e u_locᵀ, (R, k)."""
        if self.lines is not None:
            return self.lines.outer(q, u)
        parts = np.zeros((self.term.count // lifts.TILE + 1, q.shape[0], self.term.k))
        lifts.outer_list(q, u, self.term.yi, parts)
        return np.asarray(parts.sum(axis=0))

    def arrays(
        self, x: Array, y: Array, what: Contraction | None, seeds: Mapping[str, Array]
    ) -> dict[str, Any]:
        """Return by name what programs of the term read: r, and what each direction makes of it."""
        filters = self.term.filters(x)
        found: dict[str, Any] = {"r": self.lift(filters, y)}
        directions = what.directions if what else ()
        for n, kind in enumerate(directions):
            if kind != "x":
                found[f"r{n}"] = self.lift(filters, seeds[f"d{n}"])
            if kind != "y" and self.learned and what:
                moving = self.lift(self.term.filters(seeds[what.in_x(n)]), y)
                found[f"r{n}"] = moving if kind == "x" else found[f"r{n}"] + moving
        if self.learned and what and len(directions) == 2 and directions != ("y", "y"):
            if directions == ("x", "x"):
                found["r01"] = np.zeros_like(found["r"])
            else:
                moved = 1 if directions[0] == "y" else 0
                moving = self.term.filters(seeds[what.in_x(moved)])
                found["r01"] = self.lift(moving, seeds[f"d{1 - moved}"])
        return found

    def to_state(
        self, q: Array, x: Array, what: Contraction, seeds: Mapping[str, Array], out: Array
    ) -> None:
        """Add to g_y what the stores of a `state_program` make of it."""
        responses = self.term.responses
        self.lower(self.term.filters(x), q[:responses], out)
        if self.learned:
            for n, kind in enumerate(what.directions):
                if kind != "y":
                    part = np.ascontiguousarray(q[(n + 1) * responses : (n + 2) * responses])
                    self.lower(self.term.filters(seeds[what.in_x(n)]), part, out)

    def to_filters(
        self, q: Array, y: Array, what: Contraction, seeds: Mapping[str, Array], out: Array
    ) -> None:
        """Add to g_x what the stores of a `state_program` make of the filters."""
        responses = self.term.responses
        total = self.outer(q[:responses], y)
        for n, kind in enumerate(what.directions):
            if kind != "x":
                part = np.ascontiguousarray(q[(n + 1) * responses : (n + 2) * responses])
                total += self.outer(part, seeds[f"d{n}"])
        out[self.term.lift_places] += self.term.by_coefficients(total)
