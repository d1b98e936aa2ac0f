"""How strongly a stencil couples along each axis of its grid, and what follows for a level."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..kernels import PARALLEL_ROWS
from .grids import Offset, Shape

NEARLY: Final = 0.6  # of the strongest axis's coupling: lines along the last one are as good
WEAK: Final = 0.1  # part of the second strongest axis's coupling, below which one is not coarsened
STRETCHED: Final = 100.0  # times the second strongest coupling
STEEP: Final = 1e8  # from one diagonal entry to the next: their factors leave the range of float16
SLACK: Final = 1e-5  # 1ᵀA 1 over the trace: below, rounding costs more iterations than bytes save
LOOKED_AT: Final = 20_000  # points that tell what a grid is like


def strengths(
    shape: Shape, offsets: tuple[Offset, ...], coefficients: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean strength of coupling along each axis, −Σ_o c_o o_a²; 0 along none.

    From some ten thousand points, in steps that are prime to most widths of grids.
    """
    some = coefficients[:, :: max(1, coefficients.shape[1] // LOOKED_AT) | 1]
    strength = -(np.array(offsets).T ** 2) @ some.mean(axis=1)
    extends = np.array(shape) > 1
    return np.where(extends, np.maximum(strength, 1e-300), 0.0)


def three_digits_do(
    shape: Shape,
    coefficients: NDArray[np.float64],
    strength: NDArray[np.float64],
    *,
    by_seams: bool,
) -> bool:
    """Whether the bytes of a level's factors count for time, and float16 is as good as float32.

    It is not where one axis is coupled much more than the others, on the whole: what is stretched
    one way here and another there is not seen. Nor where neighbouring diagonal entries are decades
    apart, nor for the cycle by seams where A is nearly singular: it takes blocks for solved
    exactly, and what rounding leaves of a constant is beside 1ᵀA 1 then.
    """
    if coefficients.shape[1] < PARALLEL_ROWS:
        return False
    second, strongest = np.sort(strength)[-2:]
    diagonal = coefficients[0].reshape(shape)
    if strongest >= STRETCHED * second or _is_steep(diagonal):
        return False
    trace = float(diagonal.sum())
    return not by_seams or trace + 2.0 * float(coefficients[1:].sum()) > SLACK * trace


def _is_steep(diagonal: NDArray[np.float64]) -> bool:
    """Whether neighbouring entries are decades apart, as far as some lines of the grid show."""
    for axis in range(3):
        lines = np.moveaxis(diagonal, axis, 0)
        lines = lines.reshape(lines.shape[0], -1)
        some = lines[:, :: max(1, lines.size // LOOKED_AT) | 1]
        here, there = some[:-1], some[1:]
        if (np.maximum(here, there) > STEEP * np.minimum(here, there)).any():
            return True
    return False


def line_axis(strength: NDArray[np.float64]) -> int:
    """Return the axis of the strongest coupling, or one further back that couples nearly as well.

    Points of a line along the last axis lie side by side there, and are read without a stride.
    """
    return int(np.flatnonzero(strength >= NEARLY * strength.max())[-1])


def coarsening(shape: Shape, strength: NDArray[np.float64]) -> Shape:
    """Coarsen along the lines, and along the axes that couple as well as the second best.

    What couples weakly stays fine: no smoothing would bring together what oscillates across it.
    """
    open_axes = [a for a in range(3) if shape[a] > 2]
    weak = WEAK * np.sort(strength)[-2]
    strong = [a for a in open_axes if strength[a] >= weak]
    # Where the strong ones have been used up, the others are all that is left.
    z, y, x = (2 if a in (strong or open_axes) else 1 for a in range(3))
    return z, y, x
