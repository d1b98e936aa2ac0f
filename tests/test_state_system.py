"""Which factorization solves at a state: Newton's last one is rented, until one of A pays."""

import numpy as np
import pytest

import sparseimplicit as si
from sparseimplicit import state_system
from sparseimplicit.linear import SuperLU
from tests.test_reduced_hessian import LOSS, N_X, N_Y, PROBLEM, X

SYSTEM = state_system.StateSystem


@pytest.fixture
def factorized(monkeypatch):
    """A list that grows with every factorization."""
    made, prepare = [], SuperLU._prepare
    monkeypatch.setattr(SuperLU, "_prepare", lambda *a: made.append(1) or prepare(*a))
    return made


@pytest.fixture
def priced(monkeypatch, factorized):
    """Return a state, what has been factorized since, for a price and a rent a solve of 1."""

    def at(price, *, reuse=True, rtol=1e-6):
        implicit = si.ImplicitFunction(PROBLEM, "superlu", reuse=reuse)
        state = implicit.solve(X, np.zeros(N_Y), rtol=rtol)
        assert state._system.lags

        def learn(system, solution):
            system._spent += solution.report.columns
            system._rate = 0.0

        monkeypatch.setattr(SYSTEM, "_price", lambda system, last: price)
        monkeypatch.setattr(SYSTEM, "_learn", learn)
        monkeypatch.setattr(state_system, "WORTHLESS", -1.0)
        factorized.clear()
        return state

    return at


def exact():
    state = si.ImplicitFunction(PROBLEM, "superlu").solve(X, np.zeros(N_Y), rtol=1e-13)
    return si.reduced_hessian(LOSS, state, rtol=1e-13)


def test_a_cheap_factorization_is_made_at_the_first_adjoint(priced, factorized):
    h = si.hypergradient(LOSS, priced(0.0), rtol=1e-12)
    assert len(factorized) == 1
    assert h.report.preparation.factorizations == 1
    assert h.report.preparation.analyses == 0 or h.report.preparation.reused is None
    assert "more were expected" in h.report.preparation.because
    assert h.report.adjoint.iterations == 0
    np.testing.assert_allclose(h.gradient, exact().gradient, rtol=1e-5)


def test_a_dear_one_never_is(priced, factorized):
    state = priced(np.inf)
    h = si.reduced_hessian(LOSS, state, rtol=1e-12)
    for _ in range(20):
        h.apply(X)
    assert not factorized
    assert h.report.factorizations == 0
    assert h.report.iterations > 40
    assert state.system.solver.label == "gmres+lagged"


def test_rent_until_it_has_cost_the_price(priced, factorized):
    state = priced(7.5)
    h = si.reduced_hessian(LOSS, state, rtol=1e-12)  # the first solve; each product has two more
    counts = []
    for _ in range(6):
        h.apply(X)
        counts.append(len(factorized))
    assert counts == [0, 0, 0, 1, 1, 1]  # eight solves cost 8
    assert h.report.factorizations == 1
    assert state.system.solver.label == "superlu"
    assert state.system.operator is state.linearization.state_jacobian
    assert state.refactored() is state
    assert state.preparation.factorizations == 1
    np.testing.assert_allclose(h.apply(np.eye(N_X)), exact().apply(np.eye(N_X)), rtol=1e-4)


def test_columns_are_rented_one_by_one(priced, factorized):
    state = priced(7.5)
    state.vjp(np.eye(N_Y)[:, :8])
    assert not factorized
    state.vjp(np.ones(N_Y))
    assert len(factorized) == 1


def test_the_clock_has_no_say_without_reuse(priced, factorized):
    state = priced(0.0, reuse=False)
    si.hypergradient(LOSS, state, rtol=1e-12)
    assert not factorized
    assert state.preparation.factorizations == 0


@pytest.mark.parametrize("reuse", [True, False])
def test_one_that_leads_nowhere_is_replaced_once(monkeypatch, priced, factorized, reuse):
    monkeypatch.setattr(state_system, "LAGGED_ITERATIONS", 1)
    monkeypatch.setattr(state_system, "FEWEST", 1)
    state = priced(np.inf, reuse=reuse, rtol=1e-2)
    for _ in range(3):
        state.vjp(np.ones(N_Y), rtol=1e-13)
    assert len(factorized) == 1
    assert "'gmres+lagged' failed: NotConverged" in state.preparation.because


def test_the_one_bought_is_handed_on(priced, factorized):
    state = priced(0.0)
    state.vjp(np.ones(N_Y))
    again = state._implicit.solve(X, start=state, rtol=1e-6)
    assert again.report.iterations == 0
    assert again.system is state.system
    assert len(factorized) == 1


def test_measured_times_decide(monkeypatch):
    """Renting costs what solves take beyond a solve with a factorization of A itself."""
    state = si.ImplicitFunction(PROBLEM, "superlu").solve(X, np.zeros(N_Y), rtol=1e-6)
    system, last = state._system, state._system._last
    assert 0.0 < last.seconds_each < last.seconds_inside
    assert system._price(last) == last.report.seconds["prepare"]
    monkeypatch.setattr(SYSTEM, "_price", lambda system, last: 1e-300)
    solution = state.adjoint(np.ones(N_Y))
    assert system.lags  # a preparation takes no time worth a decision
    assert system._spent == pytest.approx(solution.report.seconds - last.seconds_each)
    monkeypatch.setattr(state_system, "WORTHLESS", 0.0)
    state.adjoint(np.ones(N_Y))
    assert not system.lags
