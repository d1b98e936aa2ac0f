"""Images solved tile by tile: the minimiser of the whole, in the memory of a tile."""

from itertools import pairwise

import numpy as np
import pytest

from sparseimplicit.errors import MemoryBudgetExceeded, NotConverged, ShapeError
from sparseimplicit.imaging import (
    FieldsOfExperts,
    Observation,
    TotalVariation,
    add_noise,
    denoise,
    tiling,
)
from sparseimplicit.imaging.tiles import tiles_of
from sparseimplicit.imaging.tiling import Tiling, stagnates, tiling_for


def picture(shape=(60, 75)):
    i, j = np.indices(shape)
    return add_noise(70.0 + 80.0 * ((i // 12 + j // 14) % 2), 25.0, 0)


@pytest.mark.parametrize(("shape", "side"), [((60, 75), 20), ((7, 100), 32), ((1, 1), 16)])
def test_cores_cover_every_pixel_once(shape, side):
    times = np.zeros(shape, dtype=int)
    for tile in tiles_of(shape, side, 5):
        times[tile.core] += 1
        assert max(times[tile.core].shape) <= side
        inside = np.zeros(shape)
        inside[tile.whole][tile.inner] = 1.0
        assert np.array_equal(inside[tile.core], np.ones_like(inside[tile.core]))
        assert inside.sum() == inside[tile.core].size
    assert np.array_equal(times, np.ones(shape))


def observed(kind):
    image = picture()
    known = np.random.default_rng(0).random(image.shape) < 0.7
    known[20:35, 30:48] = False  # wider than a tile and its margin
    blur = np.random.default_rng(1).random((4, 7))
    return {
        "all": Observation(image),
        "mask": Observation(image, known.astype(float)),
        "blur": Observation(image, None, blur / blur.sum()),
    }[kind]


def small(kind="all", potential="charbonnier", margin=6):
    model = FieldsOfExperts(3, 8, potential)
    return Tiling(model, observed(kind), model.start((60, 75)), side=15, margin=margin)


@pytest.mark.parametrize("kind", ["all", "mask", "blur"])
def test_gradients_of_tiles_are_those_of_the_whole(kind):
    tiled = small(kind, margin=1)
    image = np.random.default_rng(2).uniform(0, 255, (60, 75))
    slope, scale = tiled.gradient(image)
    problem, y = tiled.model.problem(tiled.observed), image.ravel()
    whole = problem.gradient(tiled.theta, y).reshape(image.shape)
    np.testing.assert_allclose(slope, whole, rtol=0, atol=1e-12 * np.abs(whole).max())
    product = problem.hessian(tiled.theta, y) @ y
    assert scale == pytest.approx(np.linalg.norm(product), rel=1e-12)


@pytest.mark.parametrize(
    ("kind", "potential"),
    [("all", "log"), ("mask", "log"), *((k, "charbonnier") for k in ("all", "mask", "blur"))],
)
def test_tiles_come_to_the_minimiser_of_the_whole(kind, potential):
    tiled = small(kind, potential)
    model, theta = tiled.model, tiled.theta
    found = tiled.solve(1e-6)
    problem, y = model.problem(tiled.observed), found.image.ravel()
    size = np.linalg.norm(problem.gradient(theta, y))
    scale = np.linalg.norm(problem.hessian(theta, y) @ y)
    assert size <= 1e-6 * scale
    assert found.report.residual == pytest.approx(size, rel=1e-6)
    assert found.report.residual_relative == pytest.approx(size / scale, rel=1e-6)
    first = problem.gradient(theta, model.first_guess(tiled.observed))
    assert found.report.residual_before == pytest.approx(np.linalg.norm(first), rel=1e-9)
    assert len(found.report.history) > 1
    if potential == "charbonnier" or kind == "all":  # else there may be several minimisers
        whole = denoise(tiled.observed, model, theta, rtol=1e-10)
        np.testing.assert_allclose(found.image, whole.image, atol=5e-2)


def test_margins_are_as_wide_as_what_couples_and_what_is_missing():
    def widest(tiled):
        return max(t.whole[0].stop - t.whole[0].start for t in tiled.tiles)

    assert widest(small()) == 15 + 2 * 6
    assert widest(small(margin=1)) == 15 + 2 * 6  # twice the filters
    assert widest(small("blur")) == 15 + 2 * 14
    assert widest(small("mask")) > 15 + 2 * 8
    assert small("mask").memory > small().memory


def test_a_first_sweep_is_wrong_at_the_seams_and_the_next_put_it_right():
    history = small().solve(1e-9).report.history
    assert len(history) > 2
    assert all(after < 0.5 * before for before, after in pairwise(history))


def test_sweeps_that_are_too_few_are_told(monkeypatch):
    monkeypatch.setattr(tiling, "SWEEPS", 1)
    with pytest.raises(
        NotConverged, match="after sweep 1 over 20 tiles a gradient is left"
    ) as told:
        small().solve(1e-9)
    assert told.value.best.shape == (60, 75)
    assert not told.value.report.converged


def test_sweeps_stagnate_where_the_last_few_have_not_halved_the_gradient():
    assert not stagnates([1.0, 0.9, 0.8, 0.7])
    assert not stagnates([1.0, 0.9, 0.9, 0.6, 0.4])
    assert stagnates([1.0, 0.9, 0.8, 0.7, 0.6])


def test_the_curvature_is_a_bound_for_the_whole():
    image = picture((24, 30))
    model = FieldsOfExperts(3, 8, "log")
    found = denoise(image, model, rtol=1e-6, tile=12)
    hessian = model.problem(Observation(image)).hessian(
        model.start(image.shape), found.image.ravel()
    )
    dense = np.linalg.eigvalsh(hessian @ np.eye(image.size))
    assert dense[0] - 1e-9 <= found.smallest_curvature <= dense[0] + 0.1 * (dense[-1] - dense[0])


def test_tiles_are_told_one_by_one():
    seen = []
    denoise(picture(), FieldsOfExperts(3, 8), rtol=1e-3, tile=40, on_tile=lambda *k: seen.append(k))
    assert seen[:4] == [(1, 1, 4), (2, 1, 4), (3, 1, 4), (4, 1, 4)]


def test_tiles_are_made_where_memory_is_short(monkeypatch):
    model = FieldsOfExperts(5, 8)
    large, patch = Observation(np.zeros((1100, 900))), Observation(np.zeros((300, 300)))

    def side(observed, wanted):
        made = tiling_for(model, observed, None, None, wanted)
        return made and made.side

    monkeypatch.setattr(tiling, "available_bytes", lambda: 2 * model.memory(large.shape))
    assert side(large, None) is None
    monkeypatch.setattr(tiling, "available_bytes", lambda: int(1.3 * model.memory((576, 576))))
    assert side(large, None) == tiling.SIDE
    assert side(patch, None) is None
    assert side(patch, 100) == 100
    with pytest.raises(MemoryBudgetExceeded, match="the image by model 'foe' needs about"):
        side(large, 0)
    monkeypatch.setattr(tiling, "available_bytes", lambda: 10**6)
    with pytest.raises(MemoryBudgetExceeded, match="one tile by model 'foe' needs about"):
        side(large, None)


def test_models_without_tiles_say_so():
    assert tiling_for(TotalVariation(), Observation(picture()), None, None, None) is None
    with pytest.raises(ShapeError, match="tiles of 100 pixels a side for model 'tv'"):
        denoise(picture(), TotalVariation(), tile=100)


def test_the_memory_told_is_what_the_arrays_need_at_least():
    model = FieldsOfExperts(5, 24)
    image = picture((40, 40))
    hessian = model.problem(Observation(image)).hessian(model.start(image.shape), image.ravel())
    assert model.memory(image.shape) > hessian.weights.nbytes + hessian.stencil.nbytes
