"""Primal-dual Newton: dual vectors of smoothed norms that follow the steps of a solve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np

from ..errors import StructureError
from ..kernels import vectors
from .assembly import Array, Assembly, Duals
from .lifted.lines import responses_room
from .on_grids.assembly import GridMatrix, GridVector
from .programs.contract import Contraction, dual_bounds, dual_matrix_program, dual_program

STEP = Contraction(("y",))


@dataclass(frozen=True, eq=False)
class PrimalDual:
    """The dual vectors p of an energy's smoothed norms, and its second derivatives with them.

    curvature : of (x, y, share, duals).
    bounds : by term, of the dual vector of each norm among those of an element.
    """

    curvature: Callable[[Any, Any, float, Duals], Any]
    assembly: Assembly
    bounds: dict[int, tuple[int, ...]]
    duals: Duals

    @classmethod
    def begun(
        cls, curvature: Callable[..., Any], assembly: Assembly, assembled: bool
    ) -> PrimalDual | None:
        """Return p = 0; None where no smoothed norm is recognised."""
        bounds = assembly.once("duals", lambda: _bounds(assembly))
        if not bounds:
            return None
        pattern = assembly.pattern("y", "y") if assembled else None
        on_grid = isinstance(pattern, GridMatrix) if assembled else not assembly.lifted
        counts = [count for *_, count in bounds.values()]
        before = dict(zip(bounds, accumulate(counts, initial=0), strict=False))
        if on_grid:
            grid = {"p": np.zeros(sum(counts) * assembly.grid.pixels)}
            return cls(curvature, assembly, bounds, Duals(before, grid, {}))
        lists = {}
        for t, count in zip(bounds, counts, strict=True):
            lists[t] = responses_room(count, assembly.terms[t].count)
            lists[t].fill(0.0)
        return cls(curvature, assembly, bounds, Duals(before, {}, lists))

    def at(self, x: Array, y: Array, share: float = 0.0) -> Any:
        """Return the second derivatives with p; share : of a majorant."""
        return self.curvature(x, y, share, self.duals)

    def moved(self, x: Array, y: Array, step: Array) -> PrimalDual:
        """Return p after a whole step from y."""
        assembly, seeds, before = self.assembly, {"d0": step}, self.duals.before
        grid, lists = {}, {}
        if self.duals.grid:
            vector = assembly.once("dual images", self._images)
            grid["p"] = np.empty_like(self.duals.grid["p"])
            vector.run(x, y, seeds | self.duals.grid, grid["p"])
            images = grid["p"].reshape(-1, assembly.grid.pixels)
            for t, bounds in self.bounds.items():
                vectors.shorten(images[before[t] : before[t] + bounds[-1]], bounds)
        for t, p in self.duals.lists.items():
            listed = assembly.listed(t, "duals", dual_program, None, 0)
            lists[t] = np.empty_like(p)
            listed.run(assembly.arrays(t, x, y, STEP, seeds, duals=self.duals), lists[t])
            vectors.shorten(lists[t], self.bounds[t])
        return replace(self, duals=Duals(before, grid, lists))

    def _images(self) -> GridVector:
        programs = {t: dual_program(self.assembly.terms[t]) for t in self.bounds}
        return self.assembly.grid.duals(programs, self.duals.before)


def _bounds(assembly: Assembly) -> dict[int, tuple[int, ...]]:
    """Return the bounds of terms with norms; nothing where a kernel would compile for long."""
    found = {t: dual_bounds(term) for t, term in enumerate(assembly.terms)}
    try:
        for term in assembly.terms:
            dual_matrix_program(term), dual_program(term)
    except StructureError:
        return {}
    return {t: bounds for t, bounds in found.items() if len(bounds) > 1}
