"""L-BFGS where states, adjoints or losses fail at points that it tries."""

import numpy as np
import pytest

import sparseimplicit as si
from sparseimplicit.errors import NotConverged, ShapeError
from sparseimplicit.outer.descent import TrialFailed, descend
from tests.outer.test_failing_trials import CASES, LOSS, flat, root

INNER = {"scipy's": None, "diagonal": np.full(1, 2.0), "own": np.array([[2.0]])}


def run(case, x0=0.3, **options):
    problem, forward, _ = CASES[case]
    implicit = si.ImplicitFunction(problem, "dense", forward, reuse=False)
    options = {"stop_rtol": 1e-8, "gradient_rtol": 1e-12, **options}
    return si.minimize(LOSS, implicit, x0, y0=1.0, **options)


@pytest.mark.parametrize("inner", INNER.values(), ids=INNER)
@pytest.mark.parametrize("case", CASES)
def test_a_trial_that_fails_shortens_the_step(case, inner):
    """From x = 0.3 a step of length 1, downhill for ½ (√x − ½)², leads below 0."""
    x0 = 2.0 if inner is not None and inner.ndim == 2 else 0.3
    scale = 1.0 if x0 < 1 else 1e-3  # of the metric: so long is the first step of our own
    r = run(case, x0, inner=inner if inner is None else scale**2 * inner)
    assert r.converged
    assert r.x[0] == pytest.approx(0.25, rel=1e-6)
    failed = [e for e in r.history if e.failure is not None]
    assert failed
    for evaluation in failed:
        assert CASES[case][2].__name__ in evaluation.failure
        assert evaluation.value == np.inf


@pytest.mark.parametrize("bounds", [(-50.0, 50.0), (None, 50.0)], ids=["boxed", "one-sided"])
def test_with_bounds_too(bounds):
    r = run("state", 0.3, bounds=bounds)
    assert r.converged
    assert r.x[0] == pytest.approx(0.25, rel=1e-6)


@pytest.mark.parametrize("inner", INNER.values(), ids=INNER)
def test_a_dozen_failures_are_an_error_that_has_the_best(inner):
    def only_here(x, y):
        return (y[0] if x[0] == 4.0 else np.nan, None, np.ones(1))

    with pytest.raises(NotConverged, match="minimize, evaluation 12") as caught:
        si.minimize(only_here, si.ImplicitFunction(root(), "dense"), 4.0, y0=1.0, inner=inner)
    assert "NonFinite" in caught.value.what
    np.testing.assert_array_equal(caught.value.best, [4.0])
    assert caught.value.report.evaluation == 0
    assert caught.value.report.value == pytest.approx(2.0)


@pytest.mark.parametrize("method", ["L-BFGS-B", "newton-cg"])
def test_a_first_point_that_fails_is_an_error_that_says_so(method):
    with pytest.raises(NotConverged, match="minimize, evaluation 0, ImplicitFunction"):
        run("state", -4.0, method=method)


def test_it_is_no_excuse_for_other_errors():
    wrong = lambda x, y: (0.5, None, y) if x[0] > 0.2 else (0.5, None, np.zeros(3))
    with pytest.raises(ShapeError, match="minimize, evaluation 1"):
        si.minimize(wrong, si.ImplicitFunction(flat()), 0.3, y0=1.0)


@pytest.mark.parametrize("last", [1, 3])
@pytest.mark.parametrize("inner", [None, np.array([[2e-6]])], ids=["scipy's", "own"])
def test_a_run_with_failures_is_taken_up_again_to_the_same_bits(tmp_path, inner, last):
    class Killed(Exception):
        pass

    def kill(evaluation):
        if evaluation.evaluation == last:
            raise Killed

    whole = run("state", inner=inner)
    assert any(e.failure for e in whole.history[: last + 1])
    with pytest.raises(Killed):
        run("state", inner=inner, checkpoint=tmp_path, callback=kill)
    resumed = run("state", inner=inner, checkpoint=tmp_path)
    assert resumed.x[0] == whole.x[0]
    assert [e.value for e in resumed.history] == [e.value for e in whole.history]
    assert [e.failure for e in resumed.history] == [e.failure for e in whole.history]


def three(x0=0.3, **options):
    """That problem between two that are solved everywhere, by steps that depend on the start."""
    cubic = si.RootProblem(
        residual=lambda x, y: y + y**3 - x,
        state_jacobian=lambda x, y: 1 + 3 * y**2,
        parameter_jacobian=lambda x, y: -1.0,
    )
    implicits = [
        si.ImplicitFunction(p, "dense", reuse=False, max_iterations=20)
        for p in (cubic, root(), cubic)
    ]
    loss = lambda x, y: (0.5 * (y[0] - 0.1) ** 2, None, y - 0.1)
    return si.minimize([loss] * 3, implicits, x0, y0=[1.0] * 3, stop_rtol=1e-6, **options)


def test_a_failure_in_another_process_is_an_answer_to_the_same_bits(tmp_path):
    def stop(evaluation):
        if evaluation.failure is not None:
            raise RuntimeError

    here, apart = three(), three(executor="processes", jobs=2)
    with pytest.raises(RuntimeError):
        three(executor="processes", jobs=2, checkpoint=tmp_path, callback=stop)
    resumed = three(checkpoint=tmp_path)
    failed = [e.failure for e in here.history if e.failure is not None]
    assert failed
    assert all("lower-level problem 1: NotConverged" in text for text in failed)
    for r in (apart, resumed):
        assert r.x[0] == here.x[0]
        assert [e.value for e in r.history] == [e.value for e in here.history]
        assert [e.failure for e in r.history] == [e.failure for e in here.history]
        assert [solved.y[0] for solved in r.solved] == [solved.y[0] for solved in here.solved]


@pytest.mark.parametrize("where", [{}, {"executor": "processes", "jobs": 2}], ids=["here", "apart"])
def test_the_first_point_of_several_names_the_problem(where):
    with pytest.raises(NotConverged, match="minimize, evaluation 0, lower-level problem 1, Impl"):
        three(-4.0, **where)


def test_the_next_first_step_is_a_quarter_of_the_way():
    """A steep slope to a wall at 0.01: steps of 1, then at most 1/4 of the way to what failed."""
    tried = []

    def walled(x):
        tried.append(x[0])
        if x[0] < 0.01:
            raise TrialFailed
        return float(x[0] + 1e-3 / x[0]), 1 - 1e-3 / x**2

    descent = descend(walled, np.array([1.5]), None, settles=lambda *_: True, stop_rtol=1e-6,
                      max_iterations=100)  # fmt: skip
    assert descent.converged
    assert tried[-1] == pytest.approx(np.sqrt(1e-3), rel=1e-5)
    fails = [i for i, x in enumerate(tried) if x < 0.01]
    assert fails
    for i in fails:
        best = min(x for x in tried[:i] if x >= np.sqrt(1e-3))
        assert 0 < best - tried[i + 1] <= 0.25 * (best - tried[i]) + 1e-12
