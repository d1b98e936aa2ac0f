"""Measure ``auto`` against every single solver of ours and of others, over a zoo of matrices.

    python scripts/bench/linear.py                     all of it, about 35 minutes
    python scripts/bench/linear.py --only hard,3-D     matrices whose names contain one of these
    python scripts/bench/linear.py --sequences         20 neighbouring matrices, reused or not
    python scripts/bench/linear.py --sequences --only 3-D
    python scripts/bench/linear.py --out results.json  the figures too

Every run is a process of its own, from the matrix in memory to an answer with true residual 1e-8;
``auto`` includes its planning. What takes ``--patience`` times as long as ``auto`` (thrice
in its first run) is stopped and printed as >, all else is run five times; then ``auto`` and the
best of the others in turn, in one process, for the ratio: medians count. Memory is the peak of
the process beyond what it held before. Processes keep the memory that they free.
"""

import argparse
import contextlib
import json
import math
import os
import signal
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import machine
import numpy as np
import zoo
from scipy import sparse

RTOL = 1e-8


def ours(name):
    """Return a run of one of our solvers, ``auto`` too: seconds, predicted seconds and bytes."""
    import sparseimplicit as si

    def run(sample, b):
        started = time.perf_counter()
        operator = si.linear.Operator(sample.matrix, sample.structure)
        if name != "auto":
            solver = si.linear.solver_named(name)
            solver.prepare(operator).solve(b, rtol=RTOL)
            return time.perf_counter() - started, {"solver": name}
        choice = si.linear.choose(operator)
        system = choice.solver.prepare(operator, analysis=choice.analysis)
        system.solve(b, rtol=RTOL)
        total = time.perf_counter() - started
        best = next(c for c in choice.candidates if c.solver == choice.solver.label)
        return total, {
            "solver": choice.solver.label,
            "planning": choice.seconds,
            "predicted_seconds": best.seconds,
            "predicted_bytes": best.bytes,
        }

    return run


def by_hand(solve):
    """Return a run of a function (sample, b) -> x, which has to meet the residual."""

    def run(sample, b):
        started = time.perf_counter()
        x = solve(sample, b)
        total = time.perf_counter() - started
        residual = np.linalg.norm(b - sample.matrix @ x) / np.linalg.norm(b)
        if not residual <= 1.1 * RTOL:
            raise ArithmeticError(f"residual {residual:.0e}")
        return total, {}

    return run


def scipy_spsolve(sample, b):
    """Solve as the documentation of scipy shows."""
    from scipy.sparse.linalg import spsolve

    ordering = "COLAMD" if sample.structure is zoo.GENERAL else "MMD_AT_PLUS_A"
    return spsolve(sample.matrix.tocsc(), b, permc_spec=ordering)


def scipy_cg(sample, b):
    """Run scipy's CG with the diagonal."""
    from scipy.sparse.linalg import cg

    inverse = sparse.diags_array(1.0 / sample.matrix.diagonal())
    return cg(sample.matrix, b, rtol=0.9 * RTOL, M=inverse, maxiter=5000)[0]


def pyamg_with(kind):
    """Return pyamg as its documentation shows, with CG, and the near-nullspace where known."""

    def solve(sample, b):
        import pyamg

        matrix = sparse.csr_matrix(sample.matrix)
        if kind == "rs":
            hierarchy = pyamg.ruge_stuben_solver(matrix)
        else:
            hierarchy = pyamg.smoothed_aggregation_solver(matrix, B=sample.near_nullspace)
        return hierarchy.solve(b, tol=0.5 * RTOL, accel="cg", maxiter=300)

    return solve


def sksparse(sample, b):
    """Run CHOLMOD as scikit-sparse's documentation shows."""
    from sksparse.cholmod import cholesky

    return cholesky(sparse.csc_matrix(sample.matrix))(b)


def pypardiso(sample, b):
    """Run PARDISO as pypardiso's documentation shows."""
    from pypardiso import PyPardisoSolver

    solver = PyPardisoSolver()  # a new one: the module's own keeps the last factorization
    x = solver.solve(sparse.csr_matrix(sample.matrix), b)
    solver.free_memory(everything=True)
    return x


DEFINITE = [
    "cg+jacobi", "multigrid", "pardiso+amd", "pardiso", "cg+amg", "cg+sa", "cholmod+amd",
    "cholmod+metis", "superlu", "banded", "batched",
]  # fmt: skip
ANY = ["pardiso", "pardiso+amd", "superlu", "gmres+amg", "gmres+ilu"]
PEERS = {
    "scipy spsolve": scipy_spsolve,
    "scipy cg": scipy_cg,
    "pyamg rs": pyamg_with("rs"),
    "pyamg sa": pyamg_with("sa"),
    "scikit-sparse": sksparse,
    "pypardiso": pypardiso,
}


def methods(structure, band):
    """Return the names to run on a matrix: ours, then those of others, suited to its structure."""
    if structure is zoo.SPD:
        return [m for m in DEFINITE if m != "banded" or band < 300] + list(PEERS)
    symmetric = ["minres+jacobi"] if structure is zoo.SYMMETRIC else []
    return [*ANY, *symmetric, "scipy spsolve", "pypardiso"]


def child(folder, structure, names, limit, repeats, pipe):
    """Run methods in turn up to ``repeats`` times on a stored matrix, and report on the pipe."""
    os.setsid()
    with np.errstate(all="ignore"):
        matrix = sparse.csr_array(sparse.load_npz(folder / "matrix.npz"))
        nullspace = folder / "nullspace.npy"
        modes = np.load(nullspace) if nullspace.exists() else None
        sample = zoo.Sample(matrix, structure, modes)
        b = np.random.default_rng(0).standard_normal(matrix.shape[0])
        runs = {name: by_hand(PEERS[name]) if name in PEERS else ours(name) for name in names}
        small = zoo.Sample(zoo.diffusion((330, 330), 1.0, shift=1.0), structure)
        warm = np.ones(330 * 330)
        for run in [*runs.values(), *([] if names[0] in PEERS else [ours("auto")])]:
            with contextlib.suppress(Exception):  # libraries load, kernels come from their cache
                run(small, warm)
        pipe.send("ready")
        for k in range(repeats):
            for run in runs.values():
                seconds, facts = run(sample, b)
                pipe.send({"seconds": seconds, **facts})
            if k and seconds > limit:
                break


def measure(folder, structure, name, limit, patience, repeats=5):
    """Return the record of a method, in a process of its own; ``failed`` says why there is none."""
    context = get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    arguments = (folder, structure, [name], limit, repeats, sender)
    process = context.Process(daemon=True, target=_guarded, args=arguments)
    process.start()
    sender.close()
    record = {"failed": f"> {patience:.3g} s"}
    times, base, peak = [], 0, 0
    with contextlib.suppress(EOFError):
        if not receiver.poll(60.0) or receiver.recv() != "ready":
            raise EOFError
        base = _resident(process.pid)
        deadline = time.monotonic() + patience
        while len(times) < repeats and time.monotonic() < deadline:
            if not times:
                peak = max(peak, _resident(process.pid))
            if receiver.poll(0.01):
                record = receiver.recv()
                if "seconds" not in record:
                    break
                times.append(record.pop("seconds"))
                deadline = time.monotonic() + patience
    if times:
        record |= {"times": times, "bytes": max(peak - base, 0)}
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return record


def _resident(pid):
    """Return the bytes that a process holds, as seen from here: watching costs it nothing."""
    with contextlib.suppress(OSError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0


def _guarded(*arguments):
    try:
        child(*arguments)
    except Exception as error:  # noqa: BLE001 - whatever it is, it goes into the table
        arguments[-1].send({"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:60]}"})


def one(name, folder, patience):
    """Measure everything on one matrix; return its facts and a record a method."""
    # Made in another process: this one must have no threads and hold no memory when it forks.
    context = get_context("spawn")
    making = context.Process(daemon=True, target=_make, args=(name, folder))
    making.start()
    making.join()
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    structure = STRUCTURES.get(name, zoo.SPD)
    records = {"auto": measure(folder, structure, "auto", math.inf, 120.0)}
    if "times" not in records["auto"]:
        return facts, records
    typical = float(np.median(records["auto"]["times"]))
    for method in methods(structure, facts["band"]):
        # The first run may wait for memory that the machine has to find.
        allowed = max(patience, 3.0) * typical + 1.0
        records[method] = measure(folder, structure, method, patience * typical, allowed)
    single = [name for name in records if name != "auto" and "times" in records[name]]
    if single:  # what is compared, once more in turn: the machine may be another by now
        best = min(single, key=lambda name: np.median(records[name]["times"]))
        for name, times in in_turn(folder, structure, ["auto", best]).items():
            records[name]["times"] = times
    return facts, records


def in_turn(folder, structure, names, repeats=7):
    """Return the seconds of methods that one process runs in turn, by name, the first left out."""
    context = get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    arguments = (folder, structure, names, math.inf, repeats, sender)
    process = context.Process(daemon=True, target=_guarded, args=arguments)
    process.start()
    sender.close()
    found = []
    with contextlib.suppress(EOFError):
        while True:
            message = receiver.recv()
            if isinstance(message, dict) and "failed" in message:
                raise RuntimeError(f"{' and '.join(names)} in turn: {message['failed']}")
            found += [message["seconds"]] if message != "ready" else []
    process.join()
    return {name: found[k :: len(names)][1:] for k, name in enumerate(names)}


STRUCTURES = {"convection 512²": zoo.GENERAL, "saddle 2·160²": zoo.SYMMETRIC}


def _make(name, folder):
    sample = zoo.ZOO[name]()
    sparse.save_npz(folder / "matrix.npz", sample.matrix, compressed=False)
    (folder / "nullspace.npy").unlink(missing_ok=True)
    if sample.near_nullspace is not None:
        np.save(folder / "nullspace.npy", sample.near_nullspace)
    places = sample.matrix.tocoo()
    facts = {"n": sample.matrix.shape[0], "band": int(np.abs(places.row - places.col).max())}
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def report(name, facts, records):
    """Print one matrix: auto, the best single solver, and all others."""
    auto = records["auto"]
    if "times" not in auto:
        print(f"{name:<18} auto FAILED: {auto['failed']}", flush=True)
        return None
    typical = float(np.median(auto["times"]))
    single = {
        method: float(np.median(record["times"]))
        for method, record in records.items()
        if method != "auto" and "times" in record
    }
    best = min(single, key=single.get)
    ratio = typical / single[best]
    large = auto["predicted_bytes"] > 100 * 2**20  # less is lost among what was freed before
    fits = f"{auto['predicted_bytes'] / max(auto['bytes'], 1):4.2f}" if large else "small"
    alone = single.get(auto["solver"], typical)  # the plan's analysis is part of the solver's work
    print(
        f"{name:<18} {facts['n']:>8} {typical:8.3f} s by {auto['solver']:<12} "
        f"best {best:<13} {single[best]:8.3f} s  ratio {ratio:5.2f}  planning "
        f"{auto['planning']:6.3f} s  predicted/measured: time "
        f"{auto['predicted_seconds'] / alone:4.2f}, memory {fits}"
    )
    parts = [
        f"{m} {single[m]:.3g}" if m in single else f"{m} {records[m]['failed']}"
        for m in sorted(records, key=lambda m: single.get(m, math.inf))
        if m != "auto"
    ]
    print("    " + "; ".join(parts), flush=True)
    return ratio


def sequences(repeats=5, wanted=()):
    """Print 20 neighbouring matrices of four kinds: every one prepared, or reused where it pays."""
    import sparseimplicit as si

    for name, (label, make) in SEQUENCES.items():
        if wanted and not any(part in name for part in wanted):
            continue
        matrices = list(make())
        b = np.random.default_rng(0).standard_normal(matrices[0].n)
        solver = si.linear.solver_named(label)
        ratios, told = [], ""
        for _ in range(repeats):
            spent = {}
            for reuse in (False, True):
                sequence = si.linear.Sequence(solver, reuse=reuse)
                started = time.perf_counter()
                for operator in matrices:
                    sequence.solve(operator, b, rtol=RTOL)
                spent[reuse] = time.perf_counter() - started
            reused = sum(step.action == "reused" for step in sequence.steps)
            told = f"{spent[False]:6.2f} s → {spent[True]:6.2f} s, {reused} of 20 reused"
            ratios.append(spent[True] / spent[False])
        spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
        print(
            f"{name:<32} {label:<12} ratio {np.median(ratios):.2f} ({spread}); last: {told}",
            flush=True,
        )


def _tv(steps):
    import sparseimplicit as si
    from sparseimplicit.imaging import read_image, total_variation

    clean = zoo.resize(read_image(zoo.IMAGE), (512, 512), order=1, anti_aliasing=False)
    rng = np.random.default_rng(1)
    problem = total_variation(clean + rng.normal(0.0, 10.0, clean.shape), epsilon=0.1)
    for k in range(20):
        weight, blur = steps(k)
        y = (clean + blur * rng.standard_normal(clean.shape)).ravel()
        matrix = problem.hessian(np.array([np.log(weight)]), y)
        yield si.linear.Operator(matrix, zoo.SPD)


def _diffusion(decades):
    import sparseimplicit as si

    base = zoo.diffusion((64,) * 3, 3.0)
    direction = np.random.default_rng(5).uniform(-0.5, 0.5, base.shape[0])
    for k in range(20):
        scale = sparse.diags_array(10.0 ** (0.5 * decades(k) * direction))
        yield si.linear.Operator(sparse.csr_array(scale @ base @ scale), zoo.SPD)


SEQUENCES = {
    "tv hard 512² weight grows 5 %": (
        "pardiso+amd",
        lambda: _tv(lambda k: (300.0 * 1.05**k, 0.0)),
    ),
    "tv hard 512² Newton-like": (
        "pardiso+amd",
        lambda: _tv(lambda k: (300.0, 20.0 * 0.5**k)),
    ),
    "3-D 64³ parameter drifts": ("cg+amg", lambda: _diffusion(lambda k: 0.05 * k)),
    "3-D 64³ Newton-like": ("pardiso", lambda: _diffusion(lambda k: 0.5 * 0.6**k)),
}


def main():
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="parts of names, separated by commas")
    parser.add_argument("--sequences", action="store_true", help="only the sequences")
    parser.add_argument("--patience", type=float, default=1.6)
    parser.add_argument("--repeats", type=int, default=5, help="of the sequences")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    machine.keep_memory()
    # In a process of its own, since this one must not start threads before it forks.
    describe = get_context("spawn").Process(daemon=True, target=_describe)
    describe.start()
    describe.join()
    wanted = [part for part in options.only.split(",") if part]
    if options.sequences:
        return sequences(options.repeats, wanted)
    # A run that is told to end takes its processes with it: the next one would be measured beside.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    ratios, everything = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for name in zoo.ZOO:
            if wanted and not any(part in name for part in wanted):
                continue
            facts, records = one(name, Path(folder), options.patience)
            everything[name] = records
            ratios.append(report(name, facts, records))
    good = [ratio for ratio in ratios if ratio is not None]
    print(
        f"auto against the best single solver: geometric mean {np.exp(np.mean(np.log(good))):.2f}, "
        f"largest {max(good):.2f}, {len(ratios) - len(good)} failures in {len(ratios)} matrices"
    )
    if options.out:
        options.out.write_text(json.dumps(everything, indent=1, ensure_ascii=False))
    if not wanted:
        worker = get_context("spawn").Process(
            daemon=True, target=sequences, args=(options.repeats,)
        )
        worker.start()
        worker.join()
    return None


def _describe():
    print(machine.describe(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
