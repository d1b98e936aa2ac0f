"""The model: its derivatives, and a gradient that is known to nine digits."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sparseimplicit as si
from sparseimplicit.errors import NonFinite, ShapeError
from sparseimplicit.imaging import add_noise, read_image, squared_error, total_variation
from tests.reference import tv as twin

ROOT = Path(__file__).resolve().parent.parent.parent
BSDS = ROOT.parent / "shared" / "data" / "bsds68" / "test001.png"


def cropped(size=(24, 31)):
    u = read_image(ROOT / "datasets" / "spacecraft.png")[150 : 150 + size[0], 200 : 200 + size[1]]
    return u, add_noise(u, 25.0, 0)


@pytest.mark.parametrize("weight_map", [False, True])
def test_derivatives_against_central_differences(weight_map):
    u, f = cropped()
    problem = total_variation(f, epsilon=2.0, weight_map=weight_map)
    x = np.random.default_rng(0).uniform(0, 3, f.size if weight_map else 1)
    check = si.verify.derivatives(problem, x, u.ravel() + np.cos(np.arange(u.size)))
    assert check.passed, str(check)


@pytest.mark.parametrize("weight_map", [False, True])
def test_a_gradient_by_dense_algebra_alone(weight_map):
    """Dense Newton on the twin's derivatives, then one dense adjoint solve."""
    u, f = cropped()
    truth = u.ravel()
    n_x = f.size if weight_map else 1
    theta = np.full(n_x, np.log(9.0))
    y = f.ravel().copy()
    for _ in range(60):
        g = y - f.ravel() + twin.gradient(y.reshape(f.shape), 9.0, 1.0)
        step = -np.linalg.solve(twin.hessian(y.reshape(f.shape), 9.0, 1.0).toarray(), g)
        t = 1.0
        value = lambda y: (
            0.5 * np.sum((y - f.ravel()) ** 2) + 9.0 * twin.energy(y.reshape(f.shape), 1.0, 1.0)
        )
        while value(y + t * step) > value(y) + 1e-4 * t * (g @ step) + 1e-12 * value(y):
            t /= 2
        y = y + t * step
    if weight_map:
        cross = twin.cross(y.reshape(f.shape), 9.0 * np.ones(f.size), 1.0).toarray()
    else:
        cross = twin.gradient(y.reshape(f.shape), 9.0, 1.0)[:, None]
    a = twin.hessian(y.reshape(f.shape), 9.0, 1.0).toarray()
    exact = -cross.T @ np.linalg.solve(a, y - truth)

    implicit = si.ImplicitFunction(total_variation(f, weight_map=weight_map))
    solved = implicit.solve(theta, f.ravel(), rtol=1e-12)
    h = si.hypergradient(squared_error(u), solved, rtol=1e-12)
    np.testing.assert_allclose(solved.y, y, atol=1e-7)
    assert np.linalg.norm(h.gradient - exact) <= 1e-9 * np.linalg.norm(exact)


def test_the_hessian_of_the_error_by_the_weight():
    u, f = cropped((8, 9))
    table = si.verify.hessian_taylor(
        si.ImplicitFunction(total_variation(f)), squared_error(u), 2.0, y0=f.ravel()
    )
    assert 1.9 < table.slope < 2.1, str(table)


@pytest.mark.skipif(not BSDS.exists(), reason="bsds68/test001.png (research use) is not here")
@pytest.mark.parametrize("solver", ["auto", "superlu", "cholmod"])
def test_the_known_answer(solver):
    if solver == "cholmod":
        pytest.importorskip("sksparse", reason="scikit-sparse is not installed (extra 'cholmod')")
    with Image.open(BSDS) as image:
        u = np.asarray(image, dtype=np.float64)[100:164, 200:264]
    f = u + 25 * np.random.default_rng(0).standard_normal((64, 64))
    gradients = []
    for weight_map in (False, True):
        implicit = si.ImplicitFunction(total_variation(f, weight_map=weight_map), solver)
        theta = np.full(f.size if weight_map else 1, np.log(16.0))
        solved = implicit.solve(theta, f.ravel(), rtol=1e-12)
        h = si.hypergradient(squared_error(u), solved, rtol=1e-12)
        assert h.value == pytest.approx(3.7340562506e05, rel=1e-10)
        gradients.append(h.gradient)
    assert gradients[0][0] == pytest.approx(1.0801582452e04, rel=1e-10)
    assert gradients[1].sum() == pytest.approx(1.0801582452e04, rel=1e-10)


@pytest.mark.parametrize("weight_map", [False, True])
@pytest.mark.parametrize("solver", ["auto", "superlu", "cg+amg"])
def test_taylor_slope_and_duality(weight_map, solver):
    u, f = cropped()
    implicit = si.ImplicitFunction(total_variation(f, weight_map=weight_map), solver)
    theta = np.full(f.size if weight_map else 1, 2.5)
    table = si.verify.taylor(implicit, squared_error(u), theta, y0=f.ravel())
    assert 1.9 < table.slope < 2.1, str(table)
    assert si.verify.duality(implicit.solve(theta, f.ravel())).error < 1e-10


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1)])
def test_images_of_one_row_or_column(shape):
    f = np.random.default_rng(0).uniform(0, 255, shape)
    solved = si.ImplicitFunction(total_variation(f)).solve(1.0, f.ravel())
    assert solved.report.converged
    if shape == (1, 1):
        assert solved.y[0] == f[0, 0]


def test_all_hessians_share_one_pattern():
    u, f = cropped()
    problem = total_variation(f)
    first, second = problem.hessian(np.ones(1), f.ravel()), problem.hessian(np.ones(1), u.ravel())
    assert first.indices is second.indices
    assert first.indptr is second.indptr
    assert first.has_canonical_format


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((3, 4, 3)), ShapeError, "grey"),
        (np.zeros(5), ShapeError, "grey"),
        (np.zeros((0, 4)), ShapeError, "grey"),
        (np.full((3, 4), np.nan), NonFinite, r"pixel \(0, 0\)"),
    ],
)
def test_what_is_no_image(image, error, message):
    with pytest.raises(error, match=message):
        total_variation(image)


def test_wrong_parameters():
    _, f = cropped()
    with pytest.raises(ShapeError, match="epsilon"):
        total_variation(f, epsilon=0.0)
    with pytest.raises(ShapeError, match="epsilon"):
        total_variation(f, epsilon=float("inf"))
    with pytest.raises(ShapeError, match=r"shape \(2,\); a real vector of size 1"):
        si.ImplicitFunction(total_variation(f)).solve(np.zeros(2), f.ravel())
