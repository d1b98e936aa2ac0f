"""The graph of a sparse matrix: its elimination tree, which tells the size of L, and its balls.

Serial: each step of such a walk depends on the one before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def column_counts(
    indptr: NDArray[Any], indices: NDArray[Any], order: NDArray[Any]
) -> NDArray[np.int64]:
    """Return the number of entries of each column of L, where L Lᵀ = P A Pᵀ.

    Parameters
    ----------
    indptr, indices : the pattern of a symmetric matrix, both triangles, shapes (n+1,), (nnz,)
    order : array, shape (n,)
        Row k of P A Pᵀ is row ``order[k]`` of A.

    Returns
    -------
    array of int64, shape (n,)
        Their sum is nnz(L), the sum of their squares the operations of the factorization.

    Notes
    -----
    Cost: nearly linear in nnz(A). Source: Gilbert, Ng, Peyton 1994, SIAM J. Matrix Anal. Appl. 15.
    """
    order = np.ascontiguousarray(order, dtype=np.int64)
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    # The permuted neighbours, once: all later passes walk through memory in order.
    near = np.empty(indices.size, dtype=np.int32 if order.size < 2**31 else np.int64)
    start = _permuted(indptr, indices, order, rank, near)
    parent = _elimination_tree(start, near)
    counts: NDArray[np.int64] = _counts(start, near, parent, _postorder(parent))
    return counts


def ball(
    indptr: NDArray[Any], indices: NDArray[Any], centre: int, count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ``count`` unknowns nearest to one, by edges, and where each distance begins.

    Returns
    -------
    members : array of int64
        In order of distance; fewer than ``count`` if the component is smaller.
    starts : array of int64
        Distance d has ``members[starts[d]:starts[d + 1]]``; the last one may be cut.

    Notes
    -----
    Cost: the edges of the members, and one byte an unknown.
    """
    members = np.empty(min(count, indptr.size - 1), dtype=np.int64)
    starts = np.empty(members.size + 1, dtype=np.int64)
    found, levels = _ball(indptr, indices, centre, members, starts)
    return members[:found], starts[: levels + 1]


@njit(cache=True, nogil=True)
def _ball(indptr, indices, centre, members, starts):  # type: ignore[no-untyped-def]
    if members.size == 0:
        starts[0] = 0
        return 0, 0
    seen = np.zeros(indptr.size - 1, dtype=np.bool_)
    seen[centre] = True
    members[0] = centre
    found, begin, level = 1, 0, 0
    while begin < found:
        starts[level] = begin
        end = found
        for k in range(begin, end):
            for place in range(indptr[members[k]], indptr[members[k] + 1]):
                j = indices[place]
                if not seen[j] and found < members.size:
                    seen[j] = True
                    members[found] = j
                    found += 1
        begin = end
        level += 1
    starts[level] = found
    return found, level


def induced(
    indptr: NDArray[Any], indices: NDArray[Any], values: NDArray[np.float64], chosen: NDArray[Any]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """Return the CSR arrays of the rows and columns of some unknowns, sorted, renumbered."""
    most = int((indptr[chosen + 1] - indptr[chosen]).sum())
    start, near = np.zeros(chosen.size + 1, dtype=np.int32), np.empty(most, dtype=np.int32)
    found = np.empty(most)
    count = _induced(indptr, indices, values, chosen, start, near, found)
    return start, near[:count], found[:count]


@njit(cache=True, nogil=True)
def _induced(indptr, indices, values, chosen, start, near, found):  # type: ignore[no-untyped-def]
    rank = np.full(indptr.size - 1, -1, dtype=np.int32)
    for k in range(chosen.size):
        rank[chosen[k]] = k
    count = 0
    for k in range(chosen.size):
        for place in range(indptr[chosen[k]], indptr[chosen[k] + 1]):
            if rank[indices[place]] >= 0:
                near[count] = rank[indices[place]]
                found[count] = values[place]
                count += 1
        start[k + 1] = count
    return count


@njit(cache=True, nogil=True)
def distances(indptr: Any, indices: Any, rows: Any) -> Any:
    """Return of some rows but the first: Σ |i − j|, entries beside the diagonal, repetitions.

    A row repeats where its columns are as many as those of the row before, with the same sum.
    """
    far, beside, repeated = 0.0, 0, 0
    for i in rows:
        total = np.int64(0)
        for place in range(indptr[i], indptr[i + 1]):
            j = np.int64(indices[place])
            total += j
            far += abs(j - i)
            beside += j != i
        for place in range(indptr[i - 1], indptr[i]):
            total -= np.int64(indices[place])
        repeated += total == 0 and indptr[i + 1] - indptr[i] == indptr[i] - indptr[i - 1]
    return far, beside, repeated


@njit(cache=True, nogil=True)
def _permuted(indptr, indices, order, rank, near):  # type: ignore[no-untyped-def]
    n = order.size
    start = np.empty(n + 1, dtype=np.int64)
    start[0] = 0
    for k in range(n):
        start[k + 1] = start[k] + indptr[order[k] + 1] - indptr[order[k]]
    for k in range(n):
        to = start[k]
        for place in range(indptr[order[k]], indptr[order[k] + 1]):
            near[to] = rank[indices[place]]
            to += 1
    return start


@njit(cache=True, nogil=True)
def _elimination_tree(start, near):  # type: ignore[no-untyped-def]
    n = start.size - 1
    parent = np.full(n, -1, dtype=np.int64)
    ancestor = np.full(n, -1, dtype=np.int64)  # path-compressed
    for k in range(n):
        for place in range(start[k], start[k + 1]):
            i = np.int64(near[place])
            while i != -1 and i < k:
                above = ancestor[i]
                ancestor[i] = k
                if above == -1:
                    parent[i] = k
                i = above
    return parent


@njit(cache=True, nogil=True)
def _postorder(parent):  # type: ignore[no-untyped-def]
    n = parent.size
    child = np.full(n, -1, dtype=np.int64)
    sibling = np.full(n, -1, dtype=np.int64)
    for j in range(n - 1, -1, -1):
        if parent[j] != -1:
            sibling[j] = child[parent[j]]
            child[parent[j]] = j
    post = np.empty(n, dtype=np.int64)
    stack = np.empty(n, dtype=np.int64)
    done = 0
    for root in range(n):
        if parent[root] != -1:
            continue
        stack[0] = root
        top = 0
        while top >= 0:
            j = stack[top]
            if child[j] == -1:
                post[done] = j
                done += 1
                top -= 1
            else:
                top += 1
                stack[top] = child[j]
                child[j] = sibling[child[j]]
    return post


@njit(cache=True, nogil=True)
def _counts(start, near, parent, post):  # type: ignore[no-untyped-def]
    n = parent.size
    count = np.zeros(n, dtype=np.int64)
    first = np.full(n, -1, dtype=np.int64)  # first descendant, in postorder
    for k in range(n):
        j = post[k]
        count[j] = 1 if first[j] == -1 else 0  # a leaf
        while j != -1 and first[j] == -1:
            first[j] = k
            j = parent[j]
    largest = np.full(n, -1, dtype=np.int64)  # largest `first` among the leaves of a row's subtree
    last_leaf = np.full(n, -1, dtype=np.int64)
    ancestor = np.arange(n)
    for k in range(n):
        j = post[k]
        if parent[j] != -1:
            count[parent[j]] -= 1
        for place in range(start[j], start[j + 1]):
            i = np.int64(near[place])
            if i <= j or first[j] <= largest[i]:
                continue  # above the diagonal, or j is no leaf of row i's subtree
            largest[i] = first[j]
            count[j] += 1
            if last_leaf[i] != -1:
                meeting = last_leaf[i]
                while meeting != ancestor[meeting]:
                    meeting = ancestor[meeting]
                walker = last_leaf[i]
                while walker != meeting:
                    above = ancestor[walker]
                    ancestor[walker] = meeting
                    walker = above
                count[meeting] -= 1
            last_leaf[i] = j
        if parent[j] != -1:
            ancestor[j] = parent[j]
    for j in range(n):
        if parent[j] != -1:
            count[parent[j]] += count[j]
    return count
