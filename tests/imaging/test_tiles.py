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
    tiles,
)
from sparseimplicit.imaging.tiles import Tiling, side_of_tiles, tiles_of


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


def observations():
    image = picture()
    known = np.random.default_rng(0).random(image.shape) < 0.7
    known[20:45, 30:60] = False  # wider than a tile and its margin
    return {
        "all": Observation(image),
        "mask": Observation(image, known.astype(float)),
        "blur": Observation(image, None, np.outer([1, 2, 1], [1, 2, 1]) / 16.0),
    }


@pytest.mark.parametrize("kind", ["all", "mask", "blur"])
@pytest.mark.parametrize("potential", ["log", "charbonnier"])
def test_tiles_come_to_the_minimiser_of_the_whole(kind, potential):
    observed, model = observations()[kind], FieldsOfExperts(3, 8, potential)
    theta = model.start(observed.shape)
    whole = denoise(observed, model, theta, rtol=1e-10)
    tiled = denoise(observed, model, theta, rtol=1e-6, tile=20)
    assert tiled.tiles == 12
    assert tiled.solved is None
    problem, y = model.problem(observed), tiled.image.ravel()
    size = np.linalg.norm(problem.gradient(theta, y))
    scale = np.linalg.norm(problem.hessian(theta, y) @ y)
    assert size <= 1e-6 * scale
    assert tiled.report.residual == pytest.approx(size, rel=1e-6)
    assert tiled.report.residual_relative == pytest.approx(size / scale, rel=1e-6)
    if potential == "charbonnier" or kind == "all":  # else there may be several minimisers
        np.testing.assert_allclose(tiled.image, whole.image, atol=2e-2)


def narrow():
    image, model = picture(), FieldsOfExperts(3, 8, "charbonnier")
    return Tiling(model, Observation(image), model.start(image.shape), side=20, margin=6)


def test_a_first_sweep_is_wrong_at_the_seams_and_the_next_put_it_right():
    history = narrow().solve(1e-9).report.history
    assert len(history) > 2
    assert all(after < 0.5 * before for before, after in pairwise(history))


def test_what_reaches_beyond_every_margin_does_not_converge(monkeypatch):
    monkeypatch.setattr(tiles, "SWEEPS", 1)
    with pytest.raises(NotConverged, match="after sweep 1 over 12 tiles a gradient is left"):
        narrow().solve(1e-9)


def test_the_curvature_is_a_bound_for_the_whole():
    image = picture((24, 30))
    model = FieldsOfExperts(3, 8, "log")
    found = denoise(image, model, rtol=1e-6, tile=12)
    hessian = model.problem(Observation(image)).hessian(
        model.start(image.shape), found.image.ravel()
    )
    dense = np.linalg.eigvalsh(hessian @ np.eye(image.size))
    assert dense[0] - 1e-9 <= found.smallest_curvature <= dense[0] + 0.2 * dense[-1]


def test_tiles_are_told_one_by_one():
    seen = []
    denoise(picture(), FieldsOfExperts(3, 8), rtol=1e-3, tile=40, on_tile=lambda *k: seen.append(k))
    assert seen[:4] == [(1, 1, 4), (2, 1, 4), (3, 1, 4), (4, 1, 4)]


def test_tiles_are_made_where_memory_is_short(monkeypatch):
    model, shape = FieldsOfExperts(7, 48), (4000, 5000)
    monkeypatch.setattr(tiles, "available_bytes", lambda: 2 * model.memory((600, 600)))
    assert side_of_tiles(model, shape, None) == tiles.SIDE
    assert side_of_tiles(model, (300, 300), None) == 0
    assert side_of_tiles(model, shape, 100) == 100
    with pytest.raises(MemoryBudgetExceeded, match="4000 × 5000 pixels of model 'foe' need about"):
        side_of_tiles(model, shape, 0)
    monkeypatch.setattr(tiles, "available_bytes", lambda: 10**6)
    with pytest.raises(MemoryBudgetExceeded, match="576 × 576"):
        side_of_tiles(model, shape, None)


def test_models_without_tiles_say_so():
    assert side_of_tiles(TotalVariation(), (4000, 5000), None) == 0
    with pytest.raises(ShapeError, match="tiles of 100 pixels a side for model 'tv'"):
        denoise(picture(), TotalVariation(), tile=100)


def test_the_memory_told_is_what_the_arrays_need_at_least():
    model = FieldsOfExperts(5, 24)
    image = picture((40, 40))
    hessian = model.problem(Observation(image)).hessian(model.start(image.shape), image.ravel())
    assert model.memory(image.shape) > hessian.weights.nbytes + hessian.stencil.nbytes
