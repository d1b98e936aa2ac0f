"""Runs of Newton's method over lower-level problems: killed, taken up again, stopped, summed."""

import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si
from sparseimplicit.errors import ConfigError
from tests.reference.functions import Counted

ROSENBROCK = Counted.rosenbrock()
START = np.tile([-3.0, 2.0], 2)
MASS = sparse.csr_array([[4, 1, 0, 0], [1, 4, 1, 0], [0, 1, 4, 1], [0, 0, 1, 4.0]])


def cubic():
    """y + y³/3 = x, parameter by parameter: a nonlinear state, so that factors lag."""
    problem = si.RootProblem(
        residual=lambda x, y: y + y**3 / 3 - x,
        state_jacobian=lambda x, y: sparse.diags_array(1 + y**2).tocsr(),
        parameter_jacobian=lambda x, y: -sparse.eye_array(x.size),
        second_order=lambda x, y, adjoint, x_dot, y_dot: (0 * x, 2 * y * adjoint * y_dot),
    )
    return si.ImplicitFunction(problem, linear_solver="superlu", reuse=False)


valley = si.TwiceDifferentiable(
    lambda x, y: (ROSENBROCK.value(y), None, ROSENBROCK.gradient(y)),
    lambda x, y, x_dot, y_dot: (None, ROSENBROCK.hessian_at(y) @ y_dot),
)
ridge = si.TwiceDifferentiable(
    lambda x, y: (0.5e-3 * (x @ x), 1e-3 * x, 0 * y),
    lambda x, y, x_dot, y_dot: (1e-3 * x_dot, 0 * y),
)


class Killed(Exception):
    pass


def run(folder=None, kill_at=None, **options):
    def callback(evaluation):
        if evaluation.evaluation == kill_at:
            raise Killed

    options = {"method": "newton-cg", "inner": MASS, "gradient_rtol": 1e-10, **options}
    return si.minimize(
        valley, cubic(), START, y0=np.zeros(4), checkpoint=folder, callback=callback, **options
    )


def test_it_converges_and_rejects_on_the_way():
    r = run(stop_rtol=1e-8)
    assert r.converged
    np.testing.assert_allclose(r.solved.y, 1.0, atol=1e-3)
    np.testing.assert_allclose(r.x, 4 / 3, atol=1e-3)
    accepted = [e.step.accepted for e in r.history[1:]]
    assert not any(accepted[i - 1] for i in REJECTED)
    values = [r.history[0].value] + [e.value for e in r.history[1:] if e.step.accepted]
    assert values == sorted(values, reverse=True)


REJECTED = (3, 4, 10)  # evaluations of run() after steps that were not taken


@pytest.mark.parametrize("kill_at", [0, 1, *REJECTED, 5, 99])
@pytest.mark.parametrize("options", [{}, {"bounds": (-4.0, 1.2)}, {"inner": None}])
def test_a_killed_run_resumes_to_the_same_bits(tmp_path, kill_at, options):
    whole = run(**options)
    kill_at = min(kill_at, len(whole.history) - 1)
    with pytest.raises(Killed):
        run(tmp_path, kill_at, **options)
    resumed = run(tmp_path, **options)
    assert resumed.history[kill_at].work is None
    assert kill_at + 1 == len(whole.history) or resumed.history[kill_at + 1].work is not None
    assert [e.value for e in resumed.history] == [e.value for e in whole.history]
    assert [e.step for e in resumed.history] == [e.step for e in whole.history]
    np.testing.assert_array_equal(resumed.x, whole.x)
    np.testing.assert_array_equal(resumed.solved.y, whole.solved.y)


def test_a_resumed_run_repeats_no_product(tmp_path):
    whole = run()
    with pytest.raises(Killed):
        run(tmp_path, 3)
    resumed = run(tmp_path)
    after = sum(e.step.products for e in whole.history[4:])
    assert resumed.work[0].hessian_products == after < whole.work[0].hessian_products


def test_states_that_no_resumed_run_can_ask_for_are_deleted(tmp_path):
    r = run(tmp_path)
    longest = max(len(s) for s in "".join(
        ".x"[not e.step.accepted] for e in r.history[1:]).split("."))  # fmt: skip
    assert len(list(tmp_path.glob("evaluation-*.npz"))) == len(r.history)
    assert len(list(tmp_path.glob("states-*.npz"))) <= longest + 3


@pytest.mark.parametrize("damaged", [*REJECTED, 5])
def test_a_damaged_record_falls_back_to_the_one_before(tmp_path, damaged):
    whole = run(max_iterations=12)
    with pytest.raises(Killed):
        run(tmp_path, damaged, max_iterations=12)
    (tmp_path / f"evaluation-{damaged:04d}.npz").write_bytes(b"")
    resumed = run(tmp_path, max_iterations=12)
    assert resumed.history[damaged - 1].work is None
    assert resumed.history[damaged].work is not None
    np.testing.assert_array_equal(resumed.x, whole.x)


def test_the_checkpoint_of_another_method_is_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(ConfigError, match="its method is 'newton-cg'"):
        run(tmp_path, method="L-BFGS-B")


@pytest.mark.parametrize("options", [{"radius": 0.1}, {"inner": None}, {"gauss_newton": 1}])
def test_the_checkpoint_of_another_run_is_refused(tmp_path, options):
    run(tmp_path, max_iterations=3)
    with pytest.raises(ConfigError, match="another run"):
        run(tmp_path, **options)


@pytest.mark.parametrize("kill_at", [2, 9])
def test_quasi_newton_in_a_matrix_resumes_to_the_same_bits(tmp_path, kill_at):
    options = {"method": "L-BFGS-B", "max_iterations": 200}
    whole = run(**options)
    assert whole.converged
    with pytest.raises(Killed):
        run(tmp_path, kill_at, **options)
    resumed = run(tmp_path, **options)
    assert [e.value for e in resumed.history] == [e.value for e in whole.history]
    np.testing.assert_array_equal(resumed.x, whole.x)


def test_a_callback_can_stop_after_any_evaluation():
    for last in range(5):
        seen = []

        def watch(evaluation, last=last, seen=seen):
            seen.append(evaluation.value)
            if evaluation.evaluation == last:
                raise StopIteration

        r = si.minimize(valley, cubic(), START, y0=np.zeros(4), method="newton-cg", callback=watch)
        assert not r.converged
        assert "callback" in r.message
        assert r.value == min(seen)
        np.testing.assert_allclose(r.solved.y + r.solved.y**3 / 3, r.x, rtol=1e-5)


def test_several_problems_add_up():
    one = run(bounds=(-4, 4), stop_rtol=1e-8)
    both = si.minimize(
        [valley, ridge], [cubic(), cubic()], START, y0=[np.zeros(4), np.ones(4)], inner=MASS,
        method="newton-cg", gradient_rtol=1e-10, stop_rtol=1e-8,
    )  # fmt: skip
    assert both.converged
    assert [s.y.size for s in both.solved] == [4, 4]
    assert both.work[0].hessian_products == both.work[1].hessian_products > 0
    y = both.solved[0].y  # ∇(valley + ridge) = 0, by hand
    np.testing.assert_allclose(ROSENBROCK.gradient(y) / (1 + y**2) + 1e-3 * both.x, 0, atol=1e-5)
    assert one.value < both.value


def test_gauss_newton_leaves_out_the_curvature_of_the_conditions():
    exact, first = run(max_iterations=1, radius=1e-2), run(
        max_iterations=1, radius=1e-2, gauss_newton=5
    )  # fmt: skip
    assert exact.history[1].step.predicted != first.history[1].step.predicted
    assert run(gauss_newton=5).converged


def test_the_checkpoint_of_another_loss_is_refused(tmp_path):
    """The weight of a term changed between runs leaves x0 as it was, and thus all x of the files.

    The minimum of ½ (y − 1)² + ½ a x² with y = 2 x is x = 2 / (4 + a).
    """
    double = si.ImplicitFunction(si.RootProblem(
        residual=lambda x, y: y - 2 * x, state_jacobian=lambda x, y: 1.0,
        parameter_jacobian=lambda x, y: -2.0,
        second_order=lambda x, y, adjoint, x_dot, y_dot: (0 * x, 0 * y),
    ))  # fmt: skip

    def weighted(a, folder, implicit=double, **options):
        loss = si.TwiceDifferentiable(
            lambda x, y: (0.5 * (y[0] - 1) ** 2 + 0.5 * a * x[0] ** 2, a * x, y - 1),
            lambda x, y, x_dot, y_dot: (a * x_dot, y_dot),
        )
        return si.minimize(loss, implicit, 3.0, y0=0.0, checkpoint=folder, **options)

    tripled = si.ImplicitFunction(si.RootProblem(
        residual=lambda x, y: y - 3 * x, state_jacobian=lambda x, y: 1.0,
        parameter_jacobian=lambda x, y: -3.0,
    ))  # fmt: skip
    for i, options in enumerate([{}, {"inner": [2.0]}, {"method": "newton-cg"}]):
        folder = tmp_path / str(i)
        first = weighted(1.0, folder, **options)
        assert first.x[0] == pytest.approx(2 / 5, rel=1e-4)
        with pytest.raises(ConfigError, match=f"(?s){i} .*another loss or problem.*the value"):
            weighted(1.1, folder, **options)
        with pytest.raises(ConfigError, match="another loss or problem"):
            weighted(1.1, folder, stop_rtol=1e-1, **options)
        if "method" not in options:
            with pytest.raises(ConfigError, match="another loss or problem"):
                weighted(1.0, folder, tripled, **options)
        assert weighted(1.0, folder, **options).x[0] == first.x[0]
        assert weighted(1.0, folder, gradient_rtol=1e-12, **options).x[0] == pytest.approx(2 / 5)
