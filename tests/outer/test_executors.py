"""Several lower-level problems in several processes: the bits of one."""

import os
import signal

import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si
from sparseimplicit.errors import ConfigError, NonFinite, SparseImplicitError
from sparseimplicit.executors import Processes

N = 40
LAPLACE = sparse.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(N, N), format="csr")


def smoothing(data):
    """½‖y − data‖² + ½ eˣ yᵀ L y + ¼ y⁴: nonlinear, so that states go on from one another."""
    problem = si.MinimizationProblem(
        gradient=lambda x, y: y - data + np.exp(x[0]) * (LAPLACE @ y) + y**3,
        hessian=lambda x, y: (
            sparse.eye_array(N) + np.exp(x[0]) * LAPLACE + sparse.diags_array(3 * y**2)
        ),
        cross_hessian=lambda x, y: np.exp(x[0]) * (LAPLACE @ y)[:, None],
    )
    return si.ImplicitFunction(problem, linear_solver="superlu", reuse=False)


def tracking_of(target):
    return lambda x, y: (0.5 * np.sum((y - target) ** 2) + 1e-3 * x @ x, 2e-3 * x, y - target)


@pytest.fixture(scope="module")
def five():
    random = np.random.default_rng(7)
    truths = [np.sin(np.linspace(0, k + 2, N)) for k in range(5)]
    data = [truth + 0.3 * random.standard_normal(N) for truth in truths]
    return [tracking_of(t) for t in truths], [smoothing(d) for d in data], data


def minimized(five, **options):
    losses, implicits, data = five
    return si.minimize(losses, implicits, [-2.0], y0=data, max_iterations=8, **options)


def same(a, b):
    np.testing.assert_array_equal(a.x, b.x)
    told = [[(e.value, e.gradient_norm) for e in r.history] for r in (a, b)]
    assert told[0] == told[1]
    for one, other in zip(a.solved, b.solved, strict=True):
        np.testing.assert_array_equal(one.y, other.y)


@pytest.fixture(scope="module")
def serial(five):
    return minimized(five)


def test_several_processes_and_a_death_change_no_bit(five, serial, monkeypatch, tmp_path):
    crews, start = [], Processes.open

    def open(self, *given):
        crews.append(start(self, *given))
        return crews[-1]

    def kill(evaluation):
        if evaluation.evaluation == 2:
            os.kill(crews[-1]._processes[1].identity, signal.SIGKILL)

    monkeypatch.setattr(Processes, "open", open)
    counted = []
    where = Processes(2, progress=lambda done, of: counted.append((done, of)))
    found = minimized(five, executor=where, callback=kill)
    same(found, serial)
    notes = [note for evaluation in found.history for note in evaluation.notes]
    assert [("killed by signal 9" in note) for note in notes] == [True]
    assert counted[:4] == [(1, 2), (2, 2), (1, 2), (2, 2)]
    assert [w.state_solves for w in found.work] == [len(found.history)] * 5


def test_a_run_goes_on_elsewhere_from_its_checkpoint(five, serial, tmp_path):
    class Enough(Exception):
        pass

    def stop(evaluation):
        if evaluation.evaluation == 3:
            raise Enough

    with pytest.raises(Enough):
        minimized(five, executor="processes", jobs=2, checkpoint=tmp_path, callback=stop)
    same(minimized(five, executor="processes", jobs=3, checkpoint=tmp_path), serial)


def test_an_error_of_a_problem_names_it(five):
    losses, implicits, data = five
    with pytest.raises(NonFinite, match="lower-level problem 3"):
        si.minimize(
            losses, implicits, [-2.0], y0=[*data[:3], np.full(N, np.nan), data[4]],
            executor="processes", jobs=2,
        )  # fmt: skip


def test_what_cannot_be_sent_is_refused(five):
    losses, implicits, data = five
    lock = __import__("threading").Lock()
    losses = [lambda x, y: (lock, None, y), *losses[1:]]
    with pytest.raises(ConfigError, match="cannot be sent to another process"):
        si.minimize(losses, implicits, [-2.0], y0=data, executor="processes", jobs=2)


def test_an_error_that_is_not_ours_is_told(five):
    losses, implicits, data = five
    losses = [lambda x, y: 1 / 0, *losses[1:]]
    with pytest.raises(SparseImplicitError, match="ZeroDivisionError"):
        si.minimize(losses, implicits, [-2.0], y0=data, executor="processes", jobs=2)


def test_newtons_method_is_for_this_process(five):
    with pytest.raises(ConfigError, match="'newton-cg' holds states"):
        minimized(five, method="newton-cg", executor="processes")
