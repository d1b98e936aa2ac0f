"""Patches of every pixel: places against np.pad, derivatives against dense algebra, filters."""

import numba
import numpy as np
import pytest

from sparseimplicit import derivatives as terms
from sparseimplicit.errors import NonFinite, ShapeError, StructureError
from sparseimplicit.implicit import ImplicitFunction
from sparseimplicit.linear import FilterOperator
from tests.reference import lifts as twin

MODES = {"symmetric": "symmetric", "nearest": "edge", "periodic": "wrap"}
RNG = np.random.default_rng(8)


def data(n):
    rng = np.random.default_rng(n)
    return terms.term(
        lambda y, x, c: 0.5 * c[0] * (y[0] - c[1]) ** 2, y=np.arange(n)[:, None],
        c=rng.uniform(1, 2, (n, 2)), name="data",
    )  # fmt: skip


def student(count):
    def phi(r, x, c):
        return sum(np.exp(x[k]) * np.log1p(0.5 * r[k] ** 2) for k in range(count))

    return phi


def curvature(r):
    return (1 - 0.5 * r**2) / (1 + 0.5 * r**2) ** 2


def relative(given, exact):
    return np.max(np.abs(given - exact)) / np.max(np.abs(exact))


def experts(y, count, lift, n_x=None, **how):
    n = y.pixels
    term = terms.term(student(count), y=y, x=terms.shared(count), lift=lift, name="experts")
    return terms.Energy([data(n), term], n_y=n, n_x=count if n_x is None else n_x, **how)


def problem_data(n):
    """Return the Hessian of the data term."""
    return np.diag(np.random.default_rng(n).uniform(1, 2, (n, 2))[:, 0])


def dense_hessian(filters, places, x, u):
    """Return D + Σ exp(x_k) K_kᵀ diag(φ''(K_k u)) K_k."""
    h = problem_data(u.size)
    for f, weight in zip(filters, np.exp(x), strict=True):
        k = twin.matrix(f, places, u.size)
        h += weight * k.T @ (curvature(k @ u)[:, None] * k)
    return h


@pytest.mark.parametrize("border", MODES)
@pytest.mark.parametrize(
    ("shape", "size"), [((9,), (4,)), ((2,), (13,)), ((5, 6), (3, 4)), ((3, 2), (7, 6)),
                        ((3, 4, 2), (2, 3, 5))],
)  # fmt: skip
def test_places_beyond_the_border(shape, size, border):
    y = terms.patches(shape, size, border=border)
    exact = twin.beyond(shape, y.points, MODES[border])
    np.testing.assert_array_equal(y.indices(), exact)
    some = np.array([0, y.elements - 1, 1])
    np.testing.assert_array_equal(y.indices_of(some), exact[some])
    zero = tuple(-(s // 2) for s in size)
    assert y.points[0] == (0, zero)
    assert len(y.points) == np.prod(size)


SHAPES = [((11,), (4,)), ((7, 8), (3, 2)), ((5, 4, 6), (2, 3, 3))]
LARGE = ((4, 3), (9, 8))  # filters larger than the image


@pytest.mark.parametrize("kind", ["fixed", "learned", "basis"])
@pytest.mark.parametrize(
    ("shape", "size", "border"),
    [(*case, border) for case in [*SHAPES, LARGE] for border in MODES]
    + [(*case, "inside") for case in SHAPES],
)
def test_every_derivative_by_complex_steps(shape, size, border, kind):
    y, count, k = terms.patches(shape, size, border=border), 3, int(np.prod(size))
    filters, basis = RNG.standard_normal((count, k)), RNG.standard_normal((2, k))
    lift, x = filters, RNG.uniform(-1, 1, count)
    if kind == "learned":
        lift, x = terms.parameters(count, (count, k)), np.append(x, filters)
    if kind == "basis":
        lift = terms.parameters(count, (count, 2)) @ basis
        x = np.append(x, RNG.standard_normal((count, 2)))
    problem = experts(y, count, lift, x.size)
    u = RNG.standard_normal(y.pixels)
    check = problem.check(x, u)
    assert check.passed, str(check)
    used = filters if kind != "basis" else x[count:].reshape(count, 2) @ basis
    exact = dense_hessian(used, y.indices(), x[:count], u)
    assert relative(problem.hessian(x, u).toarray(), exact) < 1e-13


def test_filters_in_a_basis_are_those_filters():
    """∂/∂P = (∂/∂F) basisᵀ for all derivatives, of first to third order."""
    shape, count = (6, 7), 4
    y = terms.patches(shape, (3, 3), border="symmetric")
    basis = RNG.standard_normal((5, 3, 3))
    rows = basis.reshape(5, 9)
    p, w = RNG.standard_normal((count, 5)), RNG.uniform(-1, 1, count)
    mixed = experts(y, count, terms.parameters(count, (count, 5)) @ basis, count + p.size)
    plain = experts(y, count, terms.parameters(count, (count, 9)), count + 9 * count)
    x, z = np.append(w, p), np.append(w, p @ rows)
    u, v, t = RNG.standard_normal((3, 42))
    x_dot = RNG.standard_normal(x.size)
    z_dot = np.append(x_dot[:count], x_dot[count:].reshape(count, 5) @ rows)

    def pulled(by_z):
        return np.append(by_z[:count], by_z[count:].reshape(count, 9) @ rows.T)

    assert relative(mixed.gradient(x, u), plain.gradient(z, u)) < 1e-13
    assert relative(mixed.cross_product(x, u, x_dot), plain.cross_product(z, u, z_dot)) < 1e-13
    for name, given, other in (
        ("parameter_gradient", (), ()),
        ("cross_adjoint", (v,), (v,)),
    ):
        a, b = getattr(mixed, name)(x, u, *given), getattr(plain, name)(z, u, *other)
        assert relative(a, pulled(b)) < 1e-12
    for directions, others in (
        ({"y_directions": (v, t)}, {"y_directions": (v, t)}),
        ({"y_directions": (v,), "x_directions": (x_dot,)},
         {"y_directions": (v,), "x_directions": (z_dot,)}),
    ):  # fmt: skip
        a = mixed.third_contraction(x, u, by="x", **directions)
        assert relative(a, pulled(plain.third_contraction(z, u, by="x", **others))) < 1e-12
        a = mixed.third_contraction(x, u, by="y", **directions)
        assert relative(a, plain.third_contraction(z, u, by="y", **others)) < 1e-12
    twice = terms.parameters(0, (2, 3)) @ np.ones((3, 5)) @ rows
    np.testing.assert_allclose(twice.basis, np.ones((3, 5)) @ rows)


@pytest.mark.parametrize("basis", [np.ones((3, 9)), np.ones(4), np.full((4, 9), np.nan)])
def test_a_basis_that_does_not_fit(basis):
    with pytest.raises((ShapeError, NonFinite), match="basis"):
        terms.parameters(0, (2, 4)) @ basis


@pytest.mark.parametrize("border", ["symmetric", "inside"])
def test_lifts_of_two_fields(border):
    """By lines of both padded fields, and by lists of their places."""
    shape, n = (6, 5), 30
    y = terms.patches(shape, (2, 3), border=border)
    y += terms.patches(shape, (2, 3), field=1, border=border)
    filters = RNG.standard_normal((3, 12))
    whole = terms.term(lambda y, x, c: 0.5 * y[0] ** 2, y=np.arange(2 * n))
    made = [
        terms.Energy([whole, terms.term(student(3), y=places, lift=filters, x=terms.shared(3))],
                     n_y=2 * n, n_x=3)
        for places in (y, y.indices())
    ]  # fmt: skip
    x, u, v = RNG.uniform(-1, 1, 3), *RNG.standard_normal((2, 2 * n))
    by_lines, by_lists = made
    assert by_lines.check(x, u).passed
    assert relative(by_lines.gradient(x, u), by_lists.gradient(x, u)) < 1e-13
    assert relative(by_lines.third(x, u, v, u), by_lists.third(x, u, v, u)) < 1e-13
    h, same = by_lines.hessian(x, u), by_lists.hessian(x, u)
    np.testing.assert_array_equal(h.indices, same.indices)
    assert relative(h.data, same.data) < 1e-13


WINDOWS = {
    "3×3": lambda shape, border: terms.patches(shape, (3, 3), border=border),
    "4×5": lambda shape, border: terms.patches(shape, (4, 5), border=border),
    "corner": lambda shape, border: terms.stencil(shape, [(0, 0), (0, 1), (2, 0)], border=border),
}


@pytest.mark.parametrize("border", ["symmetric", "periodic", "inside"])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("shape", [(12, 13), (5, 6)])
def test_the_hessian_as_filters(window, border, shape):
    y = WINDOWS[window](shape, border)
    k = len(y.points)
    filters = RNG.standard_normal((3, k))
    problem = experts(y, 3, filters, assembled=False)
    x, u = RNG.uniform(-1, 1, 3), RNG.standard_normal(y.pixels)
    h = problem.hessian(x, u)
    assert isinstance(h, FilterOperator)
    exact = dense_hessian(filters, y.indices(), x, u)
    for assembled in (False, True):
        h.assembled = assembled
        assert relative(h @ np.eye(y.pixels), exact) < 1e-13
    by_entries = experts(y, 3, filters).hessian(x, u)
    assert relative(by_entries.toarray(), exact) < 1e-13
    assert relative(h.assemble().toarray(), exact) < 1e-13


@pytest.mark.parametrize("border", ["symmetric", "inside"])
def test_secants_majorise_and_half_of_them_are_definite(border):
    y = terms.patches((7, 8), (3, 3), border=border)
    filters = RNG.standard_normal((3, 9))
    problem = experts(y, 3, filters, assembled=False)
    x, u = RNG.uniform(0, 2, 3), 2.0 * RNG.standard_normal(y.pixels)
    eye = np.eye(y.pixels)
    exact, half, whole = (problem.majorant(x, u, share) @ eye for share in (0.0, 0.5, 1.0))
    np.testing.assert_array_equal(exact, problem.hessian(x, u) @ eye)
    np.testing.assert_allclose(half, 0.5 * (exact + whole), atol=1e-12)
    assert np.linalg.eigvalsh(exact)[0] < 0.0
    assert np.linalg.eigvalsh(half)[0] > 1.0  # of the data term: 1 to 2
    secants = 0.0
    for f, weight in zip(filters, np.exp(x), strict=True):
        k = twin.matrix(f, y.indices(), u.size)
        secants += weight * k.T @ (k / (1 + 0.5 * (k @ u)[:, None] ** 2))
    assert relative(whole - secants, problem_data(u.size)) < 1e-12
    value, slope = problem.objective(x, u), problem.gradient(x, u)
    for length in (1e-2, 0.1, 1.0, 10.0):
        s = length * RNG.standard_normal(u.size)
        assert problem.objective(x, u + s) <= value + s @ slope + 0.5 * s @ whole @ s


@pytest.mark.parametrize(
    "potential", [lambda r: (r**2 - 1) ** 2, lambda r: 20 * np.log1p((r - 1) ** 2)]
)
def test_no_secant_lessens_a_curvature_and_states_are_found_as_without(potential):
    """A double well and a shifted one: not concave in r², not even."""
    y = terms.patches((8, 8), (3, 3), border="symmetric")
    filters = np.random.default_rng(0).standard_normal((3, 9))
    wells = [terms.term(lambda r, x, c: potential(r[0]), y=y, lift=f[None]) for f in filters]
    problem = terms.Energy([data(64), *wells], n_y=64, assembled=False)
    start = 3.0 * np.random.default_rng(1).standard_normal(64)
    h, m = problem.hessian([], start), problem.majorant([], start, 0.5)
    assert (m.weights >= h.weights).all()
    solved = ImplicitFunction(problem, "cg+spectral").solve([], start)
    assert solved.report.converged
    assert solved.report.majorized_steps > 0


def test_curvatures_of_convex_terms_are_kept_and_no_response_is_no_division_by_zero():
    y = terms.patches((7, 8), (3, 3), border="symmetric")
    smooth = terms.term(lambda r, x, c: np.sqrt(1 + r[0] ** 2), y=y, lift=np.ones((1, 9)))
    convex = terms.Energy([data(56), smooth], n_y=56, assembled=False)
    u = RNG.standard_normal(56)
    h, same = convex.hessian([], u), convex.majorant([], u, 0.5)
    np.testing.assert_array_equal(h.weights, same.weights)
    u = np.where(np.arange(56) < 32, 5.0, 0.0) * RNG.standard_normal(56)  # no response below
    of_zero = experts(y, 2, np.eye(2, 9), assembled=False).majorant(np.zeros(2), u, 1.0)
    assert of_zero.weights.min() > 0.0
    assert of_zero.weights.max() == 1.0


def test_filters_of_several_windows_are_one_operator():
    shape, n = (10, 11), 110
    parts, exact = [data(n)], 0.0
    x, u = RNG.uniform(-1, 1, 2), RNG.standard_normal(n)
    for size in ((3, 3), (2, 4), (5, 1)):
        y = terms.patches(shape, size, border="symmetric")
        filters = RNG.standard_normal((2, len(y.points)))
        parts.append(terms.term(student(2), y=y, x=terms.shared(2), lift=filters))
        exact = exact + dense_hessian(filters, y.indices(), x, u)
    exact -= 2 * problem_data(n)
    for assembled in (False, True):
        problem = terms.Energy(parts, n_y=n, n_x=2, assembled=assembled)
        assert relative(problem.hessian(x, u) @ np.eye(n), exact) < 1e-13


def test_what_is_no_operator_of_filters_is_said():
    shape, n, f = (8, 9), 72, np.ones((2, 9))
    y = terms.patches(shape, (3, 3), border="symmetric")

    def refused(parts, said, n_y=n):
        with pytest.raises(StructureError, match=said):
            terms.Energy(parts, n_y=n_y, assembled=False).hessian([], np.ones(n_y))

    def both(r, x, c):
        return r[0] ** 2 + r[1] ** 2

    refused([terms.term(lambda r, x, c: np.sqrt(1 + r @ r), y=y, lift=f)], "couples its responses")
    smooth = terms.term(
        lambda y, x, c: (y[1] - y[0]) ** 4, y=terms.stencil(shape, [(0, 0), (0, 1)])
    )
    refused([smooth, terms.term(both, y=y, lift=f)], "couples its unknowns")
    refused([terms.term(both, y=y.indices(), lift=f)], "patches of a single image")
    nearest = terms.patches(shape, (3, 3), border="nearest")
    refused([terms.term(both, y=nearest, lift=f)], "border 'nearest'")
    refused([terms.term(both, y=y, lift=f), terms.term(both, y=nearest, lift=f)], "another grid")
    refused([terms.term(both, y=y, lift=f)], "not on all unknowns", n + 1)
    broken = terms.term(lambda r, x, c: np.sqrt(r[0]), y=y, lift=f[:1], name="roots")
    with pytest.raises(NonFinite, match="'roots' is not finite at element 0"):
        terms.Energy(broken, n_y=n, assembled=False).hessian([], np.zeros(n))


@pytest.mark.parametrize("border", ["symmetric", "inside"])
def test_the_same_bits_for_any_number_of_threads(border):
    shape, count = (60, 70), 12
    y = terms.patches(shape, (5, 4), border=border)
    made = [experts(y, count, terms.parameters(count, (count, 20)), 21 * count, assembled=a)
            for a in (True, False)]  # fmt: skip
    rng = np.random.default_rng(0)
    x, u = rng.uniform(-0.5, 0.5, 21 * count), rng.standard_normal(y.pixels)
    found, before = [], numba.get_num_threads()
    try:
        for threads in (1, 2):
            numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
            h = made[1].hessian(x, u)
            found.append([
                made[0].objective(x, u), made[0].gradient(x, u), made[0].cross_adjoint(x, u, u),
                made[0].cross_product(x, u, x), made[0].hessian(x, u).data, h.weights, h @ u,
            ])  # fmt: skip
    finally:
        numba.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_denoiser_by_filters_and_by_entries():
    """Newton with the spectral preconditioner and with a factorization: one state, one gradient."""
    shape, count = (16, 18), 5
    y = terms.patches(shape, (3, 3), border="symmetric")
    filters = RNG.standard_normal((count, 9))
    filters -= filters.mean(axis=1, keepdims=True)
    lift, x = terms.parameters(count, (count, 9)), np.append(np.full(count, -1.5), filters)
    found = []
    for assembled, solver in ((False, "cg+spectral"), (True, "superlu")):
        problem = experts(y, count, lift, x.size, assembled=assembled)
        solved = ImplicitFunction(problem, solver).solve(x, np.zeros(288), rtol=1e-10)
        found.append([solved.y, solved.vjp(np.cos(np.arange(288.0)), rtol=1e-10)])
    for a, b in zip(*found, strict=True):
        assert relative(a, b) < 1e-8
