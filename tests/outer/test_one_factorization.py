"""A factorization goes from one evaluation to the next where A is the same, and only there."""

import dataclasses
import weakref

import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si
from sparseimplicit import state_system
from sparseimplicit.linear import PreparedSystem
from sparseimplicit.verify.zoo import convection_diffusion

N = 30
A = sparse.csr_array(convection_diffusion(6, 5))
B = sparse.csr_array(np.random.default_rng(3).standard_normal((N, 4)))
X = np.array([0.3, -0.2, 0.5, 1.0])
GOAL = np.cos(np.arange(N))
LOSS = si.TwiceDifferentiable(
    lambda x, y: (0.5 * np.sum((y - GOAL) ** 2) + 0.05 * x @ x, 0.1 * x, y - GOAL),
    lambda x, y, x_dot, y_dot: (0.1 * x_dot, y_dot),
)


def scaled(scale, **settings):
    """A(x) y = B x with A(x) = scale(x) A."""
    problem = si.RootProblem(
        residual=lambda x, y: scale(x) * (A @ y) - B @ x,
        state_jacobian=lambda x, y: scale(x) * A,
        parameter_jacobian=lambda x, y: -B,
        second_order=lambda x, y, adjoint, x_dot, y_dot: (0 * x, 0 * y),
    )
    return si.ImplicitFunction(problem, "superlu", **settings)


def constant(**settings):
    return scaled(lambda x: 1.0, **settings)


def minimizer():
    inverse = np.linalg.solve(A.toarray(), B.toarray())
    return np.linalg.solve(inverse.T @ inverse + 0.1 * np.eye(4), inverse.T @ GOAL)


@pytest.fixture
def alive(monkeypatch):
    """How many factors there were whenever another one was made."""
    systems, counts = [], []
    begin, made = si.linear.SuperLU._prepare, PreparedSystem.__init__

    def prepare(self, *args, **kwargs):
        counts.append(sum(ref() is not None for ref in systems))
        return begin(self, *args, **kwargs)

    def init(self, solver, operator, method, report):
        made(self, solver, operator, method, report)
        if report.factorizations:
            systems.append(weakref.ref(method))

    monkeypatch.setattr(si.linear.SuperLU, "_prepare", prepare)
    monkeypatch.setattr(PreparedSystem, "__init__", init)
    return counts


@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("method", ["L-BFGS-B", "newton-cg"])
def test_a_constant_matrix_is_factorized_once(alive, method, reuse):
    r = si.minimize(
        LOSS,
        constant(reuse=reuse),
        X,
        y0=np.zeros(N),
        method=method,
        gradient_rtol=1e-10,
        stop_rtol=1e-8,
    )
    assert alive == [0]
    assert len(r.history) > 2
    assert sum(work.factorizations for work in r.work) == 1
    assert "factorization of a neighbouring state" in r.solved.report.reused
    np.testing.assert_allclose(r.x, minimizer(), rtol=1e-4)


def test_factorizations_of_products_are_counted(alive, monkeypatch):
    """Newton's last factor of a nonlinear state is rented for some products, then A is bought."""
    problem = si.RootProblem(
        residual=lambda x, y: A @ y + y**3 - B @ x,
        state_jacobian=lambda x, y: A + sparse.diags_array(3 * y**2),
        parameter_jacobian=lambda x, y: -B,
        second_order=lambda x, y, adjoint, x_dot, y_dot: (0 * x, 6 * y * adjoint * y_dot),
    )

    def learn(system, solution):
        system._spent += 1.0
        system._rate = 0.0

    monkeypatch.setattr(state_system, "WORTHLESS", 0.0)
    monkeypatch.setattr(state_system.StateSystem, "_price", lambda *_: 2.5)
    monkeypatch.setattr(state_system.StateSystem, "_learn", learn)
    r = si.minimize(LOSS, si.ImplicitFunction(problem, "superlu"), X, y0=np.zeros(N),
                    method="newton-cg", gradient_rtol=1e-10)  # fmt: skip
    assert r.converged
    assert sum(work.factorizations for work in r.work) == len(alive)
    assert sum(e.work.factorizations for e in r.history) == len(alive)
    assert max(alive) <= 1  # that of the accepted point


def test_so_is_one_of_a_problem_declared_linear(alive):
    problem = dataclasses.replace(constant().problem, linear=True)
    r = si.minimize(LOSS, si.ImplicitFunction(problem, "superlu"), X, y0=np.zeros(N))
    assert alive == [0]
    assert len(r.history) > 2
    assert r.work[0].factorizations == 1


def test_problems_of_the_same_matrix_share_it(alive):
    r = si.minimize([LOSS] * 3, [constant() for _ in range(3)], X, y0=[np.zeros(N)] * 3)
    assert alive == [0]
    assert [work.factorizations for work in r.work] == [1, 0, 0]


def test_each_process_has_its_own_to_the_same_bits():
    losses, guesses = [LOSS] * 3, [np.zeros(N)] * 3
    found = [
        si.minimize(losses, [constant(reuse=False) for _ in losses], X, y0=guesses, **where)
        for where in ({}, {"executor": "processes", "jobs": 2})
    ]
    here, apart = found
    assert [work.factorizations for work in here.work] == [1, 0, 0]
    assert [work.factorizations for work in apart.work] == [1, 1, 0]
    np.testing.assert_array_equal(here.x, apart.x)
    assert [e.value for e in here.history] == [e.value for e in apart.history]


def test_another_matrix_is_factorized_after_the_last_one_is_gone(alive):
    r = si.minimize(LOSS, scaled(lambda x: np.exp(0.1 * x[0])), X, y0=np.zeros(N))
    assert len(alive) >= len(r.history) > 2
    assert set(alive) == {0}


def test_an_array_written_anew_is_another_matrix():
    buffer = A.copy()

    def written(x, y):
        buffer.data[:] = np.exp(x[0]) * A.data
        return buffer

    fresh = scaled(lambda x: np.exp(x[0]))
    problem = si.RootProblem(
        residual=fresh.problem.residual, state_jacobian=written,
        parameter_jacobian=fresh.problem.parameter_jacobian,
    )  # fmt: skip
    implicit = si.ImplicitFunction(problem, "superlu", reuse=False)
    solved = implicit.solve(X, np.zeros(N))
    np.testing.assert_allclose(solved.vjp(GOAL), fresh.solve(X, np.zeros(N)).vjp(GOAL), rtol=1e-9)
    other = implicit.solve(X + 1.0, start=solved)
    assert other.report.factorizations >= 1
    exact = fresh.solve(X + 1.0, np.zeros(N))
    np.testing.assert_allclose(other.y, exact.y, rtol=1e-6)
    np.testing.assert_allclose(other.vjp(GOAL), exact.vjp(GOAL), rtol=1e-8)
    again = implicit.solve(X + 1.0, np.zeros(N), start=other)
    assert again.report.factorizations == 0


def test_another_solver_makes_its_own():
    first = constant().solve(X, np.zeros(N))
    other = si.ImplicitFunction(constant().problem, si.linear.SuperLU("NATURAL"))
    assert other.solve(X, np.zeros(N), start=first).report.factorizations == 1
    same = si.ImplicitFunction(constant().problem, si.linear.SuperLU())
    assert same.solve(X, np.zeros(N), start=first).report.factorizations == 0


def test_a_forward_solver_of_ones_own_profits():
    solve = lambda x, y0: np.linalg.solve(A.toarray(), B @ x)
    implicit = si.ImplicitFunction(constant().problem, "superlu", solve)
    first = implicit.solve(X, np.zeros(N))
    first.vjp(GOAL)
    second = implicit.solve(2 * X, start=first)
    assert second.system is first.system
    assert second.preparation is None


@pytest.mark.parametrize("method", ["L-BFGS-B", "newton-cg"])
def test_a_run_taken_up_again_comes_to_the_same_bits(tmp_path, method):
    def run(folder=None, last=None):
        def callback(evaluation):
            if evaluation.evaluation == last:
                raise KeyboardInterrupt

        return si.minimize(
            LOSS, constant(), X, y0=np.zeros(N), method=method, checkpoint=folder,
            callback=callback, stop_rtol=1e-9,
        )  # fmt: skip

    whole = run()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, 1)
    resumed = run(tmp_path)
    np.testing.assert_array_equal(resumed.x, whole.x)
    np.testing.assert_array_equal(resumed.solved.y, whole.solved.y)
    assert [e.value for e in resumed.history] == [e.value for e in whole.history]
