"""A hierarchy of grids as preconditioner: one V-cycle, in single precision where that will do."""

from __future__ import annotations

import threading
import weakref
from typing import Final

import numpy as np

from ..kernels.vectors import cast
from .levels import build, cycle
from .memory import available_bytes
from .operator import Array
from .preconditioning import PreparedPreconditioner
from .room import Lease, Room
from .smoothers import stored_bytes
from .stencil import StencilOperator

LEAN_FROM: Final = 0.25  # of the available memory
FAR: Final = 1e10  # entries this far from 1 are brought there, for the range of float32


class Hierarchy(PreparedPreconditioner):
    """M⁻¹ = one V-cycle of black-box multigrid with overlapping blocks of lines as smoother.

    Parameters
    ----------
    stencil : StencilOperator
        Positive definite, of nearest neighbours.
    double : bool
        Keep it in float64, at twice the bytes. It is so anyhow where the diagonal spans more than
        twenty decades, which float32 does not.
    lean : bool, optional
        Make factors anew each time instead of holding them, which takes about half of the bytes
        and several times the time. Left out, it is done where they would fill a quarter of what is
        available.

    room : Room, optional
        Where its arrays come from, and go when it is gone.

    Notes
    -----
    Cost of the set-up: a few cycles. Source: Dendy 1982 (transfers); Schwarz 1870
    (overlapping blocks); see `levels`.
    """

    factorizations = 1

    def __init__(
        self,
        stencil: StencilOperator,
        *,
        double: bool = False,
        lean: bool | None = None,
        room: Room | None = None,
    ) -> None:
        diagonal = stencil.diagonal()
        largest, least = float(diagonal.max()), float(diagonal.min())
        usual = least > 1.0 / FAR and largest < FAR
        self._unit = 1.0 if usual else 2.0 ** round(np.log2(largest))
        precise = double or least < largest / FAR**2
        if lean is None:
            factors = stored_bytes(stencil.shape3, 8 if precise else 4, 8 if precise else 2)
            lean = factors > LEAN_FROM * available_bytes()
        coefficients = stencil.coefficients if usual else stencil.coefficients / self._unit
        self.lean: Final = lean
        self.analysis = Room() if room is None else room
        lease = Lease(self.analysis)
        weakref.finalize(self, lease.end)
        self._lock = threading.Lock()  # the levels have room for one cycle at a time
        self.levels: Final = build(
            stencil.shape3,
            stencil.offsets,
            coefficients,
            np.float64 if precise else np.float32,
            lease,
            bordered=stencil.bordered,
            lean=lean,
        )
        if lean:  # what the set-up alone has needed is not to be held beside
            self.analysis.clear()
        if usual:
            self.precision = self.levels[0].x.dtype.type
        self.bytes_estimate = sum(array.nbytes for array in lease.arrays)

    def apply(self, r: Array) -> Array:
        """Return one V-cycle on each column of r."""
        return self.apply_into(r, np.empty_like(r))

    def apply_into(self, r: Array, out: Array) -> Array:
        """Write one V-cycle on each column of r into ``out``; of one column in `precision`."""
        finest = self.levels[0]
        for k in range(r.shape[1]):
            with self._lock:
                cast(np.ascontiguousarray(r[:, k]), 1.0, finest.b)
                if self._unit == 1.0 and out.dtype == finest.x.dtype and r.shape[1] == 1:
                    held, finest.x = finest.x, out.reshape(-1)
                    try:
                        cycle(self.levels)
                    finally:
                        finest.x = held
                    continue
                cycle(self.levels)
                if r.shape[1] == 1:
                    cast(finest.x, 1.0 / self._unit, out.reshape(-1))
                else:
                    out[:, k] = finest.x / self._unit
        return out

    apply_transpose = apply
