"""Hessians of filter energies as operators: D + Σ_k Kᵏᵀ diag(wᵏ) Kᵏ on an image."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from scipy import sparse

from ..errors import NonFinite, ShapeError
from ..kernels import assembling, stencils
from ..kernels import filters as kernels
from ..kernels.vectors import finite
from .matrix_free import MatrixFree
from .memory import available_bytes
from .operator import Array, csr_from_parts
from .padding import Padding

Border = Literal["zero", "reflect", "periodic"]
PADDING: Final = {"zero": "constant", "reflect": "symmetric", "periodic": "wrap"}
# Operations a second of products and assembly, bytes a second of a stencil, all cores; what they
# decide is close only where it matters little. From scripts/bench/filters.py, two cores of 2022.
FILTERING: Final = 2.4e10
ASSEMBLY: Final = 4.0e10
STENCIL: Final = 1.4e10


class FilterOperator(MatrixFree):
    """H = diag(d) + Σ_k Kᵏᵀ diag(wᵏ) Kᵏ on an image of h × w pixels, unknowns row by row.

    (Kᵏ u)[i, j] = Σ_pq fᵏ[p, q] u[i + p − ⌊a/2⌋, j + q − ⌊b/2⌋], as `scipy.ndimage.correlate`;
    beyond the border u is zero, reflected (… u₁ u₀ | u₀ u₁ …, scipy's "reflect") or periodic
    ("wrap").

    Parameters
    ----------
    filters : array, shape (K, a, b)
        Of any size, also even and rectangular ones.
    weights : array, shape (K, h, w)
        Of what the filters find at each pixel; set them to 0 near a border to leave out filters
        that reach beyond it.
    data : float or array of h × w
        The diagonal d, of a data term.
    border : {"zero", "reflect", "periodic"}
    products : int or None
        How many will be wanted, about. Where that pays, the stencil of (2a − 1)(2b − 1) points is
        assembled at the first product: with 8 filters of 5 × 5 products are then twice as fast,
        with 48 of 7 × 7 five times, with one filter no faster. 1 never assembles. None finds out,
        from what a solver expects, or once what was made would have paid for half of the stencil.

    Raises
    ------
    ShapeError, NonFinite

    Notes
    -----
    Cost of a product a pixel: 4 K a b operations, or 8 bytes for half of the points of the stencil.
    Of the assembly: K (a b)² operations. Symmetric; positive definite where d > 0 and w ≥ 0.
    Parallel; the same bits for any number of threads; one product at a time.
    """

    grid: tuple[int, int]

    def __init__(
        self,
        filters: Any,
        weights: Any,
        data: Any = 0.0,
        *,
        border: Border = "reflect",
        products: int | None = 100,
    ) -> None:
        self.filters = np.ascontiguousarray(filters, dtype=np.float64)
        self.weights = np.ascontiguousarray(weights, dtype=np.float64)
        self.border: Border = border
        self.products = products
        _check(self.filters, self.weights, border)
        self.grid = (int(self.weights.shape[1]), int(self.weights.shape[2]))
        n = self.grid[0] * self.grid[1]
        super().__init__(n)
        try:
            flat = np.asarray(data, dtype=np.float64)
            self.data = np.ascontiguousarray(
                np.broadcast_to(flat.reshape(self.grid) if flat.size == n else flat, self.grid)
            )
        except ValueError as error:
            raise ShapeError(
                f"the data term has shape {np.shape(data)}, the image {self.grid}.",
                where="FilterOperator",
            ) from error
        if not finite(self.data.ravel()):
            raise NonFinite("the data term holds NaN or inf.", where="FilterOperator")
        self._lock = threading.Lock()  # the scratch serves one product at a time
        self._made = 0
        # Whether products go by the stencil.
        self.assembled = products is not None and self._pays(products)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy what defines the operator; stencil and scratch are made again where needed."""
        return _rebuilt, (self.filters, self.weights, self.data, self.border, self.products)

    def expect(self, products: int) -> None:
        """Take note that about so many products will follow."""
        if self.products is None and not self.assembled:
            self.assembled = self._pays(products)

    def _pays(self, products: int) -> bool:
        """Whether so many products save more than the stencil costs, and it fits into memory."""
        count, a, b = self.filters.shape
        n = self.shape[0]
        filtering = 4.0 * count * a * b * n / FILTERING
        by_stencil = 8.0 * self._points * n / STENCIL
        assembly = count * (a * b) ** 2 * n / ASSEMBLY
        saved = (products - 1) * (filtering - by_stencil)
        return bool(saved > assembly and 8 * self._points * 1.2 * n < available_bytes())

    @property
    def _points(self) -> int:
        _, a, b = self.filters.shape
        return int(b + (a - 1) * (2 * b - 1))

    @cached_property
    def _padding(self) -> Padding:
        _, a, b = self.filters.shape
        margins = (a // 2, a - 1 - a // 2), (b // 2, b - 1 - b // 2)
        return Padding(self.grid, margins, PADDING[self.border])

    @cached_property
    def _room(self) -> tuple[Array, Array, Array, Array]:
        (h, w), (_, a, b) = self.grid, self.filters.shape
        u = np.zeros((h + a - 1, w + b - 1))
        flipped = np.ascontiguousarray(self.filters[:, ::-1, ::-1])
        return flipped, u, np.empty_like(u), kernels.scratch(self.filters, self.weights)

    @cached_property
    def stencil(self) -> Array:
        """The entries of H by points, folded at the border; see `kernels.filters`."""
        (h, w), (_, a, b) = self.grid, self.filters.shape
        out = np.empty((h + a - 1, self._points, w + 2 * (b - 1)))
        assembling.assemble(assembling.products_of(self.filters), self.weights, b, out)
        out[a // 2 : a // 2 + h, 0, b - 1 : b - 1 + w] += self.data
        stencils.fold(out, a, b, *self._padding.copies, self.border == "periodic")
        return out

    def multiply(self, v: Array, out: Array) -> Array:
        """out = H v for v (n,) and contiguous out (n,)."""
        image, result = np.ascontiguousarray(v).reshape(self.grid), out.reshape(self.grid)
        with self._lock:
            if self.products is None and not self.assembled:
                self._made += 1
                self.assembled = self._pays(2 * self._made)
            if self.assembled:
                self._by_stencil(image, result)
            else:
                self._by_filters(image, result)
        return out

    def _by_filters(self, image: Array, out: Array) -> None:
        flipped, u, y, room = self._room
        kernels.multiply(
            self.filters, flipped, self.weights, self._padding.spread(image, u), y, room
        )
        np.multiply(self.data, image, out=out)
        out += self._padding.fold(y)

    @cached_property
    def _wide(self) -> Array:
        return np.zeros((self.grid[0], self.grid[1] + 2 * (self.filters.shape[2] - 1)))

    def _by_stencil(self, image: Array, out: Array) -> None:
        _, a, b = self.filters.shape
        w, u, periodic = self.grid[1], self._wide, self.border == "periodic"
        u[:, b - 1 : b - 1 + w] = image
        if periodic:
            beyond = np.arange(b - 1)
            u[:, : b - 1] = image[:, (beyond - (b - 1)) % w]
            u[:, b - 1 + w :] = image[:, beyond % w]
        stencils.apply_stencil(self.stencil, a, b, periodic, u, out)

    def diagonal(self) -> Array:
        """Return the diagonal of H, (n,); the border folded in."""
        (h, w), (_, a, b) = self.grid, self.filters.shape
        wrapped = self.border == "periodic" and (h < 2 * a - 1 or w < 2 * b - 1)
        if wrapped or not self.assembled:  # wrapped: a pixel may be its own neighbour
            out = self.data.copy()
            kernels.diagonal(self.filters, self.weights, *self._padding.copies, out)
            return out.ravel()
        return self.stencil[a // 2 : a // 2 + h, 0, b - 1 : b - 1 + w].ravel()

    def assemble(self, like: sparse.csr_array | None = None) -> sparse.csr_array:
        """Return H as CSR with sorted columns, both triangles, (2a − 1)(2b − 1) entries a row.

        like : an earlier result of an image and filters of the same size; its pattern is shared.
        """
        _, a, b = self.filters.shape
        n = self.shape[0]
        if self.border == "periodic":
            return self._wrapped()
        if like is None:
            near = [
                np.minimum(size, np.arange(size) + t) - np.maximum(0, np.arange(size) - t + 1)
                for size, t in zip(self.grid, (a, b), strict=True)
            ]
            starts = np.zeros(n + 1, dtype=np.int64)
            np.cumsum(np.outer(*near), out=starts[1:])
            dtype = np.int32 if starts[-1] < 2**31 else np.int64
            indptr, indices = starts.astype(dtype), np.empty(starts[-1], dtype=dtype)
        else:
            indptr, indices = like.indptr, like.indices
        values = np.empty(indices.size)
        stencils.fill_csr(self.stencil, a, b, indptr, indices, values)
        return csr_from_parts(values, indices, indptr, (n, n))

    def _wrapped(self) -> sparse.csr_array:
        """Return H of a periodic border: its points may coincide, so they are summed by scipy."""
        (h, w), (_, a, b) = self.grid, self.filters.shape
        rows, columns = np.divmod(np.arange(h * w), w)
        here = [np.arange(h * w)]
        there = [here[0]]
        inner = self.stencil[a // 2 : a // 2 + h, :, b - 1 : b - 1 + w]
        values = [inner[:, 0].ravel()]
        for dy in range(a):
            for dx in range(1 - b if dy else 1, b):
                value = inner[:, stencils.point(b, dy, dx)].ravel()
                other = (rows + dy) % h * w + (columns + dx) % w
                here += [there[0], other]
                there += [other, there[0]]
                values += [value, value]
        parts = (np.concatenate(values), (np.concatenate(here), np.concatenate(there)))
        return sparse.csr_array(sparse.coo_array(parts, shape=self.shape))


def _check(filters: Array, weights: Array, border: str) -> None:
    if filters.ndim != 3 or weights.ndim != 3 or len(filters) != len(weights) or not weights.size:
        raise ShapeError(
            f"filters (K, a, b) and weights (K, h, w) are needed, got {filters.shape} and "
            f"{weights.shape}.",
            where="FilterOperator",
        )
    if border not in PADDING:
        raise ShapeError(
            f"there is no border '{border}'.",
            where="FilterOperator",
            fix="choose 'zero', 'reflect' or 'periodic'.",
        )
    if not (np.isfinite(filters).all() and finite(weights.ravel())):
        raise NonFinite("the filters or weights hold NaN or inf.", where="FilterOperator")


def _rebuilt(
    filters: Array, weights: Array, data: Array, border: Border, products: int | None
) -> Any:
    return FilterOperator(filters, weights, data, border=border, products=products)
