import re
import subprocess
import sys

from sparseimplicit.cli.app import main

CODE = """
import numpy as np, sparseimplicit as si
from sparseimplicit.cli.warmup import warmup
from sparseimplicit.derivatives.programs.compiled import folder
from sparseimplicit.imaging import squared_error, total_variation
from sparseimplicit.kernels import csr, graph, grid_lines, incidence, vectors
modules = (csr, graph, grid_lines, incidence, vectors)
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
print([after - b for after, b in zip(count(), before)])
"""


def test_warmup_says_how_long_it_took(capsys):
    assert main(["warmup"]) == 0
    told = r"kernels compiled in \d+\.\d s\nlocal terms compiled in \d+\.\d s\n"
    assert re.fullmatch(told, capsys.readouterr().out)


def test_the_warm_up_compiles_what_a_denoising_run_launches(tmp_path):
    """No kernel may be compiled during a run that follows a warm-up: counted, not timed."""
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1:] == ["[0, 0]"], done.stdout + done.stderr
