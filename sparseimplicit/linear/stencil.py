"""Symmetric matrices on regular grids, by the coefficients of their stencil."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from operator import index
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..errors import NonFinite, ShapeError, StructureError
from ..kernels import bordered, stencil
from .grids import Offset, three
from .matrix_free import MatrixFree

Array = NDArray[np.float64]


class StencilOperator(MatrixFree):
    """A on a grid: a_ij = c_k(i) for j = i + offset k, and the same for a_ji; never assembled.

    Parameters
    ----------
    coefficients : array, shape (K, ny, nx), (K, nz, ny, nx) or (K, nx)
        In float64, C-ordered arrays are shared, not copied. Array k couples each point with the
        one at offset k from it, both ways.
    offsets : K tuples of int
        As many numbers each as the grid has axes; the first all zero, and of each other offset
        and its mirror image only one. Five points on a plane are (0, 0), (0, 1), (1, 0).
    periodic : bool or a tuple of bool, one an axis
        Where it is so, the last points of an axis couple with the first; elsewhere what would
        reach beyond the border has to be 0.

    Raises
    ------
    ShapeError
        If shapes and offsets do not fit, or a coupling reaches beyond a border.
    NonFinite, StructureError
        If a coefficient is NaN, infinite or complex.

    Notes
    -----
    Cost of a product: 8 K + 16 bytes a point from and to memory. The same bits for any number of
    threads.
    """

    def __init__(
        self,
        coefficients: Any,
        offsets: Iterable[tuple[int, ...]],
        *,
        periodic: bool | tuple[bool, ...] = False,
        _checked: bool = False,
    ) -> None:
        if np.iscomplexobj(coefficients):
            raise StructureError(
                "the coefficients are complex; systems here are real.",
                where="StencilOperator",
                fix="give their real parts, if they have no other.",
            )
        given = np.ascontiguousarray(coefficients, dtype=np.float64)
        told = _offsets(offsets)
        self.grid = tuple(given.shape[1:])
        _check_offsets(given, told)
        self.offsets: Final = tuple(three_axes(offset) for offset in told)
        n = int(np.prod(self.grid))
        super().__init__(n)
        self.coefficients: Final[Array] = given.reshape(len(told), n)
        self.shape3: Final = three(self.grid)
        wraps = _wraps(periodic, len(self.grid))
        if not (_checked or np.isfinite(given).all()):
            raise NonFinite("a coefficient is NaN or infinite.", where="StencilOperator")
        _check_borders(given, told, wraps)
        self._offsets: Final = np.array(self.offsets)
        self._shape: Final = np.array(self.shape3)

    @cached_property
    def bordered(self) -> bool:
        """Whether nothing couples round a border."""
        arrays = zip(self.coefficients, self.offsets, strict=True)
        return not any(
            _beyond(c.reshape(self.shape3), axis, step).any()
            for c, offset in arrays
            for axis, step in enumerate(offset)
        )

    def multiply(self, v: Array, out: Array) -> Array:
        """out = A v for contiguous v (n,) and out (n,)."""
        run = bordered.multiply if self.bordered else stencil.multiply
        run(self.coefficients, self._offsets, self._shape, v, out)
        return out

    def multiply_and_dot(self, v: Array, out: Array) -> float:
        """out = A v; return vᵀ A v."""
        if not self.bordered:
            return super().multiply_and_dot(v, out)
        return bordered.multiply(self.coefficients, self._offsets, self._shape, v, out)

    def diagonal(self) -> Array:
        """Return the diagonal, (n,)."""
        return np.asarray(self.coefficients[0])

    def window(self, count: int) -> StencilOperator:
        """Return about ``count`` points from the middle of the grid, their diagonal kept."""
        shrink = min(1.0, (count / self.shape[0]) ** (1.0 / sum(s > 1 for s in self.grid)))
        sizes = [max(1, round(s * shrink)) if s > 1 else 1 for s in self.grid]
        middle = tuple(
            slice((s - w) // 2, (s - w) // 2 + w) for s, w in zip(self.grid, sizes, strict=True)
        )
        told = [offset[3 - len(self.grid) :] for offset in self.offsets]
        kept = [
            k for k, o in enumerate(told)
            if all(abs(step) < size for step, size in zip(o, sizes, strict=True))
        ]  # fmt: skip
        coefficients = np.stack([self.coefficients[k].reshape(self.grid)[middle] for k in kept])
        for c, k in zip(coefficients, kept, strict=True):
            for axis, step in enumerate(told[k]):
                _beyond(c, axis, step)[...] = 0.0
        return StencilOperator(coefficients, [told[k] for k in kept])

    def assemble(self) -> sparse.csr_array:
        """Return A as CSR; couplings of 0 are left out."""
        n = self.shape[0]
        number = np.arange(n).reshape(self.shape3)
        rows: list[NDArray[np.int64]] = []
        columns: list[NDArray[np.int64]] = []
        values: list[Array] = []
        for k, offset in enumerate(self.offsets):
            c = self.coefficients[k]
            other = np.roll(number, tuple(-step for step in offset), axis=(0, 1, 2)).ravel()
            kept = np.flatnonzero(c) if k else np.arange(n)
            for here, there in ((kept, other[kept]), (other[kept], kept))[: 2 if k else 1]:
                rows.append(here)
                columns.append(there)
                values.append(c[kept])
        parts = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        return sparse.csr_array(sparse.coo_array(parts, shape=(n, n)))


def three_axes(offset: tuple[int, ...]) -> Offset:
    """Return an offset in (z, y, x)."""
    full = (0,) * (3 - len(offset)) + offset
    return full[0], full[1], full[2]


def is_near(stencil: StencilOperator) -> bool:
    """Whether each point couples with its nearest neighbours alone, diagonal ones included."""
    return all(max(map(abs, offset)) <= 1 for offset in stencil.offsets)


def _offsets(offsets: Any) -> list[tuple[int, ...]]:
    try:
        return [tuple(index(step) for step in offset) for offset in offsets]
    except TypeError as error:
        raise ShapeError(
            f"the offsets {offsets!r} are no list of tuples of integers.",
            where="StencilOperator",
            fix="offsets [(0, 0), (0, 1), (1, 0)] are five points on a plane.",
        ) from error


def _wraps(periodic: Any, axes: int) -> tuple[bool, ...]:
    told = (periodic,) * axes if isinstance(periodic, bool | np.bool_) else periodic
    right = isinstance(told, tuple | list) and len(told) == axes
    if not (right and all(isinstance(wrap, bool | np.bool_) for wrap in told)):
        raise ShapeError(
            f"periodic is a boolean, or one for each of the {axes} axes; got {periodic!r}.",
            where="StencilOperator",
            fix=f"give periodic={(True,) + (False,) * (axes - 1)} for the first axis alone.",
        )
    return tuple(bool(wrap) for wrap in told)


def _check_offsets(given: Array, told: list[tuple[int, ...]]) -> None:
    axes = given.ndim - 1
    right = (
        1 <= axes <= 3
        and len(told) == given.shape[0] > 0
        and all(len(o) == axes for o in told)
        and not any(told[0])
        and given.size > 0
    )
    if not right:
        raise ShapeError(
            f"coefficients of shape {given.shape} do not go with the offsets {told}.",
            where="StencilOperator",
            fix="give an array of the grid's shape for each offset, the first of them all zero: "
            "offsets [(0, 0), (0, 1), (1, 0)] are five points on a plane.",
        )
    mirrored = {tuple(-step for step in o) for o in told[1:]}
    twice = [o for o in told[1:] if o in mirrored] or [o for o in told if told.count(o) > 1]
    if twice:
        raise ShapeError(
            f"the offset {twice[0]} is there twice, or with its mirror image.",
            where="StencilOperator",
            fix="leave one of the two out: coefficients hold both ways.",
        )
    far = [
        o for o in told if any(abs(s) >= size for s, size in zip(o, given.shape[1:], strict=True))
    ]
    if far:
        raise ShapeError(
            f"the offset {far[0]} leads beyond a grid of {given.shape[1:]} points.",
            where="StencilOperator",
            fix="leave it out: nothing can be that far apart.",
        )


def _check_borders(given: Array, told: list[tuple[int, ...]], wraps: tuple[bool, ...]) -> None:
    for c, offset in zip(given, told, strict=True):
        for axis, (step, wrap) in enumerate(zip(offset, wraps, strict=True)):
            if step == 0 or wrap:
                continue
            if _beyond(c, axis, step).any():
                raise ShapeError(
                    f"the coefficients at offset {offset} reach beyond the border of axis {axis}.",
                    where="StencilOperator",
                    fix="set them to 0 there, or declare the axis periodic.",
                )


def _beyond(c: Array, axis: int, step: int) -> Array:
    """Return the part of an array on the grid whose coupling reaches over the border."""
    along = np.moveaxis(c, axis, 0)
    if step == 0:
        return along[:0]
    return along[-step:] if step > 0 else along[:-step]
