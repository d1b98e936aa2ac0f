"""Trajectories and their derivatives against dense algebra and the complex step."""

import numpy as np
import pytest
from scipy import sparse
from scipy.linalg import expm

from sparseimplicit import errors, pde
from tests.reference import evolution as reference

SCHEMES = ("implicit-euler", "crank-nicolson", "midpoint", "bdf2")


def stepping(scheme, **settings):
    return pde.TimeStepping(
        reference.evolution(), reference.TIMES, reference.INITIAL,
        scheme=scheme, linear_solver="superlu", **settings,
    )  # fmt: skip


def decay(times, scheme, rate=None, **settings):
    """y' = −K y, with K a nonsymmetric matrix, from a fixed state."""
    k = reference.K
    r = pde.Evolution(
        mass=sparse.eye_array(7),
        residual=lambda t, x, y: k @ y,
        state_jacobian=rate or (lambda t, x, y: sparse.csr_array(k)),
        parameter_jacobian=lambda t, x, y: np.zeros((7, 1)),
        **settings,
    )
    return pde.TimeStepping(r, times, reference.OFFSET, scheme=scheme, linear_solver="superlu")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_states_gradient_and_tangent_are_the_dense_ones(scheme):
    trajectory = stepping(scheme).solve(reference.X, rtol=1e-13)
    states = np.array([y for _, _, y in trajectory.states()])
    np.testing.assert_allclose(states, reference.march(scheme, reference.X), atol=1e-12)
    h = trajectory.gradient(reference.Loss(), rtol=1e-13)
    assert h.value == pytest.approx(reference.total(scheme, reference.X), rel=1e-12)
    np.testing.assert_allclose(h.gradient, reference.gradient(scheme, reference.X), rtol=1e-11)
    direction = np.random.default_rng(5).standard_normal(reference.N_X)
    exact = reference.march(scheme, reference.X + 1e-30j * direction).imag / 1e-30
    np.testing.assert_allclose(trajectory.jvp(direction), exact, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_tangents_and_cotangents_pair(scheme):
    rng = np.random.default_rng(6)
    trajectory = stepping(scheme).solve(reference.X)
    x_dot = rng.standard_normal((reference.N_X, 2))
    y_bars = rng.standard_normal((reference.TIMES.size, reference.N_Y, 3))
    through_states = np.einsum("kip,kiq->pq", trajectory.jvp(x_dot), y_bars)
    np.testing.assert_allclose(x_dot.T @ trajectory.vjp(y_bars), through_states, rtol=1e-9)


@pytest.mark.parametrize(("scheme", "order"), [("implicit-euler", 1), ("crank-nicolson", 2),
                                               ("midpoint", 2), ("bdf2", 2)])  # fmt: skip
def test_order_on_uneven_steps(scheme, order):
    """Against the matrix exponential, on grids whose neighbouring steps differ by a factor of 2."""
    misses = []
    for n in (40, 80):
        lengths = np.tile([1.0, 2.0, 1.5, 3.0], n // 4)
        times = np.append(0.0, np.cumsum(lengths / lengths.sum()))
        y = decay(times, scheme, linear=True).solve(0.0).y
        misses.append(np.linalg.norm(y - expm(-reference.K) @ reference.OFFSET))
    assert order - 0.1 < np.log2(misses[0] / misses[1]) < order + 0.25


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize(("scheme", "needed"), [("crank-nicolson", 1), ("bdf2", 2)])
def test_constant_operators_need_one_factorization(scheme, needed, linear):
    """BDF2's first step has a matrix of its own. Declared linear or not, the count is the same."""
    trajectory = decay(np.linspace(0.0, 0.7, 31), scheme, linear=linear).solve(0.0)
    h = trajectory.gradient(lambda x, k, t, y: (0.5 * y @ y, None, y))
    assert h.report.factorizations == needed
    assert h.report.solves == h.report.adjoint_solves == 30
    assert h.report.newton_iterations == h.report.recomputed_steps == 0


def test_every_length_of_steps_has_its_factor_and_the_next_x_takes_them_over():
    times = np.append(0.0, np.cumsum(np.tile([0.1, 0.05], 6)))
    chain = decay(times, "implicit-euler", linear=True)
    first = chain.solve(0.0)
    assert first.report.factorizations == 2
    again = chain.solve(1.0, start=first)
    assert again.report.factorizations == 0
    np.testing.assert_array_equal(again.y, first.y)


def test_a_matrix_changed_in_place_is_noticed():
    held = sparse.csr_array(reference.K)

    def changing(t, x, y):
        held.data[:] = (1.0 + t) * reference.K[reference.K != 0]
        return held

    r = pde.Evolution(
        mass=sparse.eye_array(7),
        residual=lambda t, x, y: (1.0 + t) * (reference.K @ y),
        state_jacobian=changing,
        parameter_jacobian=lambda t, x, y: np.zeros((7, 7)),
    )
    initial = pde.Dependent.affine(sparse.eye_array(7))
    trajectory = pde.TimeStepping(r, np.linspace(0, 1, 6), initial, linear_solver="superlu").solve(
        reference.OFFSET
    )
    assert trajectory.report.factorizations == 5
    assert trajectory.report.newton_iterations == 0
    y = reference.OFFSET
    matrices = [np.eye(7) + 0.2 * (1.0 + t) * reference.K for t in np.linspace(0, 1, 6)[1:]]
    for matrix in matrices:
        y = np.linalg.solve(matrix, y)
    np.testing.assert_allclose(trajectory.y, y, rtol=1e-9)
    bars = np.zeros((6, 7))
    bars[5] = np.arange(7.0)
    y_bar = bars[5]
    for matrix in reversed(matrices):
        y_bar = np.linalg.solve(matrix.T, y_bar)
    np.testing.assert_allclose(trajectory.vjp(bars), y_bar, rtol=1e-9)


def test_a_wrong_declaration_of_linearity_is_an_error():
    r = reference.evolution(linear=True)
    chain = pde.TimeStepping(r, reference.TIMES, reference.INITIAL, linear_solver="superlu")
    with pytest.raises(errors.StructureError, match="declared linear") as caught:
        chain.solve(reference.X)
    assert "step 1 of 8" in str(caught.value)


def test_a_step_that_fails_says_which_and_how():
    """y' = y² blows up at t = 1; implicit Euler's quadratic has no root from y h > ¼ on."""
    r = pde.Evolution(
        mass=sparse.eye_array(2), residual=lambda t, x, y: -(y**2),
        state_jacobian=lambda t, x, y: sparse.diags_array(-2.0 * y),
        parameter_jacobian=lambda t, x, y: np.zeros((2, 1)),
    )  # fmt: skip
    chain = pde.TimeStepping(r, np.linspace(0, 2, 21), np.ones(2), linear_solver="superlu")
    with pytest.raises(errors.SparseImplicitError, match=r"step \d+ of 20, t = ") as caught:
        chain.solve(1.0)
    assert "‖c‖" in str(caught.value)


@pytest.mark.parametrize("times", [[0.0], [0.0, 1.0, 1.0], [0.0, np.nan]])
def test_times_must_rise(times):
    with pytest.raises((errors.ShapeError, errors.NonFinite), match="times"):
        decay(times, "bdf2")


def test_autonomous_evolution_of_a_problem_decays_to_its_state(transport, transport_x):
    import sparseimplicit as si

    y0 = np.zeros(48)
    still = si.ImplicitFunction(transport, "superlu").solve(transport_x, y0)
    r = pde.Evolution.autonomous(sparse.eye_array(48), transport)
    chain = pde.TimeStepping(r, np.geomspace(1e-2, 1e4, 12), y0, linear_solver="superlu")
    np.testing.assert_allclose(chain.solve(transport_x).y, still.y, atol=1e-5)


def test_controls_that_act_at_their_own_time():
    """One number a step, by `Columns`: the gradient equals that with the full matrix."""
    times = np.linspace(0.0, 1.0, 9)
    b = np.arange(1.0, 8.0)[:, None]

    def at(t):
        return int(np.searchsorted(times, t)) - 1

    def build(jacobian):
        r = pde.Evolution(
            mass=sparse.eye_array(7), residual=lambda t, x, y: reference.K @ y - b[:, 0] * x[at(t)],
            state_jacobian=lambda t, x, y: sparse.csr_array(reference.K),
            parameter_jacobian=jacobian, linear=True,
        )  # fmt: skip
        chain = pde.TimeStepping(r, times, np.zeros(7), linear_solver="superlu")
        return chain.solve(np.sin(np.arange(8.0)))

    def whole(t, x, y):
        full = np.zeros((7, 8))
        full[:, at(t)] = -b[:, 0]
        return full

    loss = lambda x, k, t, y: (0.5 * y @ y, None, y)
    one = build(lambda t, x, y: pde.Columns(-b, at(t)))
    two = build(whole)
    gradients = [each.gradient(loss).gradient for each in (one, two)]
    np.testing.assert_allclose(*gradients, rtol=1e-14)
    np.testing.assert_array_equal(one.jvp(np.ones(8)), two.jvp(np.ones(8)))
    with pytest.raises(errors.ShapeError, match="columns"):
        build(lambda t, x, y: pde.Columns(-b, 8)).gradient(loss)


def test_time_tracking_is_what_it_says():
    rng = np.random.default_rng(11)
    q, r = (m @ m.T for m in (rng.standard_normal((3, 3)), rng.standard_normal((2, 2))))
    x, y, x_dot, y_dot = (rng.standard_normal(n) for n in (2, 3, 2, 3))
    d, w = rng.standard_normal((5, 3)), np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    for target in (d, d[4], lambda t: d[4]):
        loss = pde.TimeTracking(w, q, target, r)
        value, l_x, l_y = loss(x, 4, 0.5, y)
        assert value == pytest.approx(2.0 * (y - d[4]) @ q @ (y - d[4]) + 0.5 * x @ r @ x)
        np.testing.assert_allclose(l_x, r @ x)
        np.testing.assert_allclose(l_y, 4.0 * q @ (y - d[4]))
        in_x, in_y = loss.second_order(x, 4, 0.5, y, x_dot, y_dot)
        np.testing.assert_allclose(in_x, r @ x_dot)
        np.testing.assert_allclose(in_y, 4.0 * q @ y_dot)
        assert loss(x, 0, 0.0, y) == (0.0, None, None)
    with pytest.raises(errors.ShapeError, match="target"):
        pde.TimeTracking(w, q, d[:4])


@pytest.mark.parametrize("linear", [True, False])
def test_jacobians_of_products_alone(linear):
    """Declared constant, its system is found again; else never, as one object may hide many."""
    from scipy.sparse.linalg import aslinearoperator

    k = sparse.csr_array(reference.K)

    def build(jacobian):
        r = pde.Evolution(
            mass=sparse.eye_array(7), residual=lambda t, x, y: k @ y - reference.B @ x,
            state_jacobian=jacobian, parameter_jacobian=lambda t, x, y: -reference.B, linear=linear,
        )  # fmt: skip
        return pde.TimeStepping(
            r, np.linspace(0, 1, 6), reference.OFFSET,
            linear_solver="gmres" if jacobian is products else "superlu",
        ).solve(reference.X)  # fmt: skip

    held = aslinearoperator(k)
    products = lambda t, x, y: held
    one, two = build(products), build(lambda t, x, y: k)
    loss = pde.TimeTracking(np.ones(6), sparse.eye_array(7))
    gradients = [each.gradient(loss) for each in (one, two)]
    np.testing.assert_allclose(*(g.gradient for g in gradients), rtol=1e-7)
    assert (gradients[0].report.found > 0) == linear


def test_a_loss_of_another_trajectory_is_named():
    n_t, n_y, n_x = reference.TIMES.size, reference.N_Y, reference.N_X
    trajectory = stepping("midpoint").solve(reference.X)
    q, r = sparse.eye_array(n_y), sparse.eye_array(n_x)
    for use in (trajectory.gradient, trajectory.hessian):
        for weights in (np.ones(n_t - 1), np.ones(n_t + 3)):
            with pytest.raises(errors.ShapeError, match=f"has {weights.size} .*are {n_t} times"):
                use(pde.TimeTracking(weights, q))
        with pytest.raises(errors.ShapeError, match=f"for 9 unknowns; the state has {n_y}"):
            use(pde.TimeTracking(np.ones(n_t), sparse.eye_array(9)))
        with pytest.raises(errors.ShapeError, match=f"for {n_y} parameters; there are {n_x}"):
            use(pde.TimeTracking(np.ones(n_t), q, control=q))
        with pytest.raises(errors.StructureError, match="is a callable"):
            use(3.0)
        use(pde.TimeTracking(np.ones(n_t), q, control=r))
    with pytest.raises(errors.NonFinite, match="target"):
        pde.TimeTracking(np.ones(n_t), q, np.full(n_y, np.nan))
