"""PETSc, on one rank and on two: the answers of CHOLMOD, errors on all ranks, reuse by counts."""

import os
import subprocess
import sys
from pathlib import Path
from shutil import which

import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si
from sparseimplicit._optional import available
from sparseimplicit.errors import (
    NotConverged,
    NotPositiveDefinite,
    ShapeError,
    SparseImplicitError,
    StructureError,
)
from sparseimplicit.linear import Operator, Petsc, Structure
from sparseimplicit.verify.zoo import convection_diffusion, laplacian

pytestmark = [
    pytest.mark.petsc,
    pytest.mark.skipif(not available("petsc4py"), reason="petsc4py is not installed"),
]
ROOT = Path(__file__).resolve().parents[2]
SIDE = 24
SPD = Structure.POSITIVE_DEFINITE


def cube(first, last, side=SIDE):
    """Rows of a diffusion of jumping conductivity on a cube, plus 1e-3."""
    n = side**3
    index = np.arange(first, last)
    place = np.stack([index // side**2, index // side % side, index % side])
    kappa = lambda p: np.where((p // 5).sum(axis=0) % 2 == 0, 1.0, 100.0)
    row, column, value = [index], [index], [np.full(len(index), 1e-3)]
    for axis in range(3):
        for step in (-1, 1):
            other = place.copy()
            other[axis] += step
            inside = (other[axis] >= 0) & (other[axis] < side)
            weight = 0.5 * (kappa(place) + kappa(other))[inside]
            row += [index[inside]] * 2
            column += [index[inside], np.ravel_multi_index(tuple(other[:, inside]), (side,) * 3)]
            value += [weight, -weight]
    entries = np.concatenate(value), (np.concatenate(row) - first, np.concatenate(column))
    return sparse.coo_array(entries, shape=(last - first, n)).tocsr()


def on_two_ranks(script, *arguments):
    mpiexec = which("mpiexec")
    if mpiexec is None:
        pytest.skip("there is no mpiexec")
    # Python's own environment: MPI in this process has written into that of C. As root, and on as
    # few cores as there are, Open MPI wants to be told.
    told = ("ALLOW_RUN_AS_ROOT", "ALLOW_RUN_AS_ROOT_CONFIRM", "MCA_rmaps_base_oversubscribe",
            "MCA_mpi_yield_when_idle")  # fmt: skip
    env = os.environ | {f"OMPI_{name}": "1" for name in told} | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [mpiexec, "-n", "2", sys.executable, *script, *arguments], capture_output=True, text=True,
        check=False, cwd=ROOT, stdin=subprocess.DEVNULL, timeout=300, env=env,
    )  # fmt: skip


@pytest.fixture(scope="module")
def exact():
    matrix = cube(0, SIDE**3)
    b = np.random.default_rng(0).standard_normal(SIDE**3)
    return matrix, b, si.linear.solve(Operator(matrix, SPD), b, solver="cholmod", rtol=1e-12).value


@pytest.mark.parametrize("name", ["petsc", "petsc+gamg", "petsc+mumps"])
def test_one_rank_equals_cholmod(exact, name):
    matrix, b, x = exact
    found = si.linear.solve(Operator(matrix, SPD), b, solver=name, rtol=1e-11).value
    assert np.linalg.norm(found - x) <= 1e-8 * np.linalg.norm(x)


ON_RANKS = """
import sys, numpy as np
import sparseimplicit as si
from sparseimplicit.cluster import distribute
from sparseimplicit.linear import Operator, Petsc, Structure
from tests.linear.test_petsc import SIDE, SPD, cube
n, b = SIDE**3, np.random.default_rng(0).standard_normal(SIDE**3)
out = {}
for pc in ("hypre", "gamg", "mumps"):
    whole = Petsc(pc).prepare(Operator(cube(0, n), SPD)).solve(b, rtol=1e-11)
    system = distribute(cube, n, solver=Petsc(pc), structure=SPD)
    assert system.last - system.first == n // 2
    own = system.solve(b[system.first:system.last], rtol=1e-11)
    out[pc] = whole.value
    out[pc + "_rows"] = np.concatenate(system.comm.allgather(own.value))
if system.comm.rank == 0:
    np.savez(sys.argv[1], **out)
"""


def test_two_ranks_equal_cholmod(exact, tmp_path):
    _, _, x = exact
    run = on_two_ranks(["-c", ON_RANKS], str(tmp_path / "x.npz"))
    assert run.returncode == 0, run.stderr
    with np.load(tmp_path / "x.npz") as found:
        assert len(found.files) == 6
        for name in found.files:
            assert np.linalg.norm(found[name] - x) <= 1e-8 * np.linalg.norm(x), name


FAILING = """
import sys
from sparseimplicit.cluster import distribute
from tests.linear.test_petsc import cube
def rows(first, last):
    if first > 0:
        raise ZeroDivisionError("no rows here")
    return cube(first, last)
try:
    distribute(rows, 24**3)
except Exception as error:
    print(type(error).__name__, "no rows here" in str(error))
"""


def test_what_fails_on_one_rank_raises_on_all():
    run = on_two_ranks(["-c", FAILING])
    told = {  # mpiexec may mix the lines of ranks
        word: run.stdout.count(word)
        for word in ("SparseImplicitError", "ZeroDivisionError", "True", "False")
    }
    assert list(told.values()) == [1, 1, 2, 0], run.stdout + run.stderr


def test_the_command_on_two_ranks_gives_the_serial_answer(tmp_path):
    a = convection_diffusion(12, 14)
    b = sparse.random_array((168, 5), density=0.2, rng=np.random.default_rng(1), format="csr")
    sparse.save_npz(tmp_path / "A.npz", a)
    sparse.save_npz(tmp_path / "B.npz", b)
    y_bar = np.random.default_rng(2).standard_normal(168)
    np.save(tmp_path / "y.npy", y_bar)
    given = ["-m", "sparseimplicit", "gradient", "--hessian", str(tmp_path / "A.npz"),
             "--cross-hessian", str(tmp_path / "B.npz"), "--cotangent", str(tmp_path / "y.npy"),
             "--rtol", "1e-11", "--out"]  # fmt: skip
    run = on_two_ranks(given, str(tmp_path / "x.npy"))
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("by 'petsc'") == 1
    serial = si.vjp(a, b, y_bar, linear_solver="superlu", rtol=1e-12)
    np.testing.assert_allclose(np.load(tmp_path / "x.npy"), serial, rtol=1e-8)
    wrong = on_two_ranks(given, str(tmp_path / "x.npy"), "--solver", "cholmod")
    assert wrong.returncode == 2
    assert wrong.stderr.count("knows nothing of the 2 ranks") == 1


def test_an_adjoint_takes_as_many_iterations_and_rows_contract():
    a = convection_diffusion(20, 22)
    b = np.random.default_rng(3).standard_normal(440)
    for pc in ("hypre", "gamg"):
        system = si.cluster.distribute(lambda first, last: a[first:last], 440, solver=Petsc(pc))
        forward, adjoint = system.solve(b), system.solve_adjoint(b)
        assert np.linalg.norm(a.T @ adjoint.value - b) <= 1e-8 * np.linalg.norm(b)
        assert adjoint.iterations <= 2 * forward.iterations
    jacobian = sparse.random_array((440, 3), density=0.1, rng=np.random.default_rng(4))
    np.testing.assert_allclose(
        system.contract(jacobian, adjoint.value), si.vjp(a, jacobian, b), rtol=1e-6
    )


def test_a_hierarchy_serves_neighbours_until_it_is_tired():
    a = laplacian(40, 41, 0.1)
    b = np.random.default_rng(5).standard_normal(1640)
    near = sparse.csr_array(a + 0.0 * a)
    near.data = near.data * 1.01
    far = sparse.csr_array(a.copy())
    far.setdiag(a.diagonal() * np.exp(5 * np.random.default_rng(6).random(1640)))
    first = Petsc().prepare(Operator(a, SPD))
    first.solve(b)
    second = first.refresh(near)
    assert (second.report.reused, second.report.factorizations) == ("hierarchy", 0)
    second.solve(b)
    third = second.refresh(far)
    assert third.report.reused == "hierarchy"
    used = third.solve(b).report.iterations
    fourth = third.refresh(far)
    assert fourth.report.reused is None
    assert fourth.solve(b).report.iterations < used
    assert first.solve(b).report.converged


def test_options_are_of_one_solver_alone():
    from petsc4py import PETSc

    a = Operator(laplacian(30, 31, 0.1), SPD)
    b = np.random.default_rng(7).standard_normal(930)
    plain = Petsc().prepare(a).solve(b).report.iterations
    weak = Petsc(options={"pc_type": "jacobi"})
    assert weak.prepare(a).solve(b).report.iterations > 2 * plain
    assert Petsc().prepare(a).solve(b).report.iterations == plain
    assert not any("jacobi" in str(v) for v in PETSc.Options().getAll().values())


def test_near_nullspace_is_taken_by_gamg():
    beam = elasticity(12, 6)
    modes, matrix = beam
    b = np.random.default_rng(8).standard_normal(matrix.shape[0])
    operator = Operator(matrix, SPD)
    without = Petsc("gamg").prepare(operator).solve(b).report.iterations
    given = Petsc("gamg", near_nullspace=modes).prepare(operator).solve(b).report
    assert given.converged
    assert given.iterations != without


def elasticity(width, height):
    """Springs along edges and diagonals of a grid, held softly; and its three rigid motions."""
    points = np.array([(i, j) for i in range(width) for j in range(height)], float)
    n = len(points)
    rows = []
    for k in range(n):
        for m in range(k):
            d = points[k] - points[m]
            if np.abs(d).max() == 1:
                row = np.zeros(2 * n)
                row[2 * k : 2 * k + 2] = d / np.linalg.norm(d)
                row[2 * m : 2 * m + 2] = -d / np.linalg.norm(d)
                rows.append(row)
    stretch = np.array(rows)
    modes = np.zeros((2 * n, 3))
    modes[::2, 0] = modes[1::2, 1] = 1.0
    modes[::2, 2], modes[1::2, 2] = -points[:, 1], points[:, 0]
    return modes, sparse.csr_array(stretch.T @ stretch + 1e-4 * np.eye(2 * n))


def test_bad_input_is_refused():
    with pytest.raises(StructureError, match="has no 'ilu'"):
        Petsc("ilu")
    with pytest.raises(ShapeError, match="returned"):
        si.cluster.distribute(lambda first, last: np.eye(3), 3)
    indefinite = sparse.csr_array(np.array([[1.0, 3.0, 0.0], [3.0, 1.0, 0.0], [0.0, 0.0, 2.0]]))
    with pytest.raises(NotPositiveDefinite, match="negative pivots"):
        Petsc("mumps").prepare(Operator(indefinite, SPD))
    negative = sparse.csr_array(np.diag([1.0, 2.0, -1.0]))
    with pytest.raises(NotPositiveDefinite, match="diagonal entry 2 is -1"):
        si.cluster.distribute(lambda first, last: negative[first:last], 3, structure=SPD)
    a = laplacian(30, 30, 1e-4)
    system = si.cluster.distribute(
        lambda first, last: a[first:last], 900, structure=SPD,
        solver=Petsc(max_iterations=1, options={"pc_type": "jacobi"}),
    )  # fmt: skip
    with pytest.raises(NotConverged, match="true relative residual"):
        system.solve(np.ones(900) + np.arange(900) % 7)
    assert issubclass(NotConverged, SparseImplicitError)


def test_signals_stay_those_of_python():
    """PETSc takes SIGPIPE unless told not to: a closed pipe would end the process."""
    code = (
        "import os; from sparseimplicit.linear.petsc_api import petsc; petsc()\n"
        "read, write = os.pipe(); os.close(read)\n"
        "try: os.write(write, b'x')\n"
        "except BrokenPipeError: print('told')\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "told\n"), run.stderr
