"""Problems from a numpy gradient alone; the oracles are derivatives by hand and closed forms."""

import warnings

import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si
from sparseimplicit import errors
from sparseimplicit.derivatives import patches, stencil
from sparseimplicit.derivatives.coloured import jacobian as coloured
from sparseimplicit.derivatives.coloured import patterns, products
from sparseimplicit.derivatives.coloured.black_box import from_gradient, from_residual
from sparseimplicit.derivatives.coloured.differences import InexactDerivatives
from sparseimplicit.imaging import total_variation
from tests.reference.tv import cross_pattern, hessian_pattern

SHAPE = (6, 7)
N = 42
F = np.random.default_rng(0).uniform(0, 255, SHAPE)
Y = np.random.default_rng(1).uniform(0, 255, N)


def matrix(indptr, indices, n=N):
    return sparse.csr_array((np.zeros(indices.size), indices, indptr), shape=(n, n))


def tv_gradient(x, y):
    """Of ½‖y − f‖² + Σ_p exp(x_p) √(|∇y|² + 1), in plain numpy; x of one entry or a map."""
    u = y.reshape(SHAPE)
    right, down = np.zeros_like(u), np.zeros_like(u)
    right[:, :-1], down[:-1] = np.diff(u, axis=1), np.diff(u, axis=0)
    weight = np.exp(x) if x.size == 1 else np.exp(x.reshape(SHAPE))
    root = np.sqrt(right**2 + down**2 + 1.0)
    p, q = weight * right / root, weight * down / root
    out = u - F - p - q
    out[:, 1:] += p[:, :-1]
    out[1:] += q[:-1]
    return out.reshape(-1)


def transport(x, y):
    """A nonsymmetric residual: −y″ + 20 y y′ + x² y on a line, one parameter a point."""
    z = np.concatenate([y[:1] * 0, y, y[:1] * 0])
    return -z[2:] + 2 * y - z[:-2] + 20 * y * (y - z[:-2]) + x**2 * y - 1.0


def transport_jacobian(x, y):
    behind = np.concatenate([[0.0], y[:-1]])
    middle = 2 + 20 * (2 * y - behind) + x**2
    return sparse.diags_array(
        [-1.0 - 20 * y[1:], middle, -np.ones(y.size - 1)], offsets=[-1, 0, 1]
    ).toarray()


def close(ours, theirs, rtol=1e-14):
    """Relative to the largest entry, as derivatives are held to account."""
    ours, theirs = (a.toarray() if sparse.issparse(a) else np.asarray(a) for a in (ours, theirs))
    return np.abs(ours - theirs).max() <= rtol * np.abs(theirs).max()


@pytest.mark.parametrize("pattern", [matrix(*hessian_pattern(*SHAPE)), None])
def test_tv_is_that_by_hand(pattern):
    hand = total_variation(F)
    problem = from_gradient(tv_gradient, hessian_pattern=pattern)
    x = np.array([0.7])
    h = problem.hessian(x, Y)
    assert close(h, hand.hessian(x, Y))
    assert problem.hessian.colouring(x, Y).n_colours == 9
    np.testing.assert_array_equal(h.toarray(), h.toarray().T)
    b = problem.cross_hessian(x, Y)
    exact = hand.cross_hessian(x, Y, assembled=True)
    assert close(b @ np.ones(1), exact[:, 0])
    assert close(b.rmatvec(Y), exact.T @ Y)


def test_one_triangle_is_enough_and_matrices_share_their_pattern():
    whole = matrix(*hessian_pattern(*SHAPE))
    problem = from_gradient(tv_gradient, hessian_pattern=sparse.triu(whole))
    x = np.array([0.7])
    first, second = problem.hessian(x, Y), problem.hessian(x, Y + 1)
    assert close(first, total_variation(F).hessian(x, Y))
    assert first.indices is second.indices


def test_a_stencil_is_a_pattern():
    pattern = stencil(SHAPE, [(0, 0), (0, 1), (1, 0)])
    h = from_gradient(tv_gradient, hessian_pattern=pattern).hessian(np.zeros(1), Y)
    assert close(h, total_variation(F).hessian(np.zeros(1), Y))
    assert h.nnz == hessian_pattern(*SHAPE)[1].size
    wide = from_gradient(tv_gradient, hessian_pattern=patches(SHAPE, (3, 3)))
    assert close(wide.hessian(np.zeros(1), Y), h)
    assert wide.hessian.colouring(np.zeros(1), Y).n_colours >= 25


@pytest.mark.parametrize("pattern", [matrix(*cross_pattern(*SHAPE)), None])
def test_a_map_of_parameters_is_sparse(pattern):
    theta = np.random.default_rng(2).uniform(-1, 1, N)
    b = from_gradient(tv_gradient, cross_pattern=pattern).cross_hessian(theta, Y)
    assert sparse.issparse(b)
    assert b.nnz == cross_pattern(*SHAPE)[1].size
    assert close(b, total_variation(F, weight_map=True).cross_hessian(theta, Y))


def test_elements_say_the_pattern_of_a_residual():
    x, y = np.linspace(1, 2, 9), np.linspace(0, 1, 9) ** 2
    edges = np.stack([np.arange(8), np.arange(1, 9)], axis=1)
    points = np.arange(9)[:, None]
    problem = from_residual(transport, state_pattern=edges, parameter_pattern=(points, points))
    assert close(problem.state_jacobian(x, y), transport_jacobian(x, y))
    assert problem.state_jacobian.colouring(x, y).n_colours == 3
    b = problem.parameter_jacobian(x, y)
    assert b.nnz == 9
    assert close(b, np.diag(2 * x * y))


def test_the_spine_takes_them():
    x, y_bar = np.linspace(1, 2, 9), np.cos(np.arange(9))
    by_hand = si.RootProblem(
        residual=transport, state_jacobian=transport_jacobian,
        parameter_jacobian=lambda x, y: np.diag(2 * x * y),
    )  # fmt: skip
    ours, hand = (
        si.ImplicitFunction(p, linear_solver="dense").solve(x, y0=np.full(9, 0.1), rtol=1e-12)
        for p in (from_residual(transport), by_hand)
    )
    np.testing.assert_allclose(ours.vjp(y_bar), hand.vjp(y_bar), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ours.jvp(y_bar), hand.jvp(y_bar), rtol=1e-8, atol=1e-10)
    ours, hand = (
        si.ImplicitFunction(p, linear_solver="dense").solve(0.5, y0=F.ravel(), rtol=1e-12)
        for p in (from_gradient(tv_gradient), total_variation(F))
    )
    np.testing.assert_allclose(ours.vjp(Y), hand.vjp(Y), rtol=1e-8, atol=1e-10)


def test_no_pattern_is_needed_for_products():
    x, v = np.array([0.7]), np.cos(np.arange(N))
    problem = from_gradient(tv_gradient, hessian_pattern="products")
    exact = total_variation(F).hessian(x, Y)
    h = problem.hessian(x, Y)
    assert close(h @ v, exact @ v)
    assert close(h.T @ v, exact @ v)
    operator = from_residual(transport, state_pattern="products").state_jacobian(Y, Y)
    assert close(operator @ v, transport_jacobian(Y, Y) @ v)
    with pytest.raises(errors.StructureError, match="give its pattern"):
        operator.rmatvec(v)
    nothing = from_gradient(lambda x, y: y * np.roll(y, 1), hessian_pattern="products")
    with pytest.raises(errors.StructureError, match=r"not symmetric: ⟨w, H v⟩"):
        nothing.hessian(x, v)


def test_parameter_gradient_gives_transposed_products():
    theta = np.random.default_rng(2).uniform(-1, 1, N)

    def g_x(x, y):
        u = y.reshape(SHAPE)
        right, down = np.zeros_like(u), np.zeros_like(u)
        right[:, :-1], down[:-1] = np.diff(u, axis=1), np.diff(u, axis=0)
        return np.exp(x) * np.sqrt(right**2 + down**2 + 1.0).reshape(-1)

    exact = total_variation(F, weight_map=True).cross_hessian(theta, Y)
    b = from_gradient(tv_gradient, parameter_gradient=g_x).cross_hessian(theta, Y)
    assert close(b.rmatvec(Y), exact.T @ Y)
    assert close(b.rmatmat(np.stack([Y, Y**2], 1))[:, 1], exact.T @ Y**2)
    assert close(b @ theta, exact @ theta)
    wrong = from_gradient(tv_gradient, parameter_gradient=lambda x, y: 2 * g_x(x, y))
    with pytest.raises(errors.StructureError, match="not derivatives of one objective"):
        wrong.cross_hessian(theta, Y)
    short = from_gradient(tv_gradient, parameter_gradient=lambda x, y: g_x(x, y)[1:])
    with pytest.raises(errors.ShapeError, match=r"41 entries.*\n.*\(42,\)"):
        short.cross_hessian(theta, Y)


@pytest.mark.parametrize(("row", "column"), [(9, 16), (9, 10), (9, 9), (41, 40)])
def test_a_missing_entry_is_found_and_named(row, column):
    pattern = sparse.lil_array((total_variation(F).hessian(np.zeros(1), Y)).toarray() != 0)
    pattern[row, column] = pattern[column, row] = False
    problem = from_gradient(tv_gradient, hessian_pattern=sparse.csr_array(pattern))
    with pytest.raises(errors.StructureError) as caught:
        problem.hessian(np.zeros(1), Y)
    message = str(caught.value)
    assert "pattern misses entries: H v differs from the true Hessian-vector product by" in message
    places = [(row, column), (column, row)]
    assert any(f"row {i}, column {j}:" in message for i, j in places)


def test_a_missing_entry_of_a_parameter_jacobian():
    problem = from_residual(lambda x, y: y + np.roll(x, 1), parameter_pattern=sparse.eye_array(4))
    message = r"misses entries: B v differs from the true Jacobian(.|\n)*row \d, column \d: 1"
    with pytest.raises(errors.StructureError, match=message):
        problem.parameter_jacobian(np.ones(4), np.ones(4))


def test_an_entry_that_is_0_at_first_is_missed_later():
    diagonal = sparse.eye_array(5)
    problem = from_gradient(lambda x, y: y + y * np.sum(y**2), hessian_pattern=diagonal)
    np.testing.assert_array_equal(problem.hessian(np.zeros(1), np.zeros(5)).toarray(), np.eye(5))
    with pytest.raises(errors.StructureError, match="pattern misses entries"):
        problem.hessian(np.zeros(1), np.ones(5))


def real_only(x, y):
    out = np.empty(y.shape)
    out[:] = y**3
    return out


LOSSES = {
    "abs": lambda x, y: np.abs(y) * y + y,
    "hypot": lambda x, y: y * np.linalg.norm(y) + y,
    "conj": lambda x, y: y * np.vdot(y, y) / 2 + y,
    "real": lambda x, y: y.real**3,
    "sign": lambda x, y: y + np.sign(y) * y**2,
    "fft": lambda x, y: np.fft.ifft(np.fft.fft(y) * 2.0).real + y**3,
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("y", [np.zeros(5), np.arange(1.0, 6.0)], ids=["at 0", "elsewhere"])
def test_lost_imaginary_parts_are_noticed(loss, y):
    problem = from_gradient(LOSSES[loss], hessian_pattern=np.ones((5, 5), bool))
    with pytest.raises(errors.StructureError, match=r"loses imaginary parts(.|\n)*differences"):
        problem.hessian(np.zeros(1), y)


@pytest.mark.parametrize("function", [real_only, lambda x, y: np.hypot(y, 1.0) + y])
def test_a_function_that_refuses_complex_numbers(function):
    problem = from_gradient(function, hessian_pattern=sparse.eye_array(5))
    with pytest.raises(errors.StructureError, match=r"cannot take a complex y(.|\n)*dtype=y.dtype"):
        problem.hessian(np.zeros(1), np.ones(5))


def test_kinks_and_branches_are_no_losses():
    """Huber's function and a maximum, at points on and off the kinks."""

    def gradient(x, y):
        return np.where(y > 1, 1, np.where(y < -1, -1, y)) + np.maximum(y - 2, 0) + y

    y = np.array([-3.0, -1.0, 0.0, 0.5, 1.0, 2.0, 2.0 + 1e-9, 4.0])
    h = from_gradient(gradient, hessian_pattern=sparse.eye_array(8)).hessian(np.zeros(1), y)
    expected = [1.0, 1.5, 2.0, 2.0, 1.5, 1.5, 2.0, 2.0]  # at a kink, the mean of both sides
    np.testing.assert_allclose(h.diagonal(), expected)


def test_a_hessian_at_a_kink_is_symmetric_and_has_no_negative_curvature():
    def gradient(x, y):  # of ½ Σ max(y_{i+1} − y_i, 0)²
        slope = np.maximum(np.diff(y), 0)
        return -np.diff(slope, prepend=0, append=0)

    h = from_gradient(gradient).hessian(np.zeros(1), np.array([1.0, 1.0, 0.0, 3.0])).toarray()
    exact = [[0.5, -0.5, 0, 0], [-0.5, 0.5, 0, 0], [0, 0, 1, -1], [0, 0, -1, 1]]
    np.testing.assert_allclose(h, exact)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_the_step_fits_every_scale(scale):
    y = scale * np.array([1.0, 2.0, 3.0])
    problem = from_gradient(lambda x, y: y**3 / 3, hessian_pattern=sparse.eye_array(3))
    np.testing.assert_allclose(problem.hessian(np.zeros(1), y).diagonal(), y**2, rtol=1e-14)


def test_states_that_must_be_positive_and_span_many_decades():
    y = 10.0 ** np.random.default_rng(0).uniform(-12, 2, 200)
    problem = from_residual(lambda x, y: np.log(y) + y * x[0] - np.roll(np.sqrt(y), 1))
    exact = np.diag(1 / y + 2.0) - np.roll(np.diag(0.5 / np.sqrt(y)), 1, axis=0)
    ours = problem.state_jacobian(np.full(1, 2.0), y).toarray()
    np.testing.assert_allclose(ours, exact, rtol=1e-13)


def test_differences_say_how_good_they_are():
    pattern = matrix(*hessian_pattern(*SHAPE))
    problem = from_gradient(tv_gradient, hessian_pattern=pattern, step="differences")
    x = np.array([0.7])
    with pytest.warns(InexactDerivatives, match=r"relative error about \de-\d\d"):
        h = problem.hessian(x, Y)
    exact = total_variation(F).hessian(x, Y)
    error = abs(h - exact).max() / abs(exact).max()
    accuracy = problem.hessian.step.accuracy
    assert 1e-15 < error < 30 * accuracy
    assert accuracy < 1e-6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        problem.hessian(x, Y)  # said once
    missing = sparse.csr_array(np.abs(exact.toarray()) * (1 - np.eye(N)))
    with (
        pytest.warns(InexactDerivatives),
        pytest.raises(errors.StructureError, match="pattern misses entries"),
    ):
        from_gradient(
            tv_gradient, hessian_pattern=missing, step="differences"
        ).hessian(x, Y)  # fmt: skip


def test_a_gradient_of_nothing():
    problem = from_gradient(lambda x, y: y * np.roll(y, 1), hessian_pattern=None)
    with pytest.raises(errors.StructureError, match=r"not symmetric: entry \(\d, \d\)"):
        problem.hessian(np.zeros(1), np.arange(1.0, 6.0))


def test_what_changes_between_calls():
    calls = []

    def gradient(x, y):
        calls.append(1)
        return y * (1 + 1e-3 * len(calls) * (len(calls) > 10))

    problem = from_gradient(gradient, hessian_pattern=sparse.eye_array(4))
    with pytest.raises(errors.StructureError, match="same values whenever"):
        problem.hessian(np.zeros(1), np.ones(4))


def test_dense_matrices_are_refused():
    rank_one = from_gradient(
        lambda x, y: y + np.sum(y) * np.ones(60), max_colours=20, hessian_pattern=None
    )
    with pytest.raises(errors.StructureError, match=r"couples all unknowns(.|\n)*\"products\""):
        rank_one.hessian(np.zeros(1), np.ones(60))
    given = from_gradient(lambda x, y: y, max_colours=20, hessian_pattern=np.ones((60, 60), bool))
    with pytest.raises(errors.StructureError, match=r"would take 60 products.*limit is 20"):
        given.hessian(np.zeros(1), np.ones(60))


def test_entries_beyond_memory_are_refused(monkeypatch):
    monkeypatch.setattr(coloured, "available_bytes", lambda: 1000)
    with pytest.raises(errors.MemoryBudgetExceeded, match="products alone"):
        from_gradient(tv_gradient).hessian(np.zeros(1), Y)


def test_shared_parameters_are_never_stored(monkeypatch):
    a = np.random.default_rng(0).standard_normal((70, 40))
    problem = from_residual(lambda x, y: y + a @ x**2)
    x, y = np.linspace(1, 2, 40), np.ones(70)
    b = problem.parameter_jacobian(x, y)
    assert not sparse.issparse(b)
    assert close(b.T @ y, 2 * x * (a.T @ y))
    assert close(b @ x, a @ (2 * x**2))
    many = from_residual(lambda x, y: y + a @ x**2, parameter_pattern="products", max_colours=30)
    with pytest.raises(errors.StructureError, match=r"40 products(.|\n)*parameter_gradient="):
        many.parameter_jacobian(x, y).rmatvec(y)
    monkeypatch.setattr(products, "FEW", 0)
    assert not sparse.issparse(problem.parameter_jacobian(x, y))


def test_nan_finds_what_is_there():
    rng = np.random.default_rng(5)
    for n, m in ((1, 1), (2, 5), (13, 7), (40, 64)):
        a = sparse.random_array((m, n), density=0.15, rng=rng, format="csr")
        found = patterns.probe_pattern(lambda z, a=a: a @ z**2, np.ones(n), max_colours=n, name="f")
        dense = np.zeros((m, n), bool)
        for i in range(m):
            dense[i, found.columns_of(i)] = True
        if n > 1:
            np.testing.assert_array_equal(dense, a.toarray() != 0)
        else:
            assert dense[a.toarray() != 0].all()


def test_nan_is_swallowed_by_comparisons_and_the_probe_tells():
    problem = from_gradient(lambda x, y: np.where(y > 0, y**3, 0.0) + 0 * x)
    with pytest.raises(errors.StructureError, match=r"misses entries(.|\n)*comparisons"):
        problem.hessian(np.zeros(1), np.ones(5))


def test_a_function_that_refuses_nan():
    def gradient(x, y):
        if np.isnan(y).any():
            raise ValueError("no NaN here")
        return y**3

    with pytest.raises(errors.StructureError, match=r"refuses NaN \(no NaN here\)"):
        from_gradient(gradient).hessian(np.zeros(1), np.ones(5))


@pytest.mark.parametrize(
    ("pattern", "error"),
    [
        (sparse.eye_array(4), r"shape \(4, 4\); rows and columns are \(5, 5\)"),
        (np.array([[0, 5]]), "index 5 in element 0, place 1"),
        (np.array([[0, -1]]), "index -1 in element 0, place 1"),
        (np.ones((5, 5)), "neither a sparse matrix nor an index array"),
        ((np.zeros((2, 1), int), np.zeros((3, 1), int)), "rows of 2 elements and columns of 3"),
    ],
)
def test_patterns_that_do_not_fit(pattern, error):
    with pytest.raises(errors.ShapeError, match=error):
        from_gradient(lambda x, y: y, hessian_pattern=pattern).hessian(np.zeros(1), np.ones(5))


def test_a_transposed_cross_pattern_is_told():
    points = np.arange(3)[:, None]
    problem = from_residual(lambda x, y: y + x[:3], parameter_pattern=sparse.eye_array(4, 3))
    with pytest.raises(errors.ShapeError, match="transpose it"):
        problem.parameter_jacobian(np.ones(4), np.ones(3))
    assert close(
        from_residual(lambda x, y: y + x[:3], parameter_pattern=(points, points))
        .parameter_jacobian(np.ones(4), np.ones(3)), np.eye(3, 4),
    )  # fmt: skip


def test_names_and_sizes():
    with pytest.raises(errors.StructureError, match=r"no step 'forward'(.|\n)*complex"):
        from_gradient(tv_gradient, step="forward")
    with pytest.raises(errors.StructureError, match="no pattern 'dense'"):
        from_gradient(tv_gradient, hessian_pattern="dense")
    with pytest.raises(errors.ShapeError, match="3 entries; the state has 5"):
        from_gradient(lambda x, y: y[:3]).hessian(np.zeros(1), np.ones(5))
    problem = from_gradient(lambda x, y: y**3)
    problem.hessian(np.zeros(1), np.ones(5))
    with pytest.raises(errors.ShapeError, match="a problem for each size"):
        problem.hessian(np.zeros(1), np.ones(6))
    with pytest.raises(errors.NonFinite, match="at index 0"):
        from_gradient(lambda x, y: np.sqrt(y) / y[::-1], hessian_pattern=np.ones((2, 2), bool)
                      ).hessian(np.zeros(1), np.array([np.inf, 1.0]))  # fmt: skip


def test_verification_agrees():
    problem = from_gradient(tv_gradient)
    assert si.verify.derivatives(problem, np.array([0.7]), Y).passed
