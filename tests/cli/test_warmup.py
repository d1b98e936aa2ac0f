import re
import subprocess
import sys

from sparseimplicit.cli.app import main

CODE = """
import numpy as np, sparseimplicit as si
from sparseimplicit.cli.warmup import warmup
from sparseimplicit.derivatives.programs.compiled import folder
from sparseimplicit.imaging import squared_error, total_variation
from sparseimplicit.kernels import csr, graph, grid_lines, grid_tasks, incidence, lifts, vectors
from sparseimplicit.kernels import bordered, bordered_setup, bordered_transfers, line_factors, lines
from sparseimplicit.kernels import seams, stencil
modules = (csr, graph, grid_lines, grid_tasks, incidence, lifts, vectors, bordered, bordered_setup,
           bordered_transfers, line_factors, lines, seams, stencil)
kernels = [k for m in modules for k in vars(m).values() if hasattr(k, "signatures")]
warmup()
def count():
    return sum(len(k.signatures) for k in kernels), sum(1 for _ in folder().glob("*.py"))
before = count()
for size in (330, 700):
    f = np.random.default_rng(0).uniform(0, 255, (size, size))
    for weight_map in (False, True):
        problem = total_variation(f, weight_map=weight_map)
        x = np.zeros(f.size if weight_map else 1)
        solved = si.ImplicitFunction(problem).solve(x, f.ravel(), rtol=1e-2)
        si.hypergradient(squared_error(f), solved, rtol=1e-2)
        matrix = problem.hessian(x, f.ravel())
        for options in ({}, {"lean": True}, {"precision": "double"}):
            solver = si.linear.Multigrid(**options)
            system = solver.prepare(si.linear.Operator(matrix, si.Structure.POSITIVE_DEFINITE))
            system.solve(np.ones(f.size), rtol=1e-2)
print([after - b for after, b in zip(count(), before)])
"""
OWN_TERMS = """
f, edges = np.arange(12.0).reshape(4, 3), np.arange(240_000).reshape(-1, 2)
root = lambda y, x, c: np.exp(x[0]) * np.sqrt((y[1] - y[0]) ** 2 + 0.1) * (1.0 + c[0] ** 2)
windows = si.patches((9, 9), (2, 2))
below, response = si.stencil((4, 3), [(0, 0), (1, 0)]), lambda r, x, c: np.sqrt(r[0] ** 2 + 1.0)
for term, n in (
    (si.term(root, y=below, x=np.arange(12)[:, None], c=f.ravel()), 12),
    (si.term(root, y=edges, x=edges[:, :1], c=np.ones(len(edges))), edges.size),
    (si.term(response, y=windows.indices(), lift=np.ones((1, 4))), 81),
):
    problem = si.Energy(term, n_y=n, n_x=n)
    x, y = np.zeros(n), np.ones(n)
    problem.objective(x, y), problem.gradient(x, y), problem.hessian(x, y)
    problem.cross_product(x, y, y), problem.cross_adjoint(x, y, y)
print(count()[0] - before[0])
"""


def test_warmup_says_how_long_it_took(capsys):
    assert main(["warmup"]) == 0
    told = r"kernels compiled in \d+\.\d s\nlocal terms compiled in \d+\.\d s\n"
    assert re.fullmatch(told, capsys.readouterr().out)


def test_the_warm_up_compiles_what_a_denoising_run_launches(tmp_path):
    """No kernel may be compiled during a run that follows a warm-up: counted, not timed."""
    done = subprocess.run(
        [sys.executable, "-c", CODE + OWN_TERMS], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-2:] == ["[0, 0]", "0"], done.stdout + done.stderr
