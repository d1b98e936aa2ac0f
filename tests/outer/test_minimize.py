import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si
from sparseimplicit.errors import ConfigError, ShapeError, StructureError
from sparseimplicit.files import write_atomically
from sparseimplicit.outer.checkpoint import Checkpoint


def ridge(data):
    """y = argmin ½‖y − data‖² + ½ exp(x) ‖y‖²: y = data / (1 + exp(x))."""
    n = data.size
    return si.ImplicitFunction(
        si.MinimizationProblem(
            gradient=lambda x, y: y - data + np.exp(x[0]) * y,
            hessian=lambda x, y: (1 + np.exp(x[0])) * sparse.eye_array(n, format="csr"),
            cross_hessian=lambda x, y: np.exp(x[0]) * y,
        ),
        linear_solver="superlu",
    )


def shrunk(data, factor):
    return lambda x, y: (0.5 * np.sum((y - factor * data) ** 2), None, y - factor * data)


DATA = np.random.default_rng(0).standard_normal(50)


def test_closed_form():
    r = si.minimize(shrunk(DATA, 0.25), ridge(DATA), 0.0, y0=DATA, gradient_rtol=1e-10)
    assert r.converged
    assert r.x[0] == pytest.approx(np.log(3), abs=1e-5)
    assert r.value == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(r.solved.y, DATA / 4, rtol=1e-5)
    assert [e.evaluation for e in r.history] == list(range(len(r.history)))


def test_the_scale_of_the_loss_does_not_matter():
    counts = set()
    for scale in (1e-12, 1.0, 1e12):
        plain = shrunk(DATA, 0.25)
        r = si.minimize(
            lambda x, y, s=scale: (s * plain(x, y)[0], None, s * plain(x, y)[2]),  # noqa: B023
            ridge(DATA), 0.0, y0=DATA,
        )  # fmt: skip
        assert r.x[0] == pytest.approx(np.log(3), abs=1e-4)
        counts.add(len(r.history))
    assert len(counts) == 1


def test_bounds_hold():
    r = si.minimize(shrunk(DATA, 0.25), ridge(DATA), 0.0, y0=DATA, bounds=(-1.0, 0.5))
    assert r.x[0] == 0.5
    assert r.converged
    with pytest.raises(ShapeError, match="bounds"):
        si.minimize(shrunk(DATA, 0.25), ridge(DATA), 0.0, y0=DATA, bounds=(1.0, -1.0))


def test_several_problems_share_the_parameter():
    other = 3 * DATA[:20]
    r = si.minimize(
        [shrunk(DATA, 0.25), shrunk(other, 0.25)], [ridge(DATA), ridge(other)], 0.0,
        y0=[DATA, other],
    )  # fmt: skip
    assert r.x[0] == pytest.approx(np.log(3), abs=1e-4)
    assert [s.y.size for s in r.solved] == [50, 20]
    with pytest.raises(ShapeError, match="one loss"):
        si.minimize([shrunk(DATA, 0.25)], [ridge(DATA)] * 2, 0.0, y0=[DATA, DATA])


def test_work_is_counted_by_problem():
    other = 3 * DATA[:20]
    r = si.minimize(
        [shrunk(DATA, 0.25), shrunk(other, 0.25)], [ridge(DATA), ridge(other)], 0.0,
        y0=[DATA, other],
    )  # fmt: skip
    assert len(r.work) == 2
    for work in r.work:
        assert work.state_solves == work.adjoint_solves == len(r.history)
        assert 0 < work.adjoint_residual <= 1e-6
    total = [e.work for e in r.history]
    assert sum(w.factorizations for w in total) == sum(w.factorizations for w in r.work)
    assert sum(w.seconds for w in total) == pytest.approx(sum(w.seconds for w in r.work))


def test_a_constant_loss_stops_at_once():
    r = si.minimize(lambda x, y: (1.0, None, 0 * y), ridge(DATA), 0.0, y0=DATA)
    assert r.converged
    assert len(r.history) == 1


def test_a_callback_can_stop():
    seen = []

    def watch(evaluation):
        seen.append(evaluation.value)
        if len(seen) == 3:
            raise StopIteration

    r = si.minimize(shrunk(DATA, 0.25), ridge(DATA), 0.0, y0=DATA, callback=watch)
    assert len(seen) == 3
    assert not r.converged
    assert r.value == min(seen)
    assert "callback" in r.message


@pytest.mark.parametrize("inner", [None, np.ones(1), np.array([[2.0]])])
def test_a_gradient_of_the_wrong_sign_has_not_converged(inner):
    plain = shrunk(DATA, 0.25)
    wrong = lambda x, y: (plain(x, y)[0], None, -plain(x, y)[2])
    r = si.minimize(wrong, ridge(DATA), 0.0, y0=DATA, inner=inner)
    assert not r.converged
    assert "no longer falls along its gradient, of which 1.0e+00 is left" in r.message
    assert r.kkt_residual == r.history[0].gradient_norm


def test_a_loss_at_its_rounding_level_has_not_converged():
    plain = shrunk(DATA, 0.25)
    raised = lambda x, y: (1e9 + plain(x, y)[0], None, plain(x, y)[2])
    r = si.minimize(raised, ridge(DATA), 0.0, y0=DATA, stop_rtol=1e-8)
    assert not r.converged
    assert "no better than gradient_rtol" in r.message
    left = r.kkt_residual / r.history[0].gradient_norm
    assert left > 1e-8


@pytest.mark.parametrize("stop_rtol", [1e-2, 1e-5, 1e-8])
@pytest.mark.parametrize("inner", [None, np.full(1, 3.0)])
def test_converged_means_that_the_gradient_has_fallen(stop_rtol, inner):
    options = {"inner": inner, "stop_rtol": stop_rtol, "gradient_rtol": 1e-12}
    r = si.minimize(shrunk(DATA, 0.25), ridge(DATA), -1.0, y0=DATA, **options)
    assert r.converged
    assert r.kkt_residual <= stop_rtol * r.history[0].gradient_norm


def test_iterations_used_up_have_not_converged():
    for inner in (None, np.full(1, 3.0), np.array([[3.0]])):
        r = si.minimize(shrunk(DATA, 0.25), ridge(DATA), -1.0, y0=DATA, inner=inner,
                        max_iterations=1)  # fmt: skip
        assert not r.converged
        assert r.message == "max_iterations were made"


def test_an_unknown_method_is_refused():
    with pytest.raises(ConfigError, match="L-BFGS-B"):
        si.minimize(shrunk(DATA, 0.25), ridge(DATA), 0.0, y0=DATA, method="adam")


class Killed(Exception):
    pass


def run(folder=None, kill_at=None):
    def callback(evaluation):
        if evaluation.evaluation == kill_at:
            raise Killed

    return si.minimize(
        shrunk(DATA, 0.25), ridge(DATA), -2.0, y0=DATA, checkpoint=folder, callback=callback
    )


@pytest.mark.parametrize("kill_at", [0, 1, 3, 5])
def test_a_killed_run_resumes_to_the_same_bits(tmp_path, kill_at):
    whole = run()
    with pytest.raises(Killed):
        run(tmp_path, kill_at)
    resumed = run(tmp_path)
    assert resumed.history[kill_at].work is None
    assert resumed.history[-1].work is not None
    np.testing.assert_array_equal(resumed.x, whole.x)
    assert [e.value for e in resumed.history] == [e.value for e in whole.history]
    np.testing.assert_array_equal(resumed.solved.y, whole.solved.y)


class _Mine(si.linear.SuperLU):
    name = "a solver that no registry knows"


def test_a_run_with_a_solver_object_resumes(tmp_path):
    def start(callback=None):
        implicit = si.ImplicitFunction(ridge(DATA).problem, linear_solver=_Mine())
        loss = shrunk(DATA, 0.25)
        return si.minimize(loss, implicit, -2.0, y0=DATA, checkpoint=tmp_path, callback=callback)

    def kill(evaluation):
        if evaluation.evaluation == 2:
            raise Killed

    with pytest.raises(Killed):
        start(kill)
    assert start().x[0] == pytest.approx(np.log(3), abs=1e-4)


def test_a_damaged_checkpoint_falls_back_to_the_evaluation_before(tmp_path):
    whole = run()
    with pytest.raises(Killed):
        run(tmp_path, 4)
    last = tmp_path / "evaluation-0004.npz"
    raw = bytearray(last.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    last.write_bytes(raw)
    (tmp_path / "states-0003.npz").write_bytes(b"")
    assert len(Checkpoint(tmp_path).load()) < 5
    np.testing.assert_array_equal(run(tmp_path).x, whole.x)


def test_the_checkpoint_of_another_run_is_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(ConfigError, match="another run"):
        si.minimize(shrunk(DATA, 0.25), ridge(DATA), 1.0, y0=DATA, checkpoint=tmp_path)


def test_a_failing_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "file"
    write_atomically(target, lambda file: file.write(b"old"))

    def fails(file):
        file.write(b"new")
        raise OSError(28, "No space left on device")

    with pytest.raises(ConfigError, match="No space left"):
        write_atomically(target, fails)
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_loss_of_coarse_states_falls_as_its_gradient_says():
    """Where the loss is flat, a state's error of 1e-6 is more of it than a step lowers it by."""
    x = np.linspace(0, 1, 64)
    data = np.sign(np.sin(9 * x)) + np.random.default_rng(1).standard_normal(64)
    rough = sparse.csr_array(np.diff(np.eye(64), axis=0))

    def gradient(x, y):
        d = rough @ y
        return y - data + np.exp(x[0]) * (rough.T @ (d / np.sqrt(d**2 + 1e-2)))

    def hessian(x, y):
        w = 1e-2 / ((rough @ y) ** 2 + 1e-2) ** 1.5
        return (sparse.eye_array(64) + np.exp(x[0]) * (rough.T @ sparse.diags_array(w) @ rough)
                ).tocsc()  # fmt: skip

    smooth = si.ImplicitFunction(
        si.MinimizationProblem(
            gradient=gradient, hessian=hessian, cross_hessian=lambda x, y: gradient(x, y) - y + data
        ),
        linear_solver="superlu",
    )
    truth = np.sign(np.sin(9 * x))
    loss = lambda x, y: (0.5 * np.sum((y - truth) ** 2), None, y - truth)
    r = si.minimize(loss, smooth, -1.0, y0=data, gradient_rtol=1e-3, stop_rtol=1e-5)
    fine = si.minimize(loss, smooth, -1.0, y0=data, gradient_rtol=1e-10, stop_rtol=1e-5)
    assert r.converged
    assert len(r.history) <= len(fine.history) + 3
    assert r.value == pytest.approx(fine.value, rel=1e-5)


def test_what_is_no_implicit_function_is_refused():
    with pytest.raises(StructureError, match=r"holds a object[\s\S]*Trajectory\.gradient"):
        si.minimize(lambda x, y: 0, object(), 1.0)


@pytest.mark.parametrize(
    ("returned", "says"), [((1 + 1j, None, 1.0), "real number"), ((1.0, 1.0, None), "L_y is None")]
)
def test_what_a_loss_should_not_return_is_told(returned, says):
    identity = si.ImplicitFunction(si.RootProblem(
        residual=lambda x, y: y - x, state_jacobian=lambda x, y: 1.0,
        parameter_jacobian=lambda x, y: -1.0,
    ))  # fmt: skip
    with pytest.raises(ShapeError, match=says):
        si.minimize(lambda x, y: returned, identity, 1.0, y0=0.0)
