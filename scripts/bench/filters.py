"""Measure products and solves with filter energies, and batches of small systems.

    python scripts/bench/filters.py               all, about three minutes
    python scripts/bench/filters.py products      or one of: products, solves, batches

Products a second: by the filters, by the assembled half stencil, by CSR; GFLOP/s of the filters,
GB/s of the stencil (each half entry once). Solves to 1e-8: CG with Jacobi, CG with spectral, and a
factorization of the assembled matrix; the assembly apart. Median of 5; solves and batches of 3.
"""

import sys
import time

import machine
import numpy as np
import zoo

import sparseimplicit as si
from sparseimplicit.linear import FilterOperator, Operator, Structure, solver_named

SPD = Structure.POSITIVE_DEFINITE
SIZES = [(3, 1), (3, 8), (5, 1), (5, 8), (7, 1), (7, 8), (9, 1), (9, 8), (3, 64), (7, 48), (9, 64)]


def energy(n, count, width, seed=0):
    """Return I + Σ Kᵀ diag(w) K on n² pixels: zero-mean filters, weights over three decades."""
    rng = np.random.default_rng(seed)
    filters = rng.standard_normal((count, width, width))
    if width > 1:
        filters -= filters.mean(axis=(1, 2), keepdims=True)
    filters /= np.linalg.norm(filters, axis=(1, 2), keepdims=True)
    return FilterOperator(filters, 10.0 ** rng.uniform(-1, 2, (count, n, n)), 1.0)


def seconds(work, times=5):
    """Return the median of some runs, after one that does not count."""
    work()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def products(peak):
    """Print a line for each size and number of filters."""
    print(
        f"{'image':>6} {'filters':>8} {'filters/s':>10} {'GFLOP/s':>8} {'stencil/s':>10} "
        f"{'GB/s':>6} {'of triad':>8} {'CSR/s':>7} {'assembly s':>10} {'pays from':>9}  rule"
    )
    for n in (256, 1024):
        for width, count in SIZES:
            points = (2 * width - 1) ** 2
            if n > 256 and (count > 8 or points * n * n * 20 > 2e9):
                continue
            h, x = energy(n, count, width), np.random.default_rng(1).standard_normal(n * n)
            rule = "stencil" if h.assembled else "filters"
            h.assembled = False
            free = seconds(lambda h=h, x=x: h @ x)
            h.assembled = True
            energy(8, count, width).stencil  # noqa: B018 - compiled
            started = time.perf_counter()
            h.stencil  # noqa: B018 - assembled here
            assembly = time.perf_counter() - started
            half = seconds(lambda h=h, x=x: h @ x)
            a, out = Operator(h.assemble(), Structure.GENERAL), np.empty_like(x)
            csr = seconds(lambda a=a, x=x, out=out: a.apply(x, out=out))
            rate = h.stencil.nbytes / half
            pays = assembly / (free - half) if free > half else np.inf
            flops = 4 * count * width**2 * n * n
            print(f"{n:>5}² {count:>3}·{width}×{width} {1 / free:>11.0f} {flops / free / 1e9:>8.1f} "  # noqa: E501
                  f"{1 / half:>10.0f} {rate / 1e9:>6.1f} {rate / peak:>8.0%} {1 / csr:>7.0f} "
                  f"{assembly:>10.3f} {pays:>9.0f}  {rule}", flush=True)  # fmt: skip


def solves():
    """Print iterations and seconds of each method for two Hessians as fields of experts have."""
    for n, count, width in ((256, 48, 7), (512, 8, 5)):
        h = energy(n, count, width)
        b = np.random.default_rng(1).standard_normal(n * n)
        started = time.perf_counter()
        h.stencil  # noqa: B018 - assembled here
        stencil = time.perf_counter() - started
        started = time.perf_counter()
        entries = h.assemble()
        csr = time.perf_counter() - started
        print(f"{count} filters {width}×{width} at {n}²: stencil {stencil:.2f} s, CSR {csr:.2f} s")
        by_products = Operator(h, SPD, precondition_from=entries)
        for label, operator, times in (
            ("cg+jacobi", by_products, 3), ("cg+spectral", by_products, 3),
            ("cholmod+metis", Operator(entries, SPD), 1), ("pardiso", Operator(entries, SPD), 1),
        ):  # fmt: skip
            try:
                solve(label, operator, b, times)
            except si.errors.MissingBackend as error:
                print(f"  {label:<14} {error.what}")


def solve(label, operator, b, times):
    """Print what one method took."""
    solver, taken = solver_named(label), []
    for _ in range(times):
        started = time.perf_counter()
        system = solver.prepare(operator)
        prepared = time.perf_counter()
        report = system.solve(b, rtol=1e-8).report
        taken.append((prepared - started, time.perf_counter() - prepared))
    prepare, solving = np.median(taken, axis=0)
    print(f"  {label:<14} prepare {prepare:7.3f} s, solve {solving:7.3f} s, "
          f"{report.iterations} steps, residual {report.residual:.0e}", flush=True)  # fmt: skip


def batches():
    """Print milliseconds of 1000 systems of 64 and of 400 unknowns, by each method."""
    for size in (8, 20):
        a = Operator(zoo.patches(1000, size), SPD)
        b = np.random.default_rng(0).standard_normal(a.n)
        print(f"1000 systems of {size**2} unknowns (auto: {si.linear.choose(a).solver.label})")
        for label in ("batched", "banded", "cholmod+amd", "pardiso+amd", "cg+jacobi"):
            try:
                solver = solver_named(label)
                system = solver.prepare(a)
            except si.errors.MissingBackend as error:
                print(f"  {label:<12} {error.what}")
                continue
            first = seconds(lambda s=solver, a=a: s.prepare(a), 3)
            again = seconds(lambda s=solver, a=a, t=system: s.prepare(a, analysis=t.analysis), 3)
            once = seconds(lambda t=system, b=b: t.solve(b), 3)
            print(f"  {label:<12} prepare {1e3 * first:8.1f}, with analysis {1e3 * again:8.1f}, "
                  f"solve {1e3 * once:7.1f} ms", flush=True)  # fmt: skip


def main(parts=("products", "solves", "batches")):
    """Run some or all of the three parts."""
    print(machine.describe())
    if "products" in parts:
        products(machine.bandwidth())
    if "solves" in parts:
        solves()
    if "batches" in parts:
        batches()


if __name__ == "__main__":
    main(sys.argv[1:] or ("products", "solves", "batches"))
