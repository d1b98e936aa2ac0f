"""Newton's method where states, adjoints or losses fail at points that it tries."""

import numpy as np
import pytest

import sparseimplicit as si
from sparseimplicit.errors import NonFinite, NotConverged, NotPositiveDefinite, SingularSystem


def root():
    """y² = x: no state where x < 0."""
    return si.RootProblem(
        residual=lambda x, y: y**2 - x,
        state_jacobian=lambda x, y: 2 * y,
        parameter_jacobian=lambda x, y: -1.0,
        second_order=lambda x, y, adjoint, x_dot, y_dot: (0 * x, 2 * adjoint * y_dot),
    )


def not_a_number():
    """y = √x, with a residual that is NaN where x < 0."""

    def residual(x, y):
        with np.errstate(invalid="ignore"):
            return y - np.sqrt(x)

    return si.RootProblem(
        residual=residual,
        state_jacobian=lambda x, y: 1.0,
        parameter_jacobian=lambda x, y: -0.5 / np.sqrt(x),
        second_order=lambda x, y, adjoint, x_dot, y_dot: (
            0.25 * x**-1.5 * adjoint * x_dot, 0 * y_dot,
        ),
    )  # fmt: skip


def flat():
    """y = argmin r²/2 with r = y − √|x|: its Hessian is said to vanish where x < 0."""
    return si.MinimizationProblem(
        gradient=lambda x, y: y - np.sqrt(np.abs(x)),
        hessian=lambda x, y: 1.0 * (x > 0),
        cross_hessian=lambda x, y: -0.5 / np.sqrt(np.abs(x)),
        second_order=lambda x, y, adjoint, x_dot, y_dot: (
            0.25 * np.abs(x) ** -1.5 * adjoint * x_dot, 0 * y_dot,
        ),
    )  # fmt: skip


def concave():
    """The same with a Hessian that is negative where x < 0, and a state that is given."""
    problem = flat()
    return si.MinimizationProblem(
        gradient=problem.gradient,
        hessian=lambda x, y: np.sign(x),
        cross_hessian=problem.cross_hessian,
        second_order=problem.second_order,
    )


LOSS = si.TwiceDifferentiable(
    lambda x, y: (0.5 * (y[0] - 0.5) ** 2, None, y - 0.5),
    lambda x, y, x_dot, y_dot: (None, y_dot),
)
given = lambda x, y0: np.sqrt(np.abs(x))
CASES = {
    "state": (root(), None, NotConverged),
    "residual": (not_a_number(), None, NonFinite),
    "singular adjoint": (flat(), given, SingularSystem),
    "indefinite adjoint": (concave(), given, NotPositiveDefinite),
}


def run(case, x0=4.0, **options):
    problem, forward, _ = CASES[case]
    implicit = si.ImplicitFunction(problem, "dense", forward, reuse=False)
    options = {"stop_rtol": 1e-8, "gradient_rtol": 1e-12, **options}
    return si.minimize(LOSS, implicit, x0, y0=1.0, method="newton-cg", **options)


@pytest.mark.parametrize("case", CASES)
def test_a_trial_that_fails_shrinks_the_region(case):
    """From x = 4 Newton's step for ½ (√x − ½)² leads far below 0."""
    r = run(case)
    assert r.converged
    assert r.x[0] == pytest.approx(0.25, rel=1e-6)
    failed = [e for e in r.history if e.failure is not None]
    assert failed
    assert r.history[1] in failed
    for evaluation in failed:
        assert CASES[case][2].__name__ in evaluation.failure
        assert evaluation.value == np.inf
        assert np.isnan(evaluation.gradient_norm)
        assert not evaluation.step.accepted
    assert r.history[2].step.radius == pytest.approx(0.25 * r.history[1].step.length)


@pytest.mark.parametrize("case", CASES)
def test_a_first_point_that_fails_is_an_error(case):
    with pytest.raises(CASES[case][2]):
        run(case, x0=-4.0)


def test_it_is_no_excuse_for_other_errors():
    def wrong(x, y):
        return (0.5, None, y) if x[0] > 3.9 else (0.5, None, np.zeros(3))

    loss = si.TwiceDifferentiable(wrong, lambda x, y, x_dot, y_dot: (None, y_dot))
    with pytest.raises(si.errors.ShapeError):
        si.minimize(loss, si.ImplicitFunction(root()), 4.0, y0=1.0, method="newton-cg")


def test_where_all_trials_fail_the_run_says_so():
    def only_here(x, y):
        return (y[0] if x[0] == 4.0 else np.nan, None, np.ones(1))

    loss = si.TwiceDifferentiable(only_here, lambda x, y, x_dot, y_dot: (None, 0 * y_dot))
    implicit = si.ImplicitFunction(root(), "dense")
    r = si.minimize(loss, implicit, 4.0, y0=1.0, method="newton-cg")
    assert not r.converged
    assert "no loss around the point" in r.message
    tried = len(r.history) - 1
    assert f"{tried} of {tried} trial points could not be solved for" in r.message
    assert "NonFinite: the loss is nan" in r.message
    assert r.x[0] == 4.0
    assert r.value == pytest.approx(2.0)


@pytest.mark.parametrize("last", [1, 3])
def test_a_run_with_failures_is_taken_up_again_to_the_same_bits(tmp_path, last):
    class Killed(Exception):
        pass

    def kill(evaluation):
        if evaluation.evaluation == last:
            raise Killed

    whole = run("state")
    with pytest.raises(Killed):
        run("state", checkpoint=tmp_path, callback=kill)
    resumed = run("state", checkpoint=tmp_path)
    assert resumed.x[0] == whole.x[0]
    assert [e.value for e in resumed.history] == [e.value for e in whole.history]
    assert [e.failure for e in resumed.history] == [e.failure for e in whole.history]


def test_products_before_a_failure_are_counted():
    r = run("state")
    steps = r.history[1:]
    assert [e.work.hessian_products for e in steps] == [e.step.products for e in steps]
    assert sum(w.hessian_products for w in r.work) == sum(e.step.products for e in steps)


def test_the_work_of_a_state_that_was_not_found_is_counted():
    r = run("state")
    failed = [e for e in r.history if e.failure is not None]
    for evaluation in failed:
        assert evaluation.work.state_solves == 1
        assert evaluation.work.adjoint_solves == 0
        assert evaluation.work.newton_iterations > 0
        assert evaluation.work.factorizations > 0
    assert r.work[0].state_solves == len(r.history)
    assert r.work[0].adjoint_solves == len(r.history) - len(failed)
