"""Terms that are summed over points inside each element, against all points written out."""

import numpy as np
import pytest

from sparseimplicit import derivatives as terms
from sparseimplicit.errors import NonFinite, ShapeError, StructureError

RNG = np.random.default_rng(11)
E, Q, N_Y, N_X = 40, 3, 25, 9
Y = np.argsort(RNG.random((E, N_Y)), axis=1)[:, :4]
X = RNG.integers(0, N_X - 2, (E, 2))
C = RNG.uniform(1, 2, (E, 2))
TABLE, EACH = RNG.uniform(1, 2, (Q, 2)), RNG.uniform(1, 2, (E, Q, 1))


def local(y, x, c, p):
    u = p[0] * y[0] - p[2] * y[1] + c[0] * y[3]
    return np.stack([
        np.exp(0.3 * x[0]) * u**2 * p[1] + x[3], c[1] * u * y[2] + x[1], p[1] * np.sin(x[2] * u)
    ])  # fmt: skip


def energy(y, x, c, p):
    return np.exp(0.2 * x[0]) * np.sqrt(1.0 + (p[0] * y[0] - p[2] * y[1]) ** 2) * p[1] + x[2] * y[3]


def written_out(function):
    """The same with each point as an element of its own, its numbers as data."""
    together = np.concatenate([np.broadcast_to(TABLE, (E, Q, 2)), EACH], axis=2).reshape(E * Q, 3)
    c = np.hstack([np.repeat(C, Q, axis=0), together])
    return {
        "function": lambda y, x, c: function(y, x, c[:2], c[2:]),
        "y": np.repeat(Y, Q, axis=0), "c": c,
        "x": [np.repeat(X, Q, axis=0), terms.shared(2, first=N_X - 2)],
    }  # fmt: skip


def pair():
    x = [X, terms.shared(2, first=N_X - 2)]
    own = terms.part(local, rows=Y[:, :3], y=Y, x=x, c=C, points=[TABLE, EACH])
    other = terms.part(rows=np.repeat(Y[:, :3], Q, axis=0), **written_out(local))
    return [terms.Residual([p], n_y=N_Y, n_x=N_X, fixed=[3]) for p in (own, other)]


X_AT, Y_AT = RNG.standard_normal(N_X), RNG.standard_normal(N_Y)


def test_residual_over_points():
    own, other = pair()
    v, w, d = (np.random.default_rng(5).standard_normal(n) for n in (N_Y, N_Y, N_X))
    for a, b in [
        (own.residual(X_AT, Y_AT), other.residual(X_AT, Y_AT)),
        (own.state_jacobian(X_AT, Y_AT).toarray(), other.state_jacobian(X_AT, Y_AT).toarray()),
        (own.parameter_product(X_AT, Y_AT, d), other.parameter_product(X_AT, Y_AT, d)),
        (own.parameter_adjoint(X_AT, Y_AT, w), other.parameter_adjoint(X_AT, Y_AT, w)),
        (own.state_adjoint(X_AT, Y_AT, w), other.state_adjoint(X_AT, Y_AT, w)),
        (own.third_contraction(X_AT, Y_AT, w, by="x", y_directions=[v]),
         other.third_contraction(X_AT, Y_AT, w, by="x", y_directions=[v])),
    ]:  # fmt: skip
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    assert own.check(X_AT, Y_AT).passed


def test_energy_over_points():
    x = [X, terms.shared(1, first=N_X - 1)]
    own = terms.Energy([terms.term(energy, Y, x, C, points=[TABLE, EACH])], n_y=N_Y, n_x=N_X)
    out = written_out(energy) | {"x": [np.repeat(X, Q, axis=0), terms.shared(1, first=N_X - 1)]}
    other = terms.Energy([terms.term(**out)], n_y=N_Y, n_x=N_X)
    assert own.objective(X_AT, Y_AT) == pytest.approx(other.objective(X_AT, Y_AT), rel=1e-13)
    for name in ("gradient", "hessian"):
        a, b = getattr(own, name)(X_AT, Y_AT), getattr(other, name)(X_AT, Y_AT)
        assert abs(a - b).max() < 1e-12
    assert own.check(X_AT, Y_AT).passed


def test_one_point_is_unrolled_however_many_there_are():
    """The kernel of 3 and of 300 points is the same text but for the length of the loop."""
    sources = []
    for count in (3, 300):
        part = terms.part(
            lambda y, x, c, p: p[0] * y**3, rows=Y[:, :2], y=Y[:, :2], points=np.ones((count, 1))
        )
        problem = terms.Residual([part], n_y=N_Y)
        problem.residual(None if problem.n_x else [], Y_AT)
        kernels = [k for key, k in problem._assembly._made.items() if key[0] == "list"]
        sources.append(kernels[0].source.replace(f"range({count})", "range(Q)"))
    assert sources[0] == sources[1]


@pytest.mark.parametrize(
    ("points", "error", "told"),
    [
        (np.ones(3), ShapeError, "of shape \\(3,\\)"),
        (np.ones((E + 1, Q, 1)), ShapeError, f"has {E + 1} elements"),
        ([np.ones((3, 1)), np.ones((2, 1))], ShapeError, "\\[2, 3\\] points"),
        (np.full((3, 1), np.nan), NonFinite, "NaN"),
    ],
)
def test_points_that_are_none(points, error, told):
    part = terms.part(lambda y, x, c, p: y[:1], rows=Y[:, :1], y=Y, points=points)
    with pytest.raises(error, match=told):
        terms.Residual([part], n_y=N_Y)


def test_the_function_takes_four_arguments():
    part = terms.part(lambda y, x, c: y[:1], rows=Y[:, :1], y=Y, points=np.ones((2, 1)))
    with pytest.raises(StructureError, match="four arguments"):
        terms.Residual([part], n_y=N_Y)


def test_what_is_not_finite_is_named_with_its_point():
    part = terms.part(
        lambda y, x, c, p: np.stack([np.log(y[0] - p[0])]), rows=Y[:, :1], y=Y,
        points=np.array([[-10.0], [10.0]]),
    )  # fmt: skip
    with pytest.raises(NonFinite, match="element 0, point 1"):
        terms.Residual([part], n_y=N_Y).residual([], np.zeros(N_Y))
