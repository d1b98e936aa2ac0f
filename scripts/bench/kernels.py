"""Measure the kernels: multigrid on grids against peers, its growth, and each kernel's bandwidth.

    python scripts/bench/kernels.py                  all of it
    python scripts/bench/kernels.py peers growth     some parts: peers growth bandwidth amg filters

Peers run in this process, one after the other, each from the matrix in memory to an answer with
true residual 1e-8 (set-up + solve), median of --repeats. CHOLMOD and pyamg are run once where they
take more than ten seconds. hypre runs on two ranks of MPI in an environment of its own, where one
is named:

    apt-get install libpetsc-real-dev; python3 -m venv petsc
    petsc/bin/pip install numpy scipy mpi4py "setuptools<74" wheel "cython<3.1"
    PETSC_DIR=/usr/lib/petscdir/petsc3.18/x86_64-linux-gnu-real \
        petsc/bin/pip install --no-build-isolation --no-deps petsc4py==3.18.5
    python scripts/bench/kernels.py peers --petsc petsc/bin/python
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

import machine
import numba
import numpy as np
import zoo
from scipy import sparse

import sparseimplicit as si
from sparseimplicit.kernels import bordered, vectors
from sparseimplicit.linear import Multigrid, Operator, StencilOperator, Structure
from sparseimplicit.linear.recognition import stencil_of

SPD = Structure.POSITIVE_DEFINITE
RTOL = 1e-8


def lagged(size, weight=2550.0, epsilon=0.255):
    """Return TV's lagged-diffusivity matrix (5 points), the weights 1/√(u_x² + u_y² + ε²)."""
    clean = zoo.resize(zoo.read_image(zoo.IMAGE), (size, size), order=1, anti_aliasing=False)
    u = clean + np.random.default_rng(1).normal(0.0, 10.0, clean.shape)
    right, below = np.diff(u, axis=1, append=u[:, -1:]), np.diff(u, axis=0, append=u[-1:])
    w = weight / np.sqrt(right**2 + below**2 + epsilon**2)
    c = np.zeros((3, size, size))
    c[1, :, :-1], c[2, :-1] = -w[:, :-1], -w[:-1]
    c[0] = 1.0 - c[1] - c[2]
    c[0, :, 1:] -= c[1, :, :-1]
    c[0, 1:] -= c[2, :-1]
    return StencilOperator(c, [(0, 0), (0, 1), (1, 0)]).assemble()


def oblique(size, ratio=1e3):
    """Return diffusion that is ``ratio`` times stronger along one diagonal than along the other."""
    import pyamg

    points = pyamg.gallery.diffusion_stencil_2d(epsilon=1 / ratio, theta=np.pi / 4, type="FE")
    return sparse.csr_array(pyamg.gallery.stencil_grid(points, (size, size), format="csr"))


CASES = {
    "TV mild 1024²": lambda: zoo.tv_hessian(1024, 10.0, 3.0).matrix,
    "TV hard 1024²": lambda: zoo.tv_hessian(1024, 300.0, 0.1).matrix,
    "TV 10⁴ 1024²": lambda: zoo.tv_hessian(1024, 2550.0, 0.255).matrix,
    "TV 10⁴ lagged 1024²": lambda: lagged(1024),
    "45° 10³ 512²": lambda: oblique(512),
    "along y 10³ 512²": lambda: zoo.diffusion((512, 512), 0.0, anisotropy=1e3),
    "3-D jumps 64³": lambda: zoo.diffusion((64,) * 3, 3.0),
    "3-D jumps 100³": lambda: zoo.diffusion((100,) * 3, 3.0),
}


SLOW = 20.0  # seconds from which on one run has to do


def multigrid(matrix, b):
    """Run ours, recognising the grid included."""
    system = Multigrid().prepare(Operator(matrix, SPD))
    solution = system.solve(b, rtol=RTOL)
    return solution.value, solution.report.iterations


def cholmod(matrix, b):
    """Run CHOLMOD: analysis, factor, solve."""
    solution = si.linear.Cholmod("amd").prepare(Operator(matrix, SPD)).solve(b, rtol=RTOL)
    return solution.value, 0


def pyamg_by(kind):
    """Return pyamg with CG as its documentation shows."""

    def run(matrix, b):
        import pyamg

        make = pyamg.ruge_stuben_solver if kind == "rs" else pyamg.smoothed_aggregation_solver
        residuals = []
        hierarchy = make(sparse.csr_matrix(matrix))
        x = hierarchy.solve(b, tol=0.5 * RTOL, accel="cg", maxiter=300, residuals=residuals)
        return x, len(residuals) - 1

    return run


def hypre(python, matrix, b, repeats):
    """Return BoomerAMG's figures on two ranks of MPI, in processes of their own."""
    program = pathlib.Path(__file__).with_name("hypre_ranks.py")
    with tempfile.TemporaryDirectory() as folder:
        sparse.save_npz(f"{folder}/matrix.npz", sparse.csr_matrix(matrix), compressed=False)
        np.save(f"{folder}/b.npy", b)
        mpiexec = ["mpiexec", "--allow-run-as-root", "--oversubscribe", "-n", "2"]
        run = subprocess.run(
            [*mpiexec, python, program, folder, str(repeats)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
    if run.returncode:
        raise SystemExit(f"hypre failed: {run.stderr[-2000:]}")
    return json.loads(run.stdout.splitlines()[-1])["best"]


def peers(repeats, petsc, methods_wanted):
    """Print ours against the peers."""
    methods = {"multigrid": multigrid, "cholmod+amd": cholmod}
    methods |= {"pyamg rs": pyamg_by("rs"), "pyamg sa": pyamg_by("sa")}
    if methods_wanted:
        methods = {m: run for m, run in methods.items() if m in methods_wanted.split(",")}
    if not petsc:
        print("hypre is left out: name an interpreter that has petsc4py by --petsc")
    for name, make in CASES.items():
        matrix = sparse.csr_array(make())
        b = np.random.default_rng(0).standard_normal(matrix.shape[0])
        times, found = {label: [] for label in methods}, {}
        # In turns, so that a slow minute of the machine is one for all; the first does not count.
        for turn in range(repeats + 1):
            for label, run in methods.items():
                if turn and times[label][0] > SLOW:
                    continue
                started = time.perf_counter()
                found[label] = run(matrix, b)
                times[label].append(time.perf_counter() - started)
        reference = None
        for label, (x, iterations) in found.items():
            counted = times[label][1:] or times[label]
            residual = np.linalg.norm(b - matrix @ x) / np.linalg.norm(b)
            seconds = float(np.median(counted))
            reference = reference or seconds
            print(
                f"{name:<20} {label:<12} {seconds:8.3f} s ({min(counted):.3f}–{max(counted):.3f}, "
                f"{len(counted)} runs)  {iterations:>3} iterations  residual {residual:.0e}  "
                f"{seconds / reference:6.1f} × multigrid",
                flush=True,
            )
        machine.give_back()
        if petsc:
            seconds, least, most, iterations, residual, how = hypre(petsc, matrix, b, repeats)
            print(
                f"{name:<20} {'hypre, 2':<12} {seconds:8.3f} s ({least:.3f}–{most:.3f}, {repeats} "
                f"runs)  {iterations:>3} iterations  residual {residual:.0e}  "
                f"{seconds / reference:6.1f} × multigrid, by {how}",
                flush=True,
            )


def growth(repeats):
    """Print seconds a point as grids grow, the coefficients given as a stencil.

    A first run, not counted, takes the memory from the system: see machine.py for what that costs.
    What the process keeps of it looks taken to the next run, which would therefore be a lean one.
    """
    for dimension, sizes in ((2, (512, 1024, 2048, 4096, 8192)), (3, (64, 100, 160, 256))):
        for size in sizes:
            shape = (size,) * dimension
            operator = Operator(smooth_stencil(shape), SPD)
            b = np.random.default_rng(0).standard_normal(operator.n)
            times = []
            for _ in range(repeats + 1):
                started = time.perf_counter()
                report = Multigrid(lean=False).prepare(operator).solve(b, rtol=RTOL).report
                times.append(time.perf_counter() - started)
            first, *times = times
            seconds = float(np.median(times))
            print(
                f"{dimension}-D {size:>5}: {seconds:8.3f} s, {1e9 * seconds / operator.n:6.1f} ns "
                f"a point, {report.iterations} iterations, {len(times)} runs; first {first:.2f} s",
                flush=True,
            )


def smooth_stencil(shape):
    """Return −∇·(κ ∇) + 1e-4 with κ = 1 + ½ Π sin over the grid, as 5 or 7 points."""
    axes = [np.sin(np.linspace(0.0, 9.0, s)) for s in shape]
    kappa = 1.0
    for axis in np.meshgrid(*axes, indexing="ij", sparse=True):
        kappa = kappa * axis
    kappa = 1.0 + 0.5 * kappa
    c = np.empty((1 + len(shape), *shape))
    c[0] = 1e-4
    offsets = [(0,) * len(shape)]
    for axis in range(len(shape)):
        offsets.append(tuple(int(a == axis) for a in range(len(shape))))
        c[axis + 1] = -kappa
        along, diagonal = np.moveaxis(c[axis + 1], axis, 0), np.moveaxis(c[0], axis, 0)
        along[-1] = 0.0
        diagonal -= along
        diagonal[1:] -= along[:-1]
    return StencilOperator(c, offsets)


def bandwidth(repeats):
    """Print bytes each kernel has to move over the time it takes, beside the triad's."""
    matrix = zoo.tv_hessian(2048, 10.0, 3.0).matrix
    found = stencil_of(matrix, (2048, 2048))
    hierarchy = Multigrid().prepare(Operator(matrix, SPD, grid=(2048, 2048))).method._preconditioner
    level, coarser, n = hierarchy.levels[0], hierarchy.levels[1], matrix.shape[0]
    x, y, p, q = (np.ones(n) for _ in range(4))
    smoother, one = level.smoothers[0], np.ones(1)
    c, offsets, size = found.coefficients.astype(np.float32), np.array(found.offsets), level.shape
    flat = [v.reshape(-1, 1) for v in (x, y, p, q)]
    rows = {
        "product, float64": (lambda: found.multiply(x, y), 8 * 4 + 16),
        "residual, float32": (
            lambda: bordered.residual(c, offsets, size, level.x, level.b, level.r),
            4 * 4 + 12,
        ),
        # The factors of a group fill megabytes: the way back reads them again.
        "smoother, float32": (
            lambda: smoother.solve(level.r, level.x, add=True),
            (smoother.pivots.nbytes + 2 * smoother.lower.nbytes) / n + 12,
        ),
        # Of two rows in eight: lines are rows here.
        "restriction": (lambda: level.restrict(coarser), 1 + 2 + 1),
        "prolongation": (lambda: level.prolong(coarser), 2 + 2 + 1),
        "CG: x, r and ‖r‖": (lambda: vectors.step(one, *flat), 48),
        "CG: direction": (lambda: vectors.direction(one, flat[0], flat[1]), 24),
        "CG: inner product": (lambda: vectors.dots(flat[0], flat[1]), 16),
        "casting": (lambda: vectors.cast(x, 1.0, level.b), 12),
    }
    triad, moved = machine.triad()
    methods = {"triad": triad} | {name: run for name, (run, _) in rows.items()}
    times = machine.turns(methods, max(3 * repeats, 15))
    rate = moved / np.median(times["triad"])
    print(f"2048², {numba.get_num_threads()} threads, triad {rate / 1e9:.1f} GB/s, medians")
    for name, (_, bytes_) in rows.items():
        took = float(np.median(times[name]))
        print(
            f"{name:<20} {1e3 * took:7.2f} ms  {bytes_:5.0f} bytes a point  "
            f"{bytes_ * n / took / 1e9:5.1f} GB/s  {100 * bytes_ * n / took / rate:4.0f} %",
            flush=True,
        )


def main():
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = ("peers", "growth", "bandwidth", "amg", "filters")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)}; all if none is named")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="", help="parts of the names of matrices, by commas")
    parser.add_argument("--methods", default="", help="names of peers, by commas; multigrid first")
    parser.add_argument("--petsc", metavar="PYTHON", help="an interpreter with petsc4py, mpi4py")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(parts):
        parser.error(f"there is no part {', '.join(unknown)}: choose from {', '.join(parts)}")
    wanted = [part for part in options.only.split(",") if part]
    for name in list(CASES):
        if wanted and not any(part in name for part in wanted):
            del CASES[name]
    machine.keep_memory()
    print(machine.describe())
    chosen = options.parts or parts
    if "peers" in chosen:
        peers(options.repeats, options.petsc, options.methods)
    for part, run in (("growth", growth), ("bandwidth", bandwidth)):
        if part in chosen:
            run(options.repeats)
    if "amg" in chosen:
        import amg

        amg.main(options.repeats)
    if "filters" in chosen:
        import filters

        filters.main(["products", "solves", "batches"])


if __name__ == "__main__":
    main()
