"""Colouring by dense algebra: two columns are neighbours if a row has both."""

import numpy as np


def transposed(pattern):
    """Return pointers, rows and slots by column, by a stable sort."""
    csr = pattern.tocsr()
    slots = np.argsort(csr.indices, kind="stable")
    rows = np.repeat(np.arange(csr.shape[0]), np.diff(csr.indptr))[slots]
    counts = np.bincount(csr.indices, minlength=csr.shape[1])
    return np.concatenate([[0], np.cumsum(counts)]), rows, slots


def colour_columns(pattern):
    dense = pattern.toarray() != 0
    neighbours = (dense.T.astype(int) @ dense.astype(int)) > 0
    colours = np.full(dense.shape[1], -1)
    for j in range(dense.shape[1]):
        taken = set(colours[:j][neighbours[j, :j]])
        colours[j] = next(c for c in range(j + 1) if c not in taken)
    return colours


def entries_by_colour(pattern, colours):
    csr = pattern.tocsr()
    of_entry = colours[csr.indices]
    slots = np.argsort(of_entry, kind="stable")
    rows = np.repeat(np.arange(csr.shape[0]), np.diff(csr.indptr))[slots]
    counts = np.bincount(of_entry, minlength=int(colours.max(initial=-1)) + 1)
    return np.concatenate([[0], np.cumsum(counts)]), rows, slots
