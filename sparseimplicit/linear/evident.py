"""Why a matrix is singular, where some passes over its entries show it: no factorization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ..kernels.csr import row_sizes
from .loads import FREE_CONSTANT, SHOWN, Blocks, loads
from .operator import Array, Operator

ROUNDING: Final = 1e-14  # of a row's sum of |entries|: what the sum of its entries is zero to
RANDOM: Final = 4  # products by which rows are sized: all of them small happens to 1 row in 10⁸


@dataclass(frozen=True)
class Cause:
    """What makes a matrix singular, and what to do about it."""

    what: str
    fix: str


def flaws(
    operator: Operator, blocks: Blocks | None = None, grid: tuple[int, ...] | None = None
) -> list[Cause]:
    """Find empty rows and columns, rows that are multiples of each other or sum to nothing.

    Each is held against the entries themselves: changes of 1e-14 of them make the matrix singular.
    """
    found, entries = [], operator.entries
    transposed = None if operator.structure.symmetric else entries.T.tocsr()
    for name, side in (("row", entries), ("column", transposed)):
        if side is None:
            continue
        empty = row_sizes(side.indptr, side.data)[0] == 0
        if count := int(np.count_nonzero(empty)):
            held = loads(empty.astype(float), blocks, grid)
            what = f"{count} empty {name}{'s' if count > 1 else ''}: {held}"
            found.append(Cause(what, "remove the unknown, or give it an equation."))
    if same := _proportional_rows(entries):
        pairs = ", ".join(f"{i} and {j}" for i, j in same[:SHOWN])
        more = f" and {len(same) - SHOWN} more pairs" if len(same) > SHOWN else ""
        found.append(
            Cause(
                f"rows are multiples of each other: {pairs}{more}",
                "an equation was written twice: remove one, and the unknown it was to determine.",
            )
        )
    if transposed is not None:
        sums = operator.apply_transpose(np.ones(operator.n))
        _, parts = _parts_of_sum_zero(transposed, sums)
        if parts:
            what = f"rows sum to zero: a left null vector is {loads(parts[0], blocks, grid)}"
            fix = "an equation follows from the others: put in its place what fixes the solution."
            found.append(Cause(what, fix))
    return found


def free_constants(operator: Operator) -> list[Cause]:
    """Find unconnected parts on which a constant is free: all their rows have the sum zero.

    Of products alone the whole is looked at, at the cost of five of them.
    """
    ones = np.ones(operator.n)
    if operator.entries is not None:
        count, parts = _parts_of_sum_zero(operator.entries, operator.apply(ones))
    else:
        whole = bool((np.abs(operator.apply(ones)) <= ROUNDING * _row_estimates(operator)).all())
        count, parts = int(whole), [ones] if whole else []
    if not parts:
        return []
    shown = "; ".join(loads(part, None, operator.grid) for part in parts)
    many = f"{count} null vectors" if count > 1 else "1 null vector"
    return [Cause(f"{many}: {shown}", FREE_CONSTANT)]


def _row_estimates(operator: Operator) -> Array:
    """Estimate the size of each row from products with a few random vectors."""
    z = np.random.default_rng(0).standard_normal((operator.n, RANDOM))
    return np.asarray(np.abs(operator.apply(z)).max(axis=1))


def _parts_of_sum_zero(entries: Any, sums: Array) -> tuple[int, list[Array]]:
    """Return how many unconnected parts have all rows sum to zero, and the first that are told.

    Each of these is a vector of 0 and 1.
    """
    total = row_sizes(entries.indptr, entries.data)[1]
    even = (np.abs(sums) <= ROUNDING * total) & (total > 0)
    if not even.any():
        return 0, []
    count, labels = connected_components(entries, directed=False)
    uneven = np.bincount(labels, weights=~even, minlength=count)
    found = np.flatnonzero(uneven == 0)
    return found.size, [(labels == part).astype(float) for part in found[:SHOWN]]


def _proportional_rows(entries: Any) -> list[tuple[int, int]]:
    """Return pairs of rows that are multiples of each other, found by hashing the scaled rows."""
    counts = np.diff(entries.indptr)
    rows = np.flatnonzero(counts > 0)
    first = entries.data[entries.indptr[rows]]
    usable = rows[first != 0]
    scale = np.ones(entries.shape[0])
    scale[usable] = row_sizes(entries.indptr, entries.data)[0][usable]
    scale[usable] = np.copysign(scale[usable], first[first != 0])
    scaled = entries.data / np.repeat(scale, counts)
    # Two random sums over each row: equal for proportional rows, else with probability 0.
    rng = np.random.default_rng(0)
    first_key, second_key = (
        _row_sums(scaled * rng.standard_normal(entries.shape[1])[entries.indices], entries)
        for _ in range(2)
    )
    order = usable[np.lexsort((second_key[usable], first_key[usable]))]
    here, there = order[:-1], order[1:]
    same = counts[here] == counts[there]
    for key in (first_key, second_key):
        same &= np.isclose(key[here], key[there], rtol=1e-12, atol=0)
    here, there = here[same], there[same]
    same = _proportional(entries, here, there)
    pairs = np.sort(np.column_stack([here[same], there[same]]), axis=1)
    return [(int(i), int(j)) for i, j in pairs]


def _proportional(entries: Any, here: NDArray[Any], there: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell of pairs of rows with as many entries whether all ratios of these are one number."""
    counts = np.diff(entries.indptr)[here]
    begin = np.cumsum(counts) - counts
    within = np.arange(counts.sum()) - np.repeat(begin, counts)
    mine = np.repeat(entries.indptr[here], counts) + within
    theirs = np.repeat(entries.indptr[there], counts) + within
    a, b = entries.data[mine], entries.data[theirs]
    with np.errstate(all="ignore"):
        ratio = b / a
        first = np.repeat(ratio[begin], counts)
        differs = ~(np.abs(ratio - first) <= ROUNDING * np.abs(first)) & ((a != 0) | (b != 0))
    differs |= entries.indices[mine] != entries.indices[theirs]
    pairs = np.repeat(np.arange(here.size), counts)
    return np.asarray(np.bincount(pairs, differs, here.size) == 0)


def _row_sums(values: Array, entries: Any) -> Array:
    parts = (values, entries.indices, entries.indptr)
    return np.asarray(sparse.csr_array(parts, shape=entries.shape).sum(axis=1))
