"""Every registered solver on every matrix of the zoo, and bad input."""

import numpy as np
import pytest

import sparseimplicit as si
from sparseimplicit._optional import available
from sparseimplicit.linear import Attempt, Needs, PreparedMethod, Solver, Structure, solver_named

MODULES = {"cholmod": "sksparse", "pardiso": "pypardiso", "petsc": "petsc4py"}


@pytest.mark.parametrize("name", si.available_solvers())
def test_every_registered_solver_keeps_to_the_contract(name):
    solver = solver_named(name)
    if solver.extra is not None and not available(MODULES[solver.extra]):
        pytest.skip(f"{MODULES[solver.extra]} is not installed (extra '{solver.extra}')")
    assert si.verify.conformance(solver) == []


class _Wrong(Solver):
    """Answers nine tenths of what it should, and forgets to transpose."""

    name = "wrong"
    needs = Needs()

    def _prepare(self, operator, analysis):
        return _NineTenths(operator)


class _NineTenths(PreparedMethod):
    direct = False

    def __init__(self, operator):
        self._dense = operator.entries.toarray()

    def _solve(self, b, rtol):
        return Attempt(0.9 * np.linalg.lstsq(self._dense, b, rcond=None)[0])

    def _solve_adjoint(self, b, rtol):
        return self._solve(b, rtol)


def test_the_suite_finds_an_adjoint_that_is_not_transposed():
    issues = si.verify.conformance(_Wrong())
    assert any("nonsymmetric" in issue and "adjoint" in issue for issue in issues)
    # The forward answer, nine tenths of the right one, is refined, never believed.
    assert not any(issue.startswith("positive definite, csr: solve") for issue in issues)


def test_the_zoo_has_every_kind():
    specimens = si.verify.zoo()
    assert {s.structure for s in specimens} == set(Structure)
    assert {s.matrix.shape[0] for s in specimens} >= {0, 1}
    assert any(s.singular for s in specimens)
    assert any(s.products_only for s in specimens)
