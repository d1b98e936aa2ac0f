"""Hessians as coefficients on a grid, against the same terms as CSR and derivatives by hand."""

import numba
import numpy as np
import pytest

import sparseimplicit as si
from sparseimplicit.errors import NonFinite, StructureError
from sparseimplicit.imaging import total_variation
from tests.reference import tv as twin

SECOND = lambda y, x, c: np.exp(x[0]) * np.sqrt((y[0] - 2 * y[1] + y[2]) ** 2 + 1.0)
PAIR = lambda y, x, c: x[0] * np.log1p((y[1] - y[0]) ** 2) + 0.5 * y[0] ** 2


def both(shape, offsets, function, border="nearest"):
    term = si.term(function, y=si.stencil(shape, offsets, border=border), x=si.shared(1))
    n = int(np.prod(shape))
    return [si.Energy(term, n_y=n, n_x=1, assembled=assembled) for assembled in (True, False)]


@pytest.mark.parametrize("weight_map", [False, True])
@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (7, 5), (12, 9)])
def test_total_variation(shape, weight_map):
    u = np.random.default_rng(0).uniform(0, 255, shape)
    x = np.random.default_rng(1).uniform(0, 3, u.size if weight_map else 1)
    problem = total_variation(u, epsilon=1.3, weight_map=weight_map, assembled=False)
    found = problem.hessian(x, u.ravel() + 1.0)
    exact = twin.hessian(u, np.exp(x), 1.3).toarray()
    assert found.offsets == ((0, 0, 0), (0, 0, 1), (0, 1, -1), (0, 1, 0))
    assert np.abs(found.assemble().toarray() - exact).max() <= 1e-14 * np.abs(exact).max()


@pytest.mark.parametrize(
    ("shape", "offsets", "function", "border"),
    [
        ((9, 8), [(0, -1), (0, 0), (0, 1)], SECOND, "nearest"),
        ((9, 8), [(-1, -1), (0, 0), (1, 1)], SECOND, "inside"),
        ((9, 8), [(0, 0), (1, 1)], PAIR, "periodic"),
        ((12,), [(0,), (2,)], PAIR, "nearest"),  # at the border, two steps are one
        ((4, 5, 6), [(0, 0, 0), (1, 0, 0)], PAIR, "nearest"),
    ],
)
def test_any_terms_on_a_grid(shape, offsets, function, border):
    assembled, bare = both(shape, offsets, function, border)
    x, y = np.array([0.7]), np.random.default_rng(2).standard_normal(assembled.n_y)
    exact, found = assembled.hessian(x, y).toarray(), bare.hessian(x, y)
    v = np.random.default_rng(3).standard_normal(assembled.n_y)
    scale = np.abs(exact).max()
    assert np.abs(found.matvec(v) - exact @ v).max() <= 1e-13 * scale * np.abs(v).max()
    np.testing.assert_allclose(found.diagonal(), np.diag(exact), atol=1e-14 * scale)


CLOSED = [(2,), (4,), (1, 2), (2, 2), (3, 3), (2, 5), (5, 2), (4, 2), (2, 3, 1), (2, 3, 2)]


@pytest.mark.parametrize(
    ("shape", "border"),
    [(shape, "periodic") for shape in CLOSED]
    + [(shape, b) for shape in ((2, 1), (2, 3)) for b in ("nearest", "inside", "symmetric")],
)
def test_axes_of_few_points(shape, border):
    """Where both ways round a closed grid lead to one pixel, it is coupled once for each way."""
    steps = [tuple(size // 2 * (a == axis) for a in range(len(shape)))
             for axis, size in enumerate(shape) if size > 1]  # fmt: skip
    corner = tuple(size // 2 for size in shape)
    zero = (0,) * len(shape)

    def apart(y, x, c):
        weights = np.arange(1.0, y.size)
        return x[0] * np.sum(weights * (y[1:] - y[0]) ** 4) + 0.1 * y[0] ** 2 + y[0] * y[-1]

    assembled, bare = both(shape, [zero, *steps, corner], apart, border)
    y = np.random.default_rng(4).standard_normal(assembled.n_y)
    exact, found = assembled.hessian([0.7], y).toarray(), bare.hessian([0.7], y)
    scale = np.abs(exact).max()
    np.testing.assert_allclose(found @ np.eye(y.size), exact, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(found.assemble().toarray(), exact, rtol=0, atol=1e-13 * scale)


@pytest.mark.parametrize("border", ["nearest", "periodic", "symmetric"])
@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (1, 1), (1, 4, 5), (4, 1, 5)])
def test_axes_of_one_point_lead_nowhere(shape, border):
    """A step along such an axis ends where it began, at any border."""
    zero = (0,) * len(shape)
    steps = [tuple(int(a == axis) for a in range(len(shape))) for axis in range(len(shape))]
    phi = lambda y, x, c: np.exp(x[0]) * np.sqrt(np.sum((y[1:] - y[0]) ** 2) + 0.3) + y[0] ** 2
    assembled, bare = both(shape, [zero, *steps], phi, border)
    x, y = np.array([0.7]), np.random.default_rng(5).standard_normal(assembled.n_y)
    exact = assembled.hessian(x, y).toarray()
    np.testing.assert_allclose(bare.hessian(x, y) @ np.eye(y.size), exact, atol=1e-14)
    assert bare.check(x, y).passed


def test_the_same_bits_for_any_number_of_threads():
    f = np.random.default_rng(0).uniform(0, 255, (330, 310))
    problem = total_variation(f, assembled=False)
    found = []
    for threads in (1, 2):
        before = numba.get_num_threads()
        numba.set_num_threads(min(threads, before))
        found.append(problem.hessian(np.ones(1), f.ravel()).coefficients)
        numba.set_num_threads(before)
    np.testing.assert_array_equal(*found)


def test_a_denoised_image_by_multigrid_alone():
    f = np.random.default_rng(0).uniform(0, 255, (40, 50))
    states = [
        si.ImplicitFunction(total_variation(f, assembled=assembled), solver)
        .solve(2.0, f.ravel(), rtol=1e-10)
        .y
        for assembled, solver in ((True, "superlu"), (False, "multigrid"))
    ]
    np.testing.assert_allclose(*states, atol=1e-6)


def test_what_has_no_coefficients():
    fields = si.stencil((4, 4), [(0, 0), (0, 1)]) + si.stencil((4, 4), [(0, 0)], field=1)
    term = si.term(lambda y, x, c: y[0] * y[1] * y[2], y=fields)
    with pytest.raises(StructureError, match="one number a pixel"):
        si.Energy(term, n_y=32, assembled=False).hessian([], np.ones(32))
    loose = si.term(lambda y, x, c: (y[0] - y[1]) ** 2, y=np.array([[0, 15]]))
    grid = si.term(lambda y, x, c: y[0] ** 2, y=si.stencil((4, 4), [(0, 0)]))
    with pytest.raises(StructureError, match="assembled=False"):
        si.Energy([grid, loose], n_y=16, assembled=False).hessian([], np.ones(16))


def test_a_value_that_is_no_number_is_named():
    root = si.term(lambda y, x, c: np.sqrt(y[0] - y[1]), y=si.stencil((5, 5), [(0, 0), (0, 1)]),
                   name="root")  # fmt: skip
    with pytest.raises(NonFinite, match="root"):
        si.Energy(root, n_y=25, assembled=False).hessian([], np.zeros(25))
