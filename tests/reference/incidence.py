"""NumPy twins of the kernels in `sparseimplicit.kernels.incidence`."""

import numpy as np
from scipy import sparse


def pattern(n_rows, parts, n_columns):
    """All pairs as ones of a sparse matrix; its places."""
    rows = np.concatenate([np.asarray(r)[:, first].ravel() for r, _, first, _ in parts])
    columns = np.concatenate([np.asarray(c)[:, second].ravel() for _, c, _, second in parts])
    ones = sparse.csr_array((np.ones(rows.size), (rows, columns)), shape=(n_rows, n_columns))
    ones.sum_duplicates()
    return ones.indptr, ones.indices


def shared_rows(rows, starts, order):
    """Rows that elements of more than one block write."""
    seen = {}
    for b in range(starts.size - 2):
        for e in order[starts[b] : starts[b + 1]]:
            for i in rows[e]:
                seen.setdefault(int(i), set()).add(b)
    return {i for i, blocks in seen.items() if len(blocks) > 1}
