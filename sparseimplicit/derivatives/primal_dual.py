"""Primal-dual Newton: dual vectors of smoothed norms that follow the steps of a solve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import StructureError
from .assembly import Array, Assembly, Duals
from .on_grids.assembly import GridMatrix
from .on_grids.fill import shared_arrays
from .programs.contract import Contraction, dual_matrix_program, dual_program

STEP = Contraction(("y",))


@dataclass(frozen=True, eq=False)
class PrimalDual:
    """The dual vectors p of an energy's smoothed norms, and its second derivatives with them.

    curvature : of (x, y, share, duals).
    """

    curvature: Callable[[Any, Any, float, Duals], Any]
    assembly: Assembly
    duals: Duals

    @classmethod
    def begun(
        cls, curvature: Callable[..., Any], assembly: Assembly, assembled: bool
    ) -> PrimalDual | None:
        """Return p = 0; None where no smoothed norm is recognised."""
        counts = assembly.once("duals", lambda: _counts(assembly))
        if not any(counts):
            return None
        pattern = assembly.pattern("y", "y") if assembled else None
        on_grid = isinstance(pattern, GridMatrix) if assembled else not assembly.lifted
        pixels = assembly.grid.pixels if on_grid else 0
        grid, lists = {}, {}
        for t, count in enumerate(counts):
            if count and on_grid:
                grid[t] = np.zeros(count * pixels)
            if count:
                elements = assembly.grid.rest(t).count if on_grid else assembly.terms[t].count
                lists[t] = np.zeros((count, elements))
        return cls(curvature, assembly, Duals(grid, lists))

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
            bounds = np.cumsum([p.size for p in grid.values()])
            grid = dict(zip(grid, np.split(out, bounds[:-1]), strict=True))
        for t, p in self.duals.lists.items():
            side = assembly.grid.rest(t) if grid else None
            listed = assembly.listed(t, ("duals", bool(grid)), dual_program, None, 0, side)
            lists[t] = np.empty_like(p)
            listed.run(assembly.arrays(t, x, y, STEP, seeds, side, duals=self.duals), lists[t])
        return PrimalDual(self.curvature, assembly, Duals(grid, lists))


def _counts(assembly: Assembly) -> list[int]:
    """Return the components of p of each term; none where a kernel would compile for long."""
    try:
        for term in assembly.terms:
            dual_matrix_program(term)
        return [len(dual_program(term).stores) for term in assembly.terms]
    except StructureError:
        return []
