"""Multigrid on grids: recognised exactly, few iterations whatever the coefficients, honest."""

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si
from sparseimplicit.errors import NotPositiveDefinite, ShapeError, StructureError
from sparseimplicit.imaging import total_variation
from sparseimplicit.linear import Multigrid, Operator, StencilOperator, Structure, choose, levels
from sparseimplicit.linear import hierarchy as hierarchies
from sparseimplicit.linear.rates import Rates
from sparseimplicit.linear.recognition import stencil_of
from sparseimplicit.linear.smoothers import tilings
from sparseimplicit.linear.strengths import three_digits_do
from sparseimplicit.verify.zoo import laplacian
from tests.kernels.test_grid import GRIDS, problem
from tests.reference.grid import assembled

SPD = Structure.POSITIVE_DEFINITE


def iterations(matrix, **options):
    system = Multigrid(**options).prepare(Operator(matrix, SPD))
    b = np.random.default_rng(0).standard_normal(matrix.shape[0])
    return system.solve(b).report.iterations


def diffusion(shape, decades=0.0, strengths=(1.0, 1.0, 1.0)):
    """−∇·(κ ∇) with κ random at each point over ``decades``; natural borders plus a small shift."""
    rng = np.random.default_rng(0)
    kappa = 10.0 ** rng.uniform(-decades / 2, decades / 2, shape)
    offsets = [tuple(int(a == b) for b in range(3)) for a in range(3) if shape[a] > 1]
    c = np.zeros((1 + len(offsets), *shape))
    for k, offset in enumerate(offsets, 1):
        axis = offset.index(1)
        other = np.roll(kappa, -1, axis)
        edge = 2 * kappa * other / (kappa + other) * strengths[axis]
        np.moveaxis(edge, axis, 0)[-1] = 0.0
        c[k] = -edge
        c[0] += edge + np.roll(edge, 1, axis)
    c[0] += 1e-3
    return StencilOperator(c, [(0, 0, 0), *offsets])


@pytest.mark.parametrize("kind", GRIDS)
def test_a_matrix_on_a_grid_is_recognised_and_solved(kind):
    shape, wraps = GRIDS[kind]
    c, offsets, matrix = problem(shape, wraps)
    grid = tuple(size for size in shape if size > 1)
    found = stencil_of(matrix, grid)
    assert found.grid == grid
    assert abs(found.assemble() - matrix).max() == 0.0
    told = [o[3 - len(grid) :] for o in offsets]
    periodic = wraps[3 - len(grid) :]
    stencil = StencilOperator(c.reshape(-1, *grid), told, periodic=periodic)
    assert abs(stencil.assemble() - matrix).max() < 1e-15
    b = np.random.default_rng(1).standard_normal((matrix.shape[0], 3))
    exact = np.linalg.solve(matrix.toarray(), b)
    for given in (Operator(matrix, SPD, grid=grid), Operator(stencil, SPD)):
        system = Multigrid().prepare(given)
        assert abs(system.solve(b, rtol=1e-12).value - exact).max() < 1e-9
        np.testing.assert_array_equal(system.solve_adjoint(b).value, system.solve(b).value)


def test_a_grid_is_found_from_the_distances_of_columns():
    for shape, grid in (((1, 31, 20), (31, 20)), ((7, 8, 9), (7, 8, 9))):
        for near in (True, False):
            matrix = problem(shape, (False,) * 3, near)[2]
            assert stencil_of(matrix, None).grid == grid


@pytest.mark.parametrize("broken", ["far coupling", "one entry off the grid", "random"])
def test_what_is_on_no_grid_is_refused(broken):
    matrix = sparse.lil_array(laplacian(12, 10, 0.1))
    if broken == "random":
        rng = np.random.default_rng(0)
        matrix = sparse.csr_array(sparse.random_array((120, 120), density=0.03, rng=rng))
        matrix = matrix @ matrix.T + sparse.eye_array(120)
    else:
        i, j = (5, 27) if broken == "far coupling" else (9, 11)
        matrix[i, j] = matrix[j, i] = -0.01
    matrix = sparse.csr_array(matrix)
    periodic_would_do = broken == "one entry off the grid"  # (0, 9) with (1, 1): two columns apart
    assert stencil_of(matrix, (12, 10)) is None, periodic_would_do
    with pytest.raises(StructureError, match="grid"):
        Multigrid().prepare(Operator(matrix, SPD, grid=(12, 10)))


def test_coefficients_are_checked():
    offsets = [(0, 0), (0, 1), (1, 0)]
    good = np.zeros((3, 4, 5))
    good[0] = 1.0
    trials = [
        (good[:2], offsets, "do not go with"),
        (good, [(0, 1), (0, 0), (1, 0)], "do not go with"),
        (good, [(0, 0), (0, 1), (0, -1)], "mirror image"),
        (good, [(0, 0), (0, 5), (1, 0)], "leads beyond"),
        (np.ones((3, 4, 5)), offsets, "reach beyond the border of axis 1"),
    ]
    for coefficients, told, message in trials:
        with pytest.raises(ShapeError, match=message):
            StencilOperator(coefficients, told)
    good[0, 2, 2] = np.nan
    with pytest.raises(si.errors.NonFinite):
        StencilOperator(good, offsets)


def test_iterations_stay_few_when_the_grid_grows():
    counts = [iterations(diffusion((1, size, size))) for size in (32, 64, 128, 256)]
    assert max(counts) <= 5
    counts = [iterations(diffusion((size,) * 3)) for size in (12, 24, 40)]
    assert max(counts) <= 10


@pytest.mark.parametrize(
    ("shape", "decades", "strengths", "most"),
    [
        ((1, 64, 64), 4.0, (1.0, 1.0, 1.0), 12),
        ((1, 128, 128), 0.0, (1.0, 1.0, 1e3), 5),
        ((1, 128, 128), 0.0, (1.0, 1e3, 1.0), 5),
        ((1, 64, 64), 0.0, (1.0, 1.0, 1e5), 9),
        ((1, 400, 400), 0.0, (1.0, 1.0, 1e3), 5),
        ((20, 20, 20), 3.0, (1.0, 1.0, 1.0), 15),
        ((20, 20, 20), 0.0, (1e3, 1.0, 1.0), 8),
        ((20, 20, 20), 0.0, (1e3, 1e3, 1.0), 10),
        ((20, 20, 20), 0.0, (1.0, 1e3, 1.0), 8),
        ((1, 1, 5000), 2.0, (1.0, 1.0, 1.0), 2),
        ((1, 200, 3), 2.0, (1.0, 1.0, 1.0), 6),
    ],
)
def test_jumps_and_anisotropy_cost_few_iterations(shape, decades, strengths, most):
    assert iterations(diffusion(shape, decades, strengths)) <= most


def test_total_variation_of_a_thousandfold_contrast():
    rng = np.random.default_rng(0)
    steps = np.kron(rng.uniform(0, 255, (8, 8)), np.ones((16, 16)))
    noisy = steps + rng.normal(0, 5, steps.shape)
    problem = total_variation(noisy, epsilon=0.1, assembled=False)
    hessian = problem.hessian(np.log([300.0]), steps.ravel() + rng.normal(0, 0.3, steps.size))
    assert iterations(hessian) <= 20


def test_half_precision_of_the_hierarchy_costs_no_digit():
    stencil = diffusion((1, 100, 100), 3.0)
    b = np.random.default_rng(0).standard_normal(10_000)
    systems = [Multigrid(p).prepare(Operator(stencil, SPD)) for p in ("single", "double")]
    single, double = (system.solve(b, rtol=1e-12) for system in systems)
    assert single.report.residual <= 1e-12
    assert abs(single.report.iterations - double.report.iterations) <= 2
    assert systems[0].report.bytes_estimate < 0.6 * systems[1].report.bytes_estimate
    with pytest.raises(ShapeError, match="precision"):
        Multigrid("half")


def test_a_lean_hierarchy_holds_less_and_answers_the_same(monkeypatch):
    for module in ("levels", "smoothers", "strengths"):
        monkeypatch.setattr(f"sparseimplicit.linear.{module}.PARALLEL_ROWS", 100)
    # Lines along x, in ten groups of blocks.
    stencil = diffusion((1, 1200, 60), 2.0, (1.0, 1.0, 3.0))
    b = np.random.default_rng(0).standard_normal(1200 * 60)
    rich, lean = (Multigrid(lean=held).prepare(Operator(stencil, SPD)) for held in (False, True))
    x, y = rich.solve(b), lean.solve(b)
    assert x.report.iterations == y.report.iterations
    np.testing.assert_allclose(x.value, y.value, rtol=1e-6, atol=1e-7 * abs(x.value).max())
    assert lean.report.bytes_estimate < 0.85 * rich.report.bytes_estimate
    assert (lean.analysis.free == 0, rich.analysis.free > 0) == (True, True)


def test_a_lean_hierarchy_is_made_where_memory_is_short(monkeypatch):
    monkeypatch.setattr(hierarchies, "available_bytes", lambda: 10_000)
    assert hierarchies.Hierarchy(diffusion((1, 40, 40))).lean
    monkeypatch.setattr(hierarchies, "available_bytes", lambda: 10**9)
    assert not hierarchies.Hierarchy(diffusion((1, 40, 40))).lean


@pytest.mark.parametrize("shape", [(1, 60, 70), (12, 13, 14)])
def test_a_neighbouring_matrix_is_prepared_in_the_room_of_the_last(shape):
    first, second = diffusion(shape, 1.0), diffusion(shape, 2.0)
    b = np.random.default_rng(0).standard_normal(first.shape[0])
    fresh = Multigrid().prepare(Operator(second, SPD)).solve(b).value
    system = Multigrid().prepare(Operator(first, SPD))
    before, made = system.solve(b).value, system.analysis.made
    beside = system.refresh(Operator(second, SPD))  # the old one lives, and nothing of it is taken
    assert system.analysis.made > made
    np.testing.assert_array_equal(system.solve(b).value, before)
    np.testing.assert_array_equal(beside.solve(b).value, fresh)
    made = system.analysis.made
    del beside
    for _ in range(3):
        beside = system.refresh(Operator(second, SPD))
        np.testing.assert_array_equal(beside.solve(b).value, fresh)
        del beside
    assert system.analysis.made == made  # not a byte more


def test_entries_far_from_one_are_solved_as_well():
    base = laplacian(20, 17, 0.01)
    scale = sparse.diags_array(10.0 ** np.linspace(-9, 9, 340))
    counts = {iterations(sparse.csr_array(base * unit)) for unit in (1.0, 1e-200, 1e200)}
    assert max(counts) <= 5
    matrix = sparse.csr_array(scale @ base @ scale)
    b = matrix @ (1.0 / scale.diagonal())
    solution = si.linear.solve(Operator(matrix, SPD), b, solver="multigrid", rtol=1e-6)
    assert solution.report.residual <= 1e-6


def test_the_same_bits_for_any_number_of_threads():
    stencil = diffusion((1, 350, 300), 3.0)  # large enough for the parallel kernels
    b = np.random.default_rng(0).standard_normal(stencil.shape[0])
    before, values = numba.get_num_threads(), []
    for threads in (1, before):
        numba.set_num_threads(threads)
        values.append(Multigrid().prepare(Operator(stencil, SPD)).solve(b).value)
    np.testing.assert_array_equal(*values)


def test_two_threads_may_solve_with_one_system():
    system = Multigrid().prepare(Operator(diffusion((1, 60, 60), 3.0), SPD))
    b = np.random.default_rng(0).standard_normal((3600, 8))
    one_by_one = [system.solve(b[:, k]).value for k in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda k: system.solve(b[:, k]).value, range(8)))
    np.testing.assert_array_equal(one_by_one, together)


@pytest.mark.parametrize("anisotropy", [0.02, 50.0], ids=["lines along x", "lines along y"])
def test_a_cycle_by_seams_is_the_cycle_by_residuals(monkeypatch, anisotropy):
    c = np.zeros((3, 40, 37))
    c[0], c[1, :, :-1], c[2, :-1] = 2.1 * (1.0 + anisotropy), -1.0, -anisotropy
    stencil = StencilOperator(c, [(0, 0), (0, 1), (1, 0)])
    hierarchy = hierarchies.Hierarchy(stencil, double=True)
    assert hierarchy.levels[0].seams is not None
    r = np.random.default_rng(0).standard_normal((c[0].size, 1))

    def without_seams(*arguments, **options):
        kinds, _, damping = tilings(*arguments, **options)
        return kinds, None, damping

    monkeypatch.setattr(levels, "tilings", without_seams)
    by_residuals = hierarchies.Hierarchy(stencil, double=True)
    assert by_residuals.levels[0].seams is None
    np.testing.assert_allclose(hierarchy.apply(r), by_residuals.apply(r), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("slack", [1e-4, 1e-6, 1e-8])
def test_what_is_nearly_singular_costs_no_more_iterations(slack):
    c = np.full((3, 400, 400), -1.0)
    c[1, :, -1] = c[2, -1] = 0.0
    c[0] = slack - c[1] - c[2]
    c[0, :, 1:] += 1.0
    c[0, 1:] += 1.0
    assert iterations(StencilOperator(c, [(0, 0), (0, 1), (1, 0)])) <= 6


def test_neighbours_that_are_decades_apart_keep_their_digits():
    smooth = np.broadcast_to(10.0 ** np.linspace(-5.0, 5.0, 400), (1, 400, 400))
    c, strength = np.stack([smooth.ravel(), -0.2 * smooth.ravel()]), np.array([0.0, 1.0, 1.0])
    assert three_digits_do((1, 400, 400), c, strength, by_seams=True)
    rough = c * 10.0 ** np.random.default_rng(0).uniform(-5.0, 5.0, c.shape[1])
    assert not three_digits_do((1, 400, 400), rough, strength, by_seams=True)
    assert not three_digits_do((1, 400, 400), c, strength * [1.0, 1.0, 1e3], by_seams=True)


def test_a_late_hierarchy_is_made_where_the_diagonal_will_not_do():
    matrix = Operator(laplacian(90, 90, 1e-3), SPD, grid=(90, 90))
    b = np.random.default_rng(0).standard_normal(8100)
    system = Multigrid(on_demand=True).prepare(matrix)
    loose = system.solve(b, rtol=0.5)
    assert loose.report.iterations <= 16
    assert system.method.as_preconditioner() is None  # none was needed
    tight = system.solve(b, rtol=1e-9)
    assert system.method.as_preconditioner() is not None
    assert np.linalg.norm(b - matrix.entries @ tight.value) <= 1e-9 * np.linalg.norm(b)
    assert tight.report.iterations <= 4 + 12  # given up at a glance, then cycles


def test_an_indefinite_matrix_is_found_out():
    stencil = diffusion((1, 40, 40))
    shifted = stencil.coefficients.copy().reshape(3, 1, 40, 40)
    shifted[0] -= 0.05
    matrix = StencilOperator(shifted, stencil.offsets)
    with pytest.raises(NotPositiveDefinite):
        iterations(matrix)
    shifted[0, 0, 3, 3] = -1.0
    with pytest.raises(NotPositiveDefinite, match="diagonal entry 123"):
        iterations(StencilOperator(shifted, stencil.offsets))


def test_a_window_of_a_grid_keeps_its_diagonal():
    stencil = diffusion((1, 30, 40), 2.0)
    window = stencil.window(300)
    assert window.shape[0] == pytest.approx(300, rel=0.1)
    rows, columns = (s - w for s, w in zip(stencil.grid[1:], window.grid[1:], strict=True))
    kept = stencil.diagonal().reshape(30, 40)[rows // 2 :, columns // 2 :]
    expected = kept[: window.grid[1], : window.grid[2]]
    np.testing.assert_array_equal(window.diagonal().reshape(expected.shape), expected)
    assert np.linalg.eigvalsh(window.assemble().toarray()).min() > 0


def test_the_plan_takes_it_on_a_grid_without_a_hint():
    matrix = diffusion((1, 260, 260), 3.0).assemble()
    choice = choose(Operator(matrix, SPD), rates=Rates())
    assert choice.solver.label == "multigrid"
    assert "grid (260, 260)" in choice.because
    system = choice.solver.prepare(Operator(matrix, SPD), analysis=choice.analysis)
    assert system.solve(np.ones(matrix.shape[0])).report.converged
    # What was recognised belongs to one matrix, and is not taken for another.
    other = Operator(sparse.csr_array(2.0 * matrix), SPD)
    again = choice.solver.prepare(other, analysis=choice.analysis)
    b = np.random.default_rng(0).standard_normal(matrix.shape[0])
    np.testing.assert_allclose(
        again.solve(b, rtol=1e-10).value, 0.5 * system.solve(b, rtol=1e-10).value, rtol=1e-6
    )


def test_the_plan_for_a_stencil_is_multigrid_too():
    stencil = diffusion((1, 50, 60), 1.0)
    assert choose(Operator(stencil, SPD)).solver.label == "multigrid"
    b = np.ones(stencil.shape[0])
    cross = sparse.csr_array(np.ones((stencil.shape[0], 1)))
    x_bar = si.vjp(Operator(stencil, SPD), cross, b)
    exact = np.linalg.solve(stencil.assemble().toarray(), b).sum()
    assert x_bar[0] == pytest.approx(-exact, rel=1e-6)


def test_the_reference_and_the_operator_agree():
    c, offsets, matrix = problem((4, 5, 6), (True,) * 3)
    stencil = StencilOperator(c.reshape(-1, 4, 5, 6), offsets, periodic=True)
    assert abs(stencil.assemble() - assembled(c, offsets, (4, 5, 6))).max() < 1e-15
    v = np.random.default_rng(0).standard_normal((120, 2))
    np.testing.assert_allclose(stencil @ v, matrix @ v, atol=1e-12)
    np.testing.assert_allclose(stencil.T @ v[:, 0], matrix @ v[:, 0], atol=1e-12)


def test_complex_coefficients_are_refused():
    with pytest.raises(StructureError, match="complex"):
        StencilOperator(1j * np.ones((1, 3, 3)), [(0, 0)])


@pytest.mark.parametrize("offsets", [[(0,), (1.9,)], None, [0, 1], 3, "ab", [(0,), ("1",)]])
def test_what_are_no_offsets_is_refused(offsets):
    with pytest.raises(ShapeError, match="offsets"):
        StencilOperator(np.ones((2, 5)), offsets)


@pytest.mark.parametrize("periodic", ["yes", (True,), (True, False, True), (1, 0), None])
def test_periodic_is_told_of_every_axis(periodic):
    with pytest.raises(ShapeError, match="one for each of the 2 axes"):
        StencilOperator(np.ones((1, 3, 3)), [(0, 0)], periodic=periodic)


def test_what_is_on_no_grid_is_told_how_grids_are_given():
    far = sparse.diags_array([-1.0, 9.0, -1.0], offsets=[-17, 0, 17], shape=(50, 50))
    with pytest.raises(StructureError) as caught:
        si.linear.solve(far, np.ones(50), solver="multigrid")
    assert "(nz, ny, nx)), (ny, nx) or (n,)" in caught.value.fix
