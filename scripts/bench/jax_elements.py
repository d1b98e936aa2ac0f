"""The Hessian of local terms as a JAX user writes it: vmapped element Hessians, and a scatter.

Index arrays, slots and data are arguments of the compiled function: captured, XLA would fold them.
"""

import numpy as np


def slots(matrix, rows, columns, fixed=()):
    """Return where the entries (rows, columns) stand in the values of a CSR matrix.

    Of rows that are fixed they are not wanted: they go to a place past the end.
    """
    n = matrix.shape[0]
    owner = np.repeat(np.arange(n), np.diff(matrix.indptr))
    keys = np.append(owner.astype(np.int64) * n + matrix.indices, n * n)
    wanted = rows.astype(np.int64) * n + columns
    found = np.searchsorted(keys, wanted)
    unwanted = np.isin(rows, fixed)
    if not np.array_equal(keys[found[~unwanted]], wanted[~unwanted]):
        raise ValueError("the matrix lacks an entry of the elements")
    return np.where(unwanted, matrix.nnz, found)


def second_derivatives(make, index, matrix, constants, derivative="hessian", fixed=None):
    """Return a function (x, y) -> CSR values, compiled.

    ``make(jnp)`` returns φ(y_loc, x, c); ``index`` is (E, k). ``derivative`` is a name in jax:
    "hessian" of an energy, to which the identity of its data term is added, or "jacfwd" of a
    residual, whose ``fixed`` rows are those of the identity.
    """
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    blocks = jax.vmap(getattr(jax, derivative)(make(jnp)), in_axes=(0, None, 0))

    @jax.jit
    def values(x, y, index, c, places, ones):
        out = jnp.zeros(matrix.nnz + 1).at[ones].add(1.0)
        return out.at[places].add(blocks(y[index], x, c))[:-1]

    shape = (*index.shape, index.shape[1])
    rows = np.broadcast_to(index[:, :, None], shape).ravel()
    columns = np.broadcast_to(index[:, None, :], shape).ravel()
    places = slots(matrix, rows, columns, () if fixed is None else fixed).reshape(shape)
    diagonal = np.arange(matrix.shape[0]) if fixed is None else np.asarray(fixed)
    arrays = [index, constants, places, slots(matrix, diagonal, diagonal)]
    held = [jnp.asarray(a) for a in arrays]
    return lambda x, y: values(jnp.asarray(x), jnp.asarray(y), *held).block_until_ready()


def total_variation(jnp, epsilon):
    """Return the term of total variation."""

    def phi(y, x, _c):
        return jnp.exp(x[0]) * jnp.sqrt((y[1] - y[0]) ** 2 + (y[2] - y[0]) ** 2 + epsilon**2)

    return phi


def experts(jnp, bank):
    """Return the term of a field of experts."""

    def phi(y, x, _c):
        r = jnp.asarray(bank) @ y
        return jnp.sum(jnp.exp(x) * jnp.log1p(0.5 * r**2))

    return phi


def diffusion(jnp):
    """Return the element residual of −∇·((1 + u²) ∇u); its source has no derivative in u."""

    def element(u, _x, c):
        g = c[1:].reshape(3, 2)
        return c[0] * (1 + jnp.mean(u) ** 2) * (g @ (g.T @ u))

    return element
