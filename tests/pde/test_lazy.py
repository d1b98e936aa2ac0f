"""The wing is an attribute of the package, imported where it is asked for."""

import subprocess
import sys

CODE = """
import sys
sys.modules["skfem"] = None
import sparseimplicit as si
assert "sparseimplicit.pde" not in sys.modules
assert si.pde.TimeStepping.__name__ == "TimeStepping"
assert "pde" in dir(si) and "pde" in si.__all__
try:
    si.nothing
except AttributeError as error:
    assert "nothing" in str(error)
try:
    si.pde.mass(None)
except si.errors.MissingBackend as error:
    assert "sparseimplicit[pde]" in error.fix
else:
    raise AssertionError
"""


def test_it_is_imported_late_and_without_scikit_fem():
    subprocess.run([sys.executable, "-c", CODE], check=True, timeout=120)
