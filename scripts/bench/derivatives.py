"""Measure local terms: errors against derivatives by hand, and the time to fill second ones.

    python scripts/bench/derivatives.py                 all of it, some minutes
    python scripts/bench/derivatives.py errors tv       of errors tv experts lifts elements first
    python scripts/bench/derivatives.py tv --size 512 --repeats 9
    python scripts/bench/derivatives.py first --only "TV, map; truss"

Peers take turns with ours in this process; medians of --repeats, with the fastest and the slowest.
"first" starts processes: a problem made, and its first objective, gradient, Hessian and cross
Hessian, with an empty cache of kernels and with one that the process before has filled. JAX is one
of the peers where it is installed (pip install jax); its arrays are arguments, it runs in 64 bits.
"""

import argparse

import first_calls  # puts the problems of the tests on the path
import jax_elements
import machine
import numpy as np

import sparseimplicit as si
from sparseimplicit._optional import available
from sparseimplicit.derivatives.lifted.by_lines import LineProducts
from tests.reference import image_terms, mesh_terms
from tests.reference.case import error
from tests.reference.terms import CASES

PAUSE = 0.05  # seconds after each: threads of JAX look for more work for a while


def table(times, ours):
    """Print a line for each method; the ratio is ours over it."""
    base = float(np.median(times[ours]))
    for name, seconds in times.items():
        median = float(np.median(seconds))
        spread = f"({1e3 * min(seconds):.2f}–{1e3 * max(seconds):.2f})"
        print(f"  {name:<32} {1e3 * median:9.2f} ms {spread:<18} ours / this {base / median:6.2f}")


def with_jax(methods, make):
    """Add JAX's method where it is installed; say so where it is not."""
    if not available("jax"):
        print("  jax not installed: no figure for vmapped element Hessians")
        return methods
    import jax

    run = make()
    return methods | {f"jax {jax.__version__}, vmap + scatter": run}


def errors(only):
    """Print max|D − D_hand| / max|D_hand| of every derivative of every problem."""
    print(f"\n{'relative errors':<26} {'g or f':>8} {'g_y':>8} {'g_yy, f_y':>9} {'g_yx, f_x':>9}")
    worst = 0.0
    for name in first_calls.wanted(CASES, only):
        case = CASES[name]()
        problem = case.make()
        found = [error(*pair) for pair in pairs(problem, case)]
        worst = max(worst, *found)
        first = f"{found[0]:8.1e}" if case.objective else f"{'':8}"
        print(f"{name:<26} {first} " + " ".join(f"{e:8.1e} " for e in found[-3:]), flush=True)
    print(f"{'worst':<26} {worst:8.1e}")


def pairs(problem, case):
    """Return (ours, by hand) for each derivative; of the cross Hessian Bᵀ and B, by products."""
    x, y = case.x, case.y
    if case.objective:
        yield problem.objective(x, y), case.objective(x, y)
        first, second, cross = problem.gradient, problem.hessian, problem.cross_hessian
    else:
        first, second, cross = problem.residual, problem.state_jacobian, problem.parameter_jacobian
    yield first(x, y), case.first(x, y)
    yield second(x, y), case.second(x, y)
    b = cross(x, y)
    by_columns = np.stack([b @ unit for unit in np.eye(x.size)], axis=1)
    by_rows = np.stack([b.T @ unit for unit in np.eye(y.size)])
    exact = case.cross(x, y).toarray()
    yield np.stack([by_columns, by_rows]), np.stack([exact, exact])


def tv(size, repeats):
    """Print the fill of g_yy of total variation: ours, JAX, one write of the values."""
    shape = (size, size)
    case = image_terms.total_variation(shape, epsilon=1.0)
    problem = case.make()
    h = problem.hessian(case.x, case.y)
    far = sparse_error(h, case.second(case.x, case.y))
    print(f"\nTV {size}²: g_yy, {h.nnz} values, {h.data.nbytes / 1e6:.0f} MB")
    print(f"  error {far:.1e} to derivatives by hand")
    source, target = h.data.copy(), np.empty_like(h.data)
    methods = {
        "local terms": lambda: problem.hessian(case.x, case.y),
        "the values written once": lambda: target.fill(1.0),
        "the values copied": lambda: np.copyto(target, source),
    }
    number = np.arange(size * size).reshape(shape)
    right = np.minimum(number + 1, number[:, -1:])
    below = np.vstack([number[1:], number[-1:]])
    index = np.stack([number.ravel(), right.ravel(), below.ravel()], axis=1)

    def jax():
        phi = lambda jnp: jax_elements.total_variation(jnp, 1.0)  # noqa: E731
        run = jax_elements.second_derivatives(phi, index, h, np.zeros((index.shape[0], 1)))
        values = np.asarray(run(case.x, case.y))
        print(f"  error {np.max(np.abs(values - h.data)) / np.max(np.abs(h.data)):.1e} to jax")
        return lambda: run(case.x, case.y)

    table(machine.turns(with_jax(methods, jax), repeats, PAUSE), "local terms")


def sparse_error(ours, exact):
    """Return max|ours − exact| / max|exact| of sparse matrices."""
    return float(abs(ours - exact).max() / abs(exact).max())


def experts(size, repeats):
    """Print the fill of g_yy of a field of experts, 8 filters 5×5."""
    case = image_terms.experts((size, size))
    problem = case.make()
    h = problem.hessian(case.x, case.y)
    far = sparse_error(h, case.second(case.x, case.y))
    print(f"\nexperts 8 · 5×5 at {size}²: g_yy, {h.nnz} values")
    print(f"  error {far:.1e} to sparse products")
    number = np.arange(size * size).reshape(size, size)
    windows = np.lib.stride_tricks.sliding_window_view(number, (5, 5)).reshape(-1, 25)

    def jax():
        phi = lambda jnp: jax_elements.experts(jnp, image_terms.filters(8, 5))  # noqa: E731
        run = jax_elements.second_derivatives(phi, windows, h, np.zeros((windows.shape[0], 1)))
        values = np.asarray(run(case.x, case.y))
        print(f"  error {np.max(np.abs(values - h.data)) / np.max(np.abs(h.data)):.1e} to jax")
        return lambda: run(case.x, case.y)

    methods = {"local terms": lambda: problem.hessian(case.x, case.y)}
    table(machine.turns(with_jax(methods, jax), repeats, PAUSE), "local terms")


def lifts(size, repeats):
    """Print the speed of the products with 48 filters 7×7 at mirrored borders, one of a pixel."""
    lines = LineProducts(si.patches((size, size), (7, 7), border="symmetric"))
    rng = np.random.default_rng(0)
    bank, u = rng.standard_normal((48, 49)), rng.standard_normal(size**2)
    q, out = lines.lift(bank, u), np.zeros(size**2)
    methods = {
        "lift, F u": lambda: lines.lift(bank, u),
        "lower, Fᵀ q": lambda: lines.lower(bank, q, out),
        "outer, Σ q uᵀ": lambda: lines.outer(q, u),
    }
    print(f"\n48 filters 7×7 at {size}², mirrored: {bank.size * u.size / 1e6:.0f} M multiply-adds")
    for name, taken in machine.turns(methods, repeats, PAUSE).items():
        rates = bank.size * u.size / np.array(taken) / 1e9
        print(f"  {name:<14} {np.median(rates):6.2f} G multiply-adds/s "
              f"({rates.min():.2f}–{rates.max():.2f})", flush=True)  # fmt: skip


def elements(nodes, repeats, ordered):
    """Print the fill of f_y and f_x of P1 diffusion on a Delaunay mesh."""
    case = mesh_terms.diffusion(nodes, ordered)
    problem = case.make()
    a = problem.state_jacobian(case.x, case.y)
    far = sparse_error(a, case.second(case.x, case.y))
    numbering = "by strips" if ordered else "at random"
    print(f"\nP1 diffusion, {nodes} nodes numbered {numbering}: f_y, {a.nnz} values")
    print(f"  error {far:.1e} to sparse products")
    _, triangles, area, gradients, boundary = mesh_terms.mesh(nodes, ordered=ordered)
    geometry = np.concatenate([area[:, None], gradients.reshape(-1, 6)], axis=1)

    def jax():
        run = jax_elements.second_derivatives(
            jax_elements.diffusion, triangles, a, geometry, derivative="jacfwd", fixed=boundary
        )
        values = np.asarray(run(case.x, case.y))
        print(f"  error {np.max(np.abs(values - a.data)) / np.max(np.abs(a.data)):.1e} to jax")
        return lambda: run(case.x, case.y)

    methods = {
        "local terms, f_y": lambda: problem.state_jacobian(case.x, case.y),
        "local terms, f": lambda: problem.residual(case.x, case.y),
        "local terms, f_x": lambda: problem.parameter_jacobian(case.x, case.y),
    }
    table(machine.turns(with_jax(methods, jax), repeats, PAUSE), "local terms, f_y")


def main():
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = {
        "errors": lambda options: errors(options.only),
        "tv": lambda options: tv(options.size, options.repeats),
        "experts": lambda options: experts(options.experts_size, options.repeats),
        "lifts": lambda options: lifts(options.experts_size, options.repeats),
        "elements": lambda options: [
            elements(options.nodes, options.repeats, ordered) for ordered in (True, False)
        ],
        "first": lambda options: first_calls.main(options.only),
    }
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)}; all if none is named")
    parser.add_argument("--size", type=int, default=1024, help="side of the image of TV")
    parser.add_argument("--experts-size", type=int, default=256)
    parser.add_argument("--nodes", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--only", default="", help="of errors, first: parts of names, by semicolons"
    )
    options = parser.parse_args()
    if unknown := set(options.parts) - set(parts):
        parser.error(f"there is no part {', '.join(unknown)}: choose from {', '.join(parts)}")
    if options.repeats < 5:
        parser.error("a median needs at least 5 repeats")
    machine.keep_memory()
    print(machine.describe())
    for part in options.parts or parts:
        parts[part](options)


if __name__ == "__main__":
    main()
