"""One setting for all libraries, in a block and in a process."""

import ast
import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from threadpoolctl import threadpool_info

import sparseimplicit as si
from sparseimplicit.errors import ConfigError
from sparseimplicit.thread_limits import LIBRARIES, VARIABLE

TOLD = """
{before}
import sparseimplicit as si
import numba
from threadpoolctl import threadpool_info
import numpy as np
from scipy import sparse
si.linear.solve(sparse.eye_array(3, format="csc") * 2.0, np.ones(3))
print(numba.get_num_threads(), sorted({{one["num_threads"] for one in threadpool_info()}}))
"""


def counts():
    return {one["num_threads"] for one in threadpool_info()}


def test_a_block_holds_all_libraries_and_lets_them_go():
    before = numba.get_num_threads(), [one["num_threads"] for one in threadpool_info()]
    variables = {name: os.environ.get(name) for name in LIBRARIES}
    np.ones((2, 2)) @ np.ones((2, 2))
    with si.threads(1):
        assert numba.get_num_threads() == 1
        assert counts() == {1}
    assert (numba.get_num_threads(), [one["num_threads"] for one in threadpool_info()]) == before
    assert {name: os.environ.get(name) for name in LIBRARIES} == variables


@pytest.mark.parametrize("count", [0, -1, 1.5, True, 10_000])
def test_what_is_no_number_of_threads_is_refused(count):
    with pytest.raises(ConfigError, match="threads"), si.threads(count):
        pass


def started(value, before=""):
    return subprocess.run(
        [sys.executable, "-c", TOLD.format(before=before)],
        env={n: v for n, v in os.environ.items() if n not in LIBRARIES} | {VARIABLE: value},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("before", ["", "import numpy, numba"])
def test_a_process_obeys_the_variable(before):
    run = started("1", before)
    assert run.stdout.split() == ["1", "[1]"], run.stderr


def test_a_variable_that_is_no_number_is_refused():
    run = started("many")
    assert "'many' is no number of threads" in run.stderr


def told_of_pardiso(within):
    """Return the threads of PARDISO's libraries, loaded within the block, and after it."""
    code = (
        "import sparseimplicit as si, threadpoolctl as t\n"
        "from contextlib import nullcontext\n"
        "old = {one['filepath'] for one in t.threadpool_info()}\n"
        "def new(): return {one['filepath']: one['num_threads'] for one in t.threadpool_info()"
        " if one['filepath'] not in old}\n"
        f"with {within}:\n"
        "    import pypardiso\n"
        "    print(new())\n"
        "print(new())\n"
    )
    env = {n: v for n, v in os.environ.items() if n not in LIBRARIES} | {"OMP_NUM_THREADS": "2"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return [ast.literal_eval(line) for line in run.stdout.splitlines()]


def test_a_library_loaded_within_a_block_obeys_and_is_let_go():
    pytest.importorskip("pypardiso", reason="the extra pardiso is not installed")
    within, after = told_of_pardiso("si.threads(1)")
    assert within
    assert set(within.values()) == {1}
    assert after == told_of_pardiso("nullcontext()")[1]


def test_a_library_loaded_before_the_variables_were_set_obeys():
    """As in workers of Dask, which loads numpy before it sets them."""
    run = started("1", "import numpy, os; os.environ.update(OPENBLAS_NUM_THREADS='1', "
                  "OMP_NUM_THREADS='1', MKL_NUM_THREADS='1', NUMBA_NUM_THREADS='1')")  # fmt: skip
    assert run.stdout.split() == ["1", "[1]"], run.stderr


def test_numba_that_was_loaded_before_still_compiles():
    code = (
        "import numba, sparseimplicit\n"
        "print(numba.njit(lambda x: x + 1)(1), numba.get_num_threads())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={n: v for n, v in os.environ.items() if n not in LIBRARIES} | {VARIABLE: "1"},
    )  # fmt: skip
    assert run.stdout.split() == ["2", "1"], run.stderr
