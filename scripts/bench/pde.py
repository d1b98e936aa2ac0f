"""Control of partial differential equations: steps on any mesh, large gradients, ours and a peer's.

    python scripts/bench/pde.py mesh                           iterations on 32² to 256²
    python scripts/bench/pde.py inversion --dimension 2        one gradient at 10⁶ unknowns
    python scripts/bench/pde.py inversion --dimension 3        the same on 100³
    python scripts/bench/pde.py peers --peers peers/bin/python [--sizes 64 128 256]

    python3 -m venv peers && peers/bin/pip install openmdao==3.45.1 scipy

`mesh`: the mother problem from f = x + y, in the inner product of the mass matrix, until the dual
norm of the gradient is --stop of its first. `inversion`: −div(eᵐ ∇u) = 1, in 2-D as a weak form in
P1 with m constant on triangles, in 3-D by a 7-point scheme of one's own. Printed are the seconds of
state, adjoint and contraction; one solve forward and one transposed, to the same tolerance, in
turns; 16 sources with what was prepared for the first; peak memory. `peers`: OpenMDAO on the same
matrices, as its documentation has it ("direct") and with the state's factor kept by hand ("kept");
state and adjoint, assembly of patterns and compiling left out. Medians of --repeats.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import tempfile
import time

import machine
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator
from skfem import Basis, ElementTriP0, ElementTriP1, MeshTri

import sparseimplicit as si
from sparseimplicit import pde
from sparseimplicit.pde import dot, grad

ALPHA = 1e-6
SOURCES = 16
SPD = si.Structure.POSITIVE_DEFINITE


def bases(n):
    """Return P1 and P0 on n × n squares, each cut in two."""
    line = np.linspace(0, 1, n + 1)
    V = Basis(MeshTri.init_tensor(line, line), ElementTriP1(), intorder=2)
    return V, V.with_element(ElementTriP0())


def centres(basis):
    """Return the midpoints of the triangles, (2, E)."""
    return basis.mesh.p[:, basis.mesh.t].mean(axis=1)


def poisson(V, F):
    """−Δu = f."""
    return pde.Equation(
        lambda u, v, f: dot(grad(u), grad(v)) - f * v,
        state=V, control=F, fixed=V.get_dofs(), structure=SPD, linear=True,
    )  # fmt: skip


def diffusion(V, M):
    """−div(eᵐ ∇u) = 1."""
    return pde.Equation(
        lambda u, v, m: np.exp(m) * dot(grad(u), grad(v)) - v,
        state=V, control=M, fixed=V.get_dofs(), structure=SPD, linear=True,
    )  # fmt: skip


def wave(points):
    """Return what the mother problem wants, at points."""
    return np.sin(np.pi * points[0]) * np.sin(np.pi * points[1]) / (2 * np.pi**2)


def tracking(problem, V, prior):
    """½ ‖u − d‖² + ½ xᵀ R x."""
    d = wave(V.doflocs)
    return pde.Tracking(problem, d, pde.mass(V)) + pde.Quadratic(problem, prior)


class Volumes:
    """−div(eᵐ ∇u) = 1 on n³ cubes, u and m constant on each, u = 0 beyond the border."""

    def __init__(self, n):
        self.n, self.size = n, n**3
        self.h = 1.0 / n
        self.problem = si.RootProblem(
            residual=lambda m, u: self.matrix(m) @ u - self.h**2,
            state_jacobian=lambda m, u: self.matrix(m),
            parameter_jacobian=self.by_coefficient,
            structure=SPD, linear=True,
        )  # fmt: skip

    def faces(self, values, axis):
        """Return values of the cells below and above each face, 0 beyond the border."""
        shape = (self.n,) * 3
        pad = [(0, 0)] * 3
        pad[axis] = (1, 1)
        padded = np.pad(np.reshape(values, shape), pad)
        return np.delete(padded, -1, axis), np.delete(padded, 0, axis)

    def matrix(self, m):
        """Return A: half the sum of both coefficients for each face."""
        diagonal, bands, offsets = np.zeros((self.n,) * 3), [], []
        for axis in range(3):
            low, high = self.faces(np.exp(m), axis)
            t = 0.5 * (low + high)
            above, below = np.delete(t, 0, axis), np.delete(t, -1, axis)
            diagonal += above + below
            inner = above.copy()  # to the next cell; none behind the last
            np.moveaxis(inner, axis, 0)[-1] = 0.0
            step = self.n ** (2 - axis)
            bands.append(-inner.ravel()[: self.size - step])
            offsets.append(step)
        everything = [diagonal.ravel(), *bands, *bands]
        return sparse.diags_array(everything, offsets=[0, *offsets, *(-o for o in offsets)]).tocsr()

    def by_coefficient(self, m, u):
        """Return B as products: of a face with jump [u], ½ [u] (eᵐ ṁ below + above)."""
        e = np.exp(m)
        jumps = [np.subtract(*self.faces(u, axis)) for axis in range(3)]

        def forward(v):
            out = np.zeros((self.n,) * 3)
            for axis, jump in enumerate(jumps):
                low, high = self.faces(e * np.ravel(v), axis)
                flux = 0.5 * (low + high) * jump
                out += np.delete(flux, 0, axis) - np.delete(flux, -1, axis)
            return out.ravel()

        def backward(v):
            out = np.zeros((self.n,) * 3)
            for axis, jump in enumerate(jumps):
                both = 0.5 * jump * np.subtract(*self.faces(v, axis))
                out += np.delete(both, 0, axis) + np.delete(both, -1, axis)
            return e * out.ravel()

        return LinearOperator((self.size,) * 2, matvec=forward, rmatvec=backward, dtype=float)


def mesh(options):
    """Print the iterations of both methods on every mesh."""
    counts = {"L-BFGS-B": [], "newton-cg": []}
    for n in options.sizes or (32, 64, 128, 256):
        V, F = bases(n)
        problem, mass = poisson(V, F), pde.mass(F)
        loss = tracking(problem, V, ALPHA * mass)
        for method, found in counts.items():
            started = time.perf_counter()
            r = si.minimize(
                loss, si.ImplicitFunction(problem), centres(F).sum(axis=0),
                y0=np.zeros(problem.n_y), method=method, inner=mass, gradient_rtol=1e-10,
                stop_rtol=options.stop,
            )  # fmt: skip
            found.append(len(r.history) - 1)
            print(f"  {n}²  {method:<10} {found[-1]:4d} steps, {r.work[0].hessian_products:3d} "
                  f"Hessian products, J = {r.value:.6e}, {time.perf_counter() - started:.1f} s; "
                  f"{r.message}", flush=True)  # fmt: skip
    for method, found in counts.items():
        print(f"{method}: {found}, apart by {max(found) - min(found)}")


def pieces(options):
    """Return the problem, x and a name."""
    if options.dimension == 2:
        n = options.side or 1000
        V, M = bases(n)
        x, y = centres(M)
        return diffusion(V, M), 0.5 * np.sin(9 * x) * np.cos(7 * y), f"P1, {n}²"
    n = options.side or 100
    volumes = Volumes(n)
    x, y, z = np.moveaxis((np.indices((n,) * 3) + 0.5) / n, 0, 0)
    return volumes.problem, (0.5 * np.sin(9 * x) * np.cos(7 * y + z)).ravel(), f"7-point, {n}³"


def inversion(options):
    """Print what one gradient takes, and sixteen sources."""
    started = time.perf_counter()
    problem, x, name = pieces(options)
    n_y = problem.n_y if options.dimension == 2 else x.size
    print(f"{name}: {n_y} unknowns, {x.size} parameters, stated in "
          f"{time.perf_counter() - started:.1f} s", flush=True)  # fmt: skip
    implicit, rtol = si.ImplicitFunction(problem), options.rtol
    seconds, phases = {"state": [], "adjoint": [], "contraction": []}, {}
    for run in range(options.repeats + 1):
        solved = None  # one hierarchy or factor at a time
        t = [time.perf_counter()]
        solved = implicit.solve(x, np.zeros(n_y), rtol=rtol)
        t.append(time.perf_counter())
        adjoint = solved.adjoint(solved.y, rtol=rtol)
        t.append(time.perf_counter())
        gradient = -(solved.linearization.parameter_jacobian.T @ adjoint.value)
        t.append(time.perf_counter())
        if run:
            for key, spent in zip(seconds, np.diff(t), strict=True):
                seconds[key].append(spent)
            for key, spent in solved.report.seconds.items():
                phases.setdefault(key, []).append(spent)
    told = ", ".join(f"{key} {np.median(spent):.3f}" for key, spent in phases.items())
    for key, spent in seconds.items():
        print(f"  {key:<12} {np.median(spent):8.3f} s ({min(spent):.3f}–{max(spent):.3f})"
              + (f"  {told}" if key == "state" else ""))  # fmt: skip
    report = solved.report
    print(f"  {report.iterations} Newton steps, {report.linear_iterations} + "
          f"{adjoint.report.iterations} iterations, {report.factorizations} preparations; "
          f"{report.linear_solver}: {report.because}")  # fmt: skip
    b, system = adjoint.value, solved.system
    turns = machine.turns(
        {"forward": lambda: system.solve(b, rtol=rtol),
         "adjoint": lambda: system.solve_adjoint(b, rtol=rtol)}, options.repeats,
    )  # fmt: skip
    forward, transposed = (float(np.median(turns[key])) for key in ("forward", "adjoint"))
    print(f"  the same right-hand side: {forward:.3f} s forward, {transposed:.3f} s transposed, "
          f"{transposed / forward:.2f} ×", flush=True)  # fmt: skip
    memory("one source")
    sources(solved, problem, x, gradient, rtol)


def sources(solved, problem, x, gradient, rtol):
    """Print what sixteen sources take with the prepared system of the first."""
    system = solved.system
    before = system.report.factorizations
    first = -problem.residual(x, np.zeros(solved.y.size))
    b = np.random.default_rng(0).uniform(0.5, 1.5, (first.size, SOURCES)) * first[:, None]
    b[:, 0] = first
    started = time.perf_counter()
    states = system.solve(b, rtol=rtol).value
    forward = time.perf_counter()
    adjoints = system.solve_adjoint(states, rtol=rtol).value
    backward = time.perf_counter()
    total, worst = np.zeros(x.size), 0.0
    for k in range(SOURCES):
        part = -(problem.parameter_jacobian(x, states[:, k]).T @ adjoints[:, k])
        if k == 0:
            worst = np.linalg.norm(part - gradient) / np.linalg.norm(gradient)
        total += part
    done = time.perf_counter()
    print(f"  {SOURCES} sources: {forward - started:.2f} s of states, {backward - forward:.2f} of "
          f"adjoints, {done - backward:.2f} of contraction; {before} preparation, then "
          f"{system.report.factorizations - before}; the first as alone to {worst:.0e}"
    )  # fmt: skip
    memory(f"{SOURCES} sources")


def memory(after):
    """Print the peak so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"  peak memory after {after}: {peak:.2f} GiB", flush=True)


def packed(name, matrix):
    """Return the parts of a matrix by name."""
    m = sparse.csr_array(matrix)
    return {f"{name}_data": m.data, f"{name}_indices": m.indices, f"{name}_indptr": m.indptr,
            f"{name}_shape": m.shape}  # fmt: skip


def by_hand(V, x, coefficient, prior):
    """Return the matrices of a problem in plain numpy, with none of ours: what a peer gets."""
    p, t = V.mesh.p, V.mesh.t
    free = V.complement_dofs(V.get_dofs())
    number = np.full(p.shape[1], -1)
    number[free] = np.arange(free.size)
    edges = p[:, t[[2, 0, 1]]] - p[:, t[[1, 2, 0]]]
    area = 0.5 * abs(edges[0, 0] * edges[1, 1] - edges[0, 1] * edges[1, 0])
    local = np.einsum("die,dje->ije", edges, edges) / (4 * area)
    rows, cols = (number[np.broadcast_to(a, local.shape)] for a in (t[:, None], t[None]))
    element = np.broadcast_to(np.arange(area.size), local.shape)
    inside = (rows >= 0) & (cols >= 0)
    places, entry = np.unique(rows[inside] * free.size + cols[inside], return_inverse=True)
    of = element[inside] if coefficient else np.zeros(entry.size, dtype=int)
    select = sparse.csr_array((local[inside], (entry, of)),
                              shape=(places.size, area.size if coefficient else 1))  # fmt: skip
    mass_local = area / 12 * (np.ones((3, 3)) + np.eye(3))[:, :, None]
    mass = sparse.csr_array((mass_local[inside], (rows[inside], cols[inside])))
    held = number[t] >= 0
    load = sparse.csr_array((np.broadcast_to(area / 3, t.shape)[held], (
        number[t][held], np.broadcast_to(np.arange(area.size), t.shape)[held])),
        shape=(free.size, area.size))  # fmt: skip
    return {
        "n_y": free.size, "coefficient": coefficient, "x": x, "d": wave(p)[free],
        "rows": places // free.size, "cols": places % free.size,
        "load": load.sum(axis=1) if coefficient else np.zeros(free.size),
        **packed("select", select), **packed("mass", mass), **packed("prior", prior),
        **packed("by_control", load),
    }  # fmt: skip


def compare(name, n, options):
    """Print ours and the peer's for one problem and size."""
    V, F = bases(n)
    mass, (x, y) = pde.mass(F), centres(F)
    coefficient = name == "inversion"
    x = 0.5 * np.sin(9 * x) * np.cos(7 * y) if coefficient else x + y
    problem, prior = (diffusion if coefficient else poisson)(V, F), ALPHA * mass
    loss, implicit = tracking(problem, V, prior), si.ImplicitFunction(problem)
    seconds = []
    for run in range(options.repeats + 1):
        started = time.perf_counter()
        solved = implicit.solve(x, np.zeros(problem.n_y), rtol=options.rtol)
        h = si.hypergradient(loss, solved, rtol=options.rtol, estimate_error=False)
        if run:
            seconds.append(time.perf_counter() - started)
    ours = float(np.median(seconds))
    print(f"{name}, {n}²: {problem.n_y} unknowns, {problem.n_x} parameters\n  ours     "
          f"{ours:8.4f} s ({min(seconds):.4f}–{max(seconds):.4f})  {solved.report.linear_solver}, "
          f"J = {h.value:.12e}", flush=True)  # fmt: skip
    if not options.peers:
        return
    program = pathlib.Path(__file__).with_name("pde_peers.py")
    with tempfile.TemporaryDirectory() as folder:
        np.savez(pathlib.Path(folder, "problem.npz"), **by_hand(V, x, coefficient, prior))
        for method in ("direct", "kept"):
            done = subprocess.run(
                [options.peers, program, folder, str(options.repeats), method],
                capture_output=True, text=True, check=False, cwd=folder,
            )  # fmt: skip
            if done.returncode:
                print(f"  OpenMDAO, {method} failed: {done.stderr[-300:]}", flush=True)
                continue
            told = json.loads(done.stdout.splitlines()[-1])
            theirs = float(np.median(told["seconds"]))
            gradient = np.load(pathlib.Path(folder, f"{method}.npy"))
            off = np.linalg.norm(gradient - h.gradient) / np.linalg.norm(gradient)
            print(f"  OpenMDAO, {method:<7} {theirs:8.4f} s ({min(told['seconds']):.4f}–"
                  f"{max(told['seconds']):.4f})  {theirs / ours:.1f} × ours, gradients apart by "
                  f"{off:.1e}, J = {told['value']:.12e}", flush=True)  # fmt: skip


def peers(options):
    """Compare on both problems."""
    for name in ("mother", "inversion"):
        for n in options.sizes or (256,):
            compare(name, n, options)


def main():
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("mesh", "inversion", "peers"))
    parser.add_argument("--sizes", type=int, nargs="+", help="squares a side, of mesh and peers")
    parser.add_argument("--side", type=int, help="of inversion")
    parser.add_argument("--dimension", type=int, choices=(2, 3), default=2)
    parser.add_argument("--stop", type=float, default=1e-4)
    parser.add_argument("--rtol", type=float, default=1e-10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peers", metavar="PYTHON", help="an interpreter with OpenMDAO")
    options = parser.parse_args()
    machine.keep_memory()
    print(machine.describe(), flush=True)
    {"mesh": mesh, "inversion": inversion, "peers": peers}[options.part](options)


if __name__ == "__main__":
    main()
