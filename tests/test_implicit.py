"""The spine: Newton, solved states, their derivatives, and how often they factorize."""

import dataclasses

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

import sparseimplicit as si
from sparseimplicit.errors import (
    MemoryBudgetExceeded,
    NonFinite,
    NotConverged,
    NotPositiveDefinite,
    ShapeError,
    SingularSystem,
    StructureError,
)
from sparseimplicit.linear import CG, Operator, Structure, SuperLU
from sparseimplicit.verify.zoo import laplacian


def scalar_problem():
    """y³ + y = x: one unknown, one parameter, all callables return numbers."""
    return si.RootProblem(
        residual=lambda x, y: y[0] ** 3 + y[0] - x[0],
        state_jacobian=lambda x, y: 3 * y[0] ** 2 + 1,
        parameter_jacobian=lambda x, y: -1.0,
    )


def charbonnier(n=400, seed=0):
    """A convex chain: g = ½‖y − f‖² + Σ exp(x) √((Dy)² + 0.01), n_y = n, n_x = 1."""
    f = np.cumsum(np.random.default_rng(seed).standard_normal(n))
    d = sparse.diags_array([-np.ones(n - 1), np.ones(n - 1)], offsets=[0, 1], shape=(n - 1, n))

    def root(y):
        return np.sqrt((d @ y) ** 2 + 0.01)

    return si.MinimizationProblem(
        objective=lambda x, y: 0.5 * np.sum((y - f) ** 2) + np.exp(x[0]) * root(y).sum(),
        gradient=lambda x, y: y - f + np.exp(x[0]) * d.T @ ((d @ y) / root(y)),
        hessian=lambda x, y: sparse.csr_array(
            sparse.eye_array(n) + np.exp(x[0]) * d.T @ sparse.diags_array(0.01 / root(y) ** 3) @ d
        ),
        cross_hessian=lambda x, y: np.exp(x[0]) * d.T @ ((d @ y) / root(y)),
    ), f


def tracking_loss(f):
    target = np.convolve(f, np.ones(9) / 9, mode="same")
    return lambda x, y: (0.5 * np.sum((y - target) ** 2), None, y - target)


SOLVERS = ["auto", "superlu", "dense", "cg+jacobi", "cg+amg", "minres+jacobi", "gmres+ilu"]


def test_one_variable():
    solved = si.ImplicitFunction(scalar_problem()).solve(10.0, y0=1.0)
    assert solved.y[0] == pytest.approx(2.0, rel=1e-12)
    assert solved.jacobian()[0, 0] == pytest.approx(1 / 13, rel=1e-9)
    assert solved.vjp(1.0)[0] == pytest.approx(1 / 13, rel=1e-9)
    assert si.verify.duality(solved).error < 1e-10
    loss = lambda x, y: (y[0] ** 2, None, 2 * y[0])
    table = si.verify.taylor(si.ImplicitFunction(scalar_problem()), loss, 10.0, y0=1.0)
    assert 1.9 < table.slope < 2.1


@pytest.mark.parametrize("solver", ["auto", "superlu", "dense", "gmres", "gmres+ilu", "gmres+amg"])
def test_a_nonsymmetric_root_problem(transport, transport_x, tracking, solver):
    implicit = si.ImplicitFunction(transport, linear_solver=solver)
    y0 = np.zeros(48)
    assert 1.9 < si.verify.taylor(implicit, tracking, transport_x, y0=y0).slope < 2.1
    assert si.verify.duality(implicit.solve(transport_x, y0)).error < 1e-10


@pytest.mark.parametrize("solver", SOLVERS)
def test_an_argmin(solver):
    problem, f = charbonnier()
    implicit = si.ImplicitFunction(problem, linear_solver=solver)
    table = si.verify.taylor(implicit, tracking_loss(f), 0.5, y0=f)
    assert 1.9 < table.slope < 2.1
    assert si.verify.duality(implicit.solve(0.5, f)).error < 1e-10


def test_products_alone_give_the_same_gradient():
    problem, f = charbonnier()
    loss = tracking_loss(f)
    exact = si.hypergradient(loss, si.ImplicitFunction(problem, "dense").solve(0.5, f))
    for precondition in (False, True):
        hidden = si.MinimizationProblem(
            objective=problem.objective,
            gradient=problem.gradient,
            hessian=lambda x, y, p=precondition: Operator(
                aslinearoperator(problem.hessian(x, y)),
                Structure.POSITIVE_DEFINITE,
                precondition_from=problem.hessian(x, y) if p else None,
            ),
            cross_hessian=problem.cross_hessian,
        )
        found = si.hypergradient(loss, si.ImplicitFunction(hidden).solve(0.5, f))
        np.testing.assert_allclose(found.gradient, exact.gradient, rtol=1e-6)


def test_the_jacobian_from_either_side_equals_dense_algebra(transport, transport_x):
    solved = si.ImplicitFunction(transport).solve(transport_x, np.zeros(48), rtol=1e-12)
    a = transport.state_jacobian(solved.x, solved.y).toarray()
    b = transport.parameter_jacobian(solved.x, solved.y).toarray()
    exact = -np.linalg.solve(a, b)
    np.testing.assert_allclose(solved.jacobian(rtol=1e-12), exact, atol=1e-10)
    operator = solved.jacobian(as_operator=True, rtol=1e-12)
    np.testing.assert_allclose(operator @ np.eye(7), exact, atol=1e-10)
    np.testing.assert_allclose(operator.T @ np.eye(48), exact.T, atol=1e-10)

    wide = si.RootProblem(  # n_x = 100 > n_y = 48: solved from the left
        residual=lambda x, y: 2 * y - x[:48] * x[52:],
        state_jacobian=lambda x, y: 2 * sparse.eye_array(48),
        parameter_jacobian=lambda x, y: (
            -sparse.hstack(
                [sparse.diags_array(x[52:]), sparse.csr_array((48, 4)), sparse.diags_array(x[:48])]
            )
        ),
    )
    x = np.random.default_rng(0).standard_normal(100)
    state = si.ImplicitFunction(wide).solve(x, np.zeros(48))
    np.testing.assert_allclose(
        state.jacobian(), -wide.parameter_jacobian(x, None).toarray() / 2 * 1.0, atol=1e-9
    )


def test_a_jacobian_larger_than_memory_is_refused(monkeypatch, transport, transport_x):
    solved = si.ImplicitFunction(transport).solve(transport_x, np.zeros(48))
    monkeypatch.setattr("sparseimplicit.implicit.available_bytes", lambda: 1000)
    with pytest.raises(MemoryBudgetExceeded, match="as_operator"):
        solved.jacobian()


class TestCounts:
    """Factorizations and calls, not seconds."""

    def test_the_adjoint_needs_no_second_factorization(self):
        problem, f = charbonnier()
        solved = si.ImplicitFunction(problem, linear_solver="superlu", reuse=False).solve(0.5, f)
        h = si.hypergradient(tracking_loss(f), solved)
        assert solved.report.factorizations == solved.report.iterations > 1
        assert h.report.preparation.factorizations == 0
        assert 1 <= h.report.adjoint.iterations <= 6
        assert h.report.adjoint.residual <= 1e-8

    def test_a_linear_problem_is_factorized_once_for_everything(self):
        a = laplacian(20, 20, 0.1)
        problem = si.RootProblem(
            residual=lambda x, y: a @ y - x,
            state_jacobian=lambda x, y: a,
            parameter_jacobian=lambda x, y: -sparse.eye_array(400),
        )
        solved = si.ImplicitFunction(problem, "superlu").solve(np.ones(400), np.zeros(400))
        solved.vjp(np.ones(400))
        solved.jvp(np.ones((400, 3)))
        assert solved.report.factorizations == 1
        assert solved.preparation is None
        assert solved.system.operator.entries is not None

    @pytest.mark.parametrize("solver", ["superlu", "cg+amg"])
    def test_a_problem_declared_linear_is_one_solve_and_one_jacobian(self, solver):
        a, asked = laplacian(20, 20, 0.1), []
        problem = si.RootProblem(
            residual=lambda x, y: a @ y - x,
            state_jacobian=lambda x, y: asked.append(y) or a,
            parameter_jacobian=lambda x, y: -sparse.eye_array(400),
            linear=True,
        )
        x, start = np.linspace(-1, 2, 400), np.cos(np.arange(400.0))
        for y0 in (start, np.zeros(400), 1e-9 * start + np.linalg.solve(a.toarray(), x)):
            asked.clear()
            solved = si.ImplicitFunction(problem, solver).solve(x, y0, rtol=1e-11)
            assert np.linalg.norm(a @ solved.y - x) <= 1e-11 * np.linalg.norm(x)
            assert solved.report.iterations == len(asked) == 1
            lam = solved.adjoint(start, rtol=1e-11).value
            np.testing.assert_allclose(a.T @ lam, start, atol=1e-9)
        again = si.ImplicitFunction(problem, solver).solve(x, solved.y, rtol=1e-10)
        assert again.report.iterations == 0

    def test_a_problem_that_is_not_linear_is_found_out(self):
        problem = dataclasses.replace(scalar_problem(), linear=True)
        with pytest.raises(StructureError, match="declared linear"):
            si.ImplicitFunction(problem).solve(10.0, y0=1.0)

    def test_a_lagged_factor_that_is_too_far_off_gives_way_and_it_is_said(self, monkeypatch):
        monkeypatch.setattr("sparseimplicit.state_system.LAGGED_ITERATIONS", 1)
        problem, f = charbonnier()
        implicit = si.ImplicitFunction(problem, linear_solver="superlu")
        solved = implicit.solve(3.0, f, rtol=1e-2)  # loose: the last step is far from the solution
        h = si.hypergradient(tracking_loss(f), solved, rtol=1e-12)
        assert h.report.adjoint.solver == "superlu"
        assert "'cg+lagged' failed" in h.report.adjoint.because
        assert h.report.adjoint.residual <= 1e-12

    def test_k_cotangents_are_one_solve(self, monkeypatch):
        problem, f = charbonnier()
        solved = si.ImplicitFunction(problem, linear_solver="superlu").solve(0.5, f)
        calls = []
        inner = si.linear.PreparedSystem.solve_adjoint
        monkeypatch.setattr(
            si.linear.PreparedSystem,
            "solve_adjoint",
            lambda self, b, **kw: calls.append(np.shape(b)) or inner(self, b, **kw),
        )
        solved.vjp(np.eye(400)[:, :7])
        assert calls == [(400, 7)]

    def test_a_start_takes_fewer_steps(self):
        problem, f = charbonnier()
        implicit = si.ImplicitFunction(problem)
        cold = implicit.solve(0.5, f)
        near = implicit.solve(0.501, start=cold)
        assert near.report.iterations < cold.report.iterations
        again = implicit.solve(0.5, start=cold)
        assert again.report.iterations == 0
        assert again.report.because == cold.report.because or "given" in again.report.because


def test_an_error_estimate_is_about_the_true_error():
    problem, f = charbonnier()
    implicit = si.ImplicitFunction(problem, linear_solver="cg+jacobi")
    exact = si.hypergradient(tracking_loss(f), implicit.solve(0.5, f, rtol=1e-13), rtol=1e-13)
    for rtol in (1e-3, 1e-4, 1e-5):
        rough = si.hypergradient(
            tracking_loss(f), implicit.solve(0.5, f, rtol=rtol), rtol=rtol, estimate_error=True
        )
        true = np.linalg.norm(rough.gradient - exact.gradient)
        assert 0.5 * true <= rough.error <= 2 * true + 1e-9


def test_a_forward_solver_of_ones_own():
    problem, f = charbonnier()
    calls = []

    def forward(x, y0):
        calls.append(x)
        return si.ImplicitFunction(problem).solve(x, y0, rtol=1e-10).y

    solved = si.ImplicitFunction(problem, "superlu", forward).solve(0.5, f)
    built_in = si.ImplicitFunction(problem, "superlu").solve(0.5, f, rtol=1e-10)
    y_bar = np.cos(np.arange(400))
    np.testing.assert_allclose(solved.vjp(y_bar), built_in.vjp(y_bar), rtol=1e-7)
    assert len(calls) == 1
    with pytest.raises(NotConverged, match="forward"):
        si.ImplicitFunction(problem, forward=lambda x, y0: y0).solve(0.5, f)
    with pytest.raises(ShapeError, match=r"forward\(x, y0\)"):
        si.ImplicitFunction(problem, forward=lambda x, y0: y0[:-1]).solve(0.5, f)


def double_well():
    """g = Σ (y² − 1)²/4 − x y: indefinite between the wells."""
    n = 6
    return si.MinimizationProblem(
        objective=lambda x, y: np.sum((y**2 - 1) ** 2 / 4 - x * y),
        gradient=lambda x, y: y * (y**2 - 1) - x,
        hessian=lambda x, y: sparse.diags_array(3 * y**2 - 1),
        cross_hessian=lambda x, y: -sparse.eye_array(n),
    )


@pytest.mark.parametrize("solver", ["auto", "dense", "cg", "cg+jacobi", "cholmod"])
def test_negative_curvature_is_left_behind_and_reported(solver):
    if solver == "cholmod":
        pytest.importorskip("sksparse", reason="scikit-sparse is not installed")
    y0 = np.array([0.1, -0.1, 0.3, 1.5, -0.4, 0.05])
    solved = si.ImplicitFunction(double_well(), linear_solver=solver).solve(np.full(6, 0.01), y0)
    assert (3 * solved.y**2 - 1 > 0).all()  # a minimiser
    report = solved.report
    assert report.negative_curvature_steps + report.shifted_steps > 0
    assert (report.largest_shift > 0) == (report.shifted_steps > 0)


def test_a_saddle_is_no_argmin_unless_declared():
    x, saddle = np.zeros(6), np.zeros(6)
    implicit = si.ImplicitFunction(double_well(), linear_solver="dense")
    solved = implicit.solve(x, saddle)  # the gradient vanishes there
    with pytest.raises(NotPositiveDefinite, match="not positive definite"):
        solved.vjp(np.ones(6))
    problem = double_well()
    declared = si.MinimizationProblem(
        gradient=problem.gradient,
        hessian=problem.hessian,
        cross_hessian=problem.cross_hessian,
        structure=Structure.SYMMETRIC,
    )
    solved = si.ImplicitFunction(declared).solve(x, saddle)
    np.testing.assert_allclose(solved.vjp(np.ones(6)), -1.0, atol=1e-12)


def test_non_convergence_keeps_the_best_state_and_says_why():
    problem, f = charbonnier()
    implicit = si.ImplicitFunction(problem, linear_solver="superlu", max_iterations=2)
    with pytest.raises(NotConverged, match="2 iterations were not enough") as caught:
        implicit.solve(3.0, f)
    assert caught.value.best.shape == f.shape
    assert caught.value.report.iterations == 2
    assert "ImplicitFunction.solve" in str(caught.value)


def test_no_root_is_an_error():
    problem = si.RootProblem(  # y² + 1 = x has no root at x = 0
        residual=lambda x, y: y**2 + 1 - x,
        state_jacobian=lambda x, y: 2 * y,
        parameter_jacobian=lambda x, y: -1.0,
    )
    with pytest.raises((NotConverged, SingularSystem)):
        si.ImplicitFunction(problem).solve(0.0, 1.3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"gradient": lambda x, y: y[:-1]}, ShapeError, r"gradient\(x, y\) has shape"),
        ({"gradient": lambda x, y: None}, ShapeError, "returned None"),
        ({"gradient": lambda x, y: y * np.nan}, NonFinite, r"gradient\(x, y\) is nan at index 0"),
        ({"hessian": lambda x, y: sparse.eye_array(3)}, ShapeError, r"hessian\(x, y\) has shape"),
        ({"hessian": lambda x, y: sparse.eye_array(400) * np.inf}, NonFinite, r"hessian\(x, y\)"),
        ({"objective": lambda x, y: y}, ShapeError, "objective"),
        (
            {"cross_hessian": lambda x, y: np.ones((1, 400))},
            ShapeError,
            "rows y and columns x",
        ),
    ],
)
def test_a_callable_that_returns_rubbish_is_named(change, error, message):
    problem, f = charbonnier()
    fields = {name: getattr(problem, name) for name in problem.__dataclass_fields__}
    broken = si.MinimizationProblem(**{**fields, **change})
    with pytest.raises(error, match=message):
        si.ImplicitFunction(broken, "superlu").solve(0.5, f).vjp(f)


def test_callables_cannot_change_the_state():
    def meddling(x, y):
        y[0] = 7.0
        return y

    problem = si.RootProblem(
        residual=meddling,
        state_jacobian=lambda x, y: sparse.eye_array(3),
        parameter_jacobian=lambda x, y: sparse.eye_array(3),
    )
    with pytest.raises(ValueError, match="read-only"):
        si.ImplicitFunction(problem).solve(np.ones(3), np.ones(3))


def test_bad_arguments():
    problem, f = charbonnier()
    implicit = si.ImplicitFunction(problem)
    with pytest.raises(ShapeError, match="first guess"):
        implicit.solve(0.5)
    with pytest.raises(NonFinite, match="y0"):
        implicit.solve(0.5, np.full(400, np.nan))
    with pytest.raises(NonFinite, match="x is"):
        implicit.solve(np.inf, f)
    with pytest.raises(ShapeError, match="rtol"):
        implicit.solve(0.5, f, rtol=-1)
    with pytest.raises(ShapeError, match="ravel"):
        implicit.solve(np.ones((2, 2)), f)


def test_the_solver_itself_may_be_given():
    problem, f = charbonnier()
    solver = CG(max_iterations=3000)
    solved = si.ImplicitFunction(problem, linear_solver=solver).solve(0.5, f)
    assert solved.report.linear_solver == "cg"
    assert solved.report.because == "given"
    assert isinstance(SuperLU().prepare(laplacian(3, 3, 1.0)).solver, SuperLU)


def test_reports_print():
    problem, f = charbonnier()
    solved = si.ImplicitFunction(problem, "superlu").solve(0.5, f)
    h = si.hypergradient(tracking_loss(f), solved)
    assert "factorizations" in str(solved.report)
    assert h.report.to_dict()["adjoint"]["transposed"] is True
    assert "residual" in repr(solved)
