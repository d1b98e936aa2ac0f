"""Primal-dual Newton: dual vectors of smoothed norms that follow the steps of a solve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import StructureError
from ..kernels import vectors
from .assembly import Array, Assembly, Duals
from .lifted.lines import responses_room
from .on_grids.assembly import GridMatrix
from .on_grids.fill import shared_arrays
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
        pixels = assembly.grid.pixels if on_grid else 0
        grid, lists = {}, {}
        for t, (*_, count) in bounds.items():
            elements = assembly.terms[t].count
            if on_grid:
                grid[t], elements = np.zeros(count * pixels), assembly.grid.rest(t).count
            lists[t] = responses_room(count, elements)
            lists[t].fill(0.0)
        return cls(curvature, assembly, bounds, Duals(grid, lists))

    def at(self, x: Array, y: Array, share: float = 0.0) -> Any:
        """Return the second derivatives with p; share : of a majorant."""
        return self.curvature(x, y, share, self.duals)

    def moved(self, x: Array, y: Array, step: Array) -> PrimalDual:
        """Return p after a whole step from y."""
        assembly, seeds = self.assembly, {"d0": step}
        grid, lists = dict(self.duals.grid), {}
        if grid:
            kernel = assembly.once("grid duals", lambda: assembly.grid.vector(dual_program, "p"))
            assert kernel is not None  # noqa: S101 - images of their own always fit
            out = np.empty(sum(p.size for p in grid.values()))
            kernel.run(shared_arrays(kernel.pieces, x, y, seeds, grid), out)
            ends = np.cumsum([p.size for p in grid.values()])
            grid = dict(zip(grid, np.split(out, ends[:-1]), strict=True))
            for t, p in grid.items():
                vectors.shorten(p.reshape(self.bounds[t][-1], -1), self.bounds[t])
        for t, p in self.duals.lists.items():
            side = assembly.grid.rest(t) if grid else None
            listed = assembly.listed(t, ("duals", bool(grid)), dual_program, None, 0, side)
            lists[t] = np.empty_like(p)
            listed.run(assembly.arrays(t, x, y, STEP, seeds, side, duals=self.duals), lists[t])
            vectors.shorten(lists[t], self.bounds[t])
        return PrimalDual(self.curvature, assembly, self.bounds, Duals(grid, lists))


def _bounds(assembly: Assembly) -> dict[int, tuple[int, ...]]:
    """Return the bounds of terms with norms; nothing where a kernel would compile for long."""
    found = {t: dual_bounds(term) for t, term in enumerate(assembly.terms)}
    try:
        for term in assembly.terms:
            dual_matrix_program(term), dual_program(term)
    except StructureError:
        return {}
    return {t: bounds for t, bounds in found.items() if len(bounds) > 1}
