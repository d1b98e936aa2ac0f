"""A matrix that falls into small systems: finding them, and packing them for `kernels.batches`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components, reverse_cuthill_mckee

from ..errors import ShapeError
from ..kernels.batches import LANES
from ..kernels.graph import ball
from .operator import csr_from_parts

# Operations of the factorization an entry of A, beyond which a new order of the unknowns is tried;
# Cuthill and McKee's costs about as much as a thousand of them.
REORDER: Final = 1000
LARGEST: Final = 5000  # unknowns of a system that counts as small

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """The systems of a matrix with symmetric pattern, in groups of `LANES` of like size.

    members : unknowns, system by system. first : where each system begins, (systems+1,).
    place : the number of an unknown within its system. size, band : of each group.
    offset : where the factor of each group begins, (groups+1,).
    """

    members: Ints
    first: Ints
    place: Ints
    size: Ints
    band: Ints
    offset: Ints

    @property
    def count(self) -> int:
        """How many systems there are."""
        return int(self.first.size - 1)

    @property
    def numbers(self) -> int:
        """Numbers in all factors."""
        return int(self.offset[-1])

    @property
    def operations(self) -> float:
        """Multiplications and additions of the factorization, filled-up lanes included."""
        return float(LANES * np.sum(self.size * (self.band + 1.0) ** 2))


def block_diagonal(blocks: Any) -> sparse.csr_array:
    """Return m dense systems (m, n, n) as one block-diagonal matrix; shares contiguous float64.

    With the solver 'batched' all are factorized in one parallel call, and
    ``solve(b.reshape(-1))`` solves for b (m, n).
    """
    stack = np.ascontiguousarray(blocks, dtype=np.float64)
    if stack.ndim != 3 or stack.shape[1] != stack.shape[2]:
        raise ShapeError(
            f"a stack of square blocks has shape (m, n, n), this one {stack.shape}.",
            where="block_diagonal",
        )
    count, n = stack.shape[:2]
    dtype = np.int32 if stack.size < 2**31 else np.int64
    inner = np.tile(np.arange(n, dtype=dtype), n)
    columns = (n * np.arange(count, dtype=dtype)[:, None] + inner).ravel()
    starts = np.arange(0, stack.size + 1, max(n, 1), dtype=dtype)[: count * n + 1]
    return csr_from_parts(stack.reshape(-1), columns, starts, (count * n, count * n))


def batch_of(entries: sparse.csr_array) -> Batch:
    """Find the systems (connected components) of a matrix with symmetric pattern, and pack them.

    Where the systems lie one after another they are told from the last column of each row; only
    else the graph is walked. Systems with a wide band are numbered by reverse Cuthill and McKee
    where that makes less work. Cost: a few passes over the unknowns, or one over the entries.
    """
    label, count = _labels(entries)
    batch = _packed(entries, label, count, None)
    if batch.operations > REORDER * entries.nnz:
        order = np.asarray(reverse_cuthill_mckee(entries, symmetric_mode=True), dtype=np.int64)
        other = _packed(entries, label, count, order)
        batch = other if other.operations < batch.operations else batch
    return batch


def falls_apart(entries: sparse.csr_array) -> bool:
    """Tell whether the system of the middle unknown is small. Cost: the edges of `LARGEST`."""
    n = entries.shape[0]
    count = min(LARGEST, n // 2)
    members, _ = ball(entries.indptr, entries.indices, n // 2, count)
    return bool(members.size < count)


def _ends(entries: sparse.csr_array) -> Ints:
    """Return the last column of each row, or the row itself where that is later."""
    ends = np.arange(entries.shape[0])
    full = np.diff(entries.indptr) > 0
    ends[full] = np.maximum(ends[full], entries.indices[entries.indptr[1:][full] - 1])
    return ends


def _labels(entries: sparse.csr_array) -> tuple[Ints, int]:
    """Return which system each unknown belongs to, and how many there are."""
    n = entries.shape[0]
    # No entry leads from the rows up to here to a later one: here a system ends.
    closed = np.maximum.accumulate(_ends(entries)) <= np.arange(n)
    if np.count_nonzero(closed) > 1:
        label = np.zeros(n, dtype=np.int64)
        np.cumsum(closed[:-1], out=label[1:])
        return label, int(label[-1]) + 1
    count, found = connected_components(entries, directed=False)
    return found.astype(np.int64), int(count)


def _packed(entries: sparse.csr_array, label: Ints, count: int, order: Ints | None) -> Batch:
    """Sort the systems by size and band, and the unknowns by system, else in the order given."""
    n = label.size
    size = np.bincount(label, minlength=count)
    first = _starts(size)
    members = np.arange(n)
    if order is not None:
        members = order[np.argsort(label[order], kind="stable")]
    elif (label[1:] < label[:-1]).any():
        members = np.argsort(label, kind="stable")
    place = np.empty(n, dtype=np.int64)
    place[members] = np.arange(n) - np.repeat(first[:-1], size)
    widths = _widths(entries, place, natural=order is None)
    band = np.maximum.reduceat(widths[members], first[:-1])
    if (np.diff(size) < 0).any() or (np.diff(band) != 0).any():  # else they are in order already
        rank = np.lexsort((band, size))
        size, band, old = size[rank], band[rank], first[:-1][rank]
        first = _starts(size)
        members = members[np.arange(n) + np.repeat(old - first[:-1], size)]
    heads = np.arange(0, count, LANES)
    group_size, group_band = np.maximum.reduceat(size, heads), np.maximum.reduceat(band, heads)
    offset = _starts(LANES * group_size * (group_band + 1))
    return Batch(members, first, place, group_size, group_band, offset)


def _widths(entries: sparse.csr_array, place: Ints, *, natural: bool) -> Ints:
    """Return for each row how far its entries reach beyond the diagonal, in places."""
    if natural:  # the last column of a row is the last in its system too
        return np.asarray(place[_ends(entries)] - place)
    rows = np.repeat(np.arange(place.size), np.diff(entries.indptr))
    widths = np.zeros(place.size, dtype=np.int64)
    np.maximum.at(widths, rows, place[entries.indices] - place[rows])
    return widths


def _starts(sizes: Any) -> Ints:
    starts = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=starts[1:])
    return starts
