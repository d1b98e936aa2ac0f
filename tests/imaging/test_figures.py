"""Figures are pictures, and show what they are given."""

import io

import numpy as np
import pytest
from PIL import Image

from sparseimplicit.imaging import FieldsOfExperts, SavedModel, TotalVariation, figures

RNG = np.random.default_rng(0)
TRUTH = np.kron(RNG.integers(0, 256, (5, 6)), np.ones((9, 9))).astype(float)
NOISY = TRUTH + 20.0 * RNG.standard_normal(TRUTH.shape)
FIXED = FieldsOfExperts(3, 8)


def drawn(png):
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB")).astype(float)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: figures.comparison("a.png", NOISY, TRUTH + 1.0, TRUTH),
        lambda: figures.comparison("a.png", NOISY, NOISY),
        lambda: figures.weight_map(RNG.standard_normal((20, 30)), TRUTH),
        lambda: figures.objective_curve([3.0, 2.0, 2.5, 1.0], [27.0, 27.5]),
        lambda: figures.objective_curve([0.0]),
        lambda: figures.model_figure(SavedModel(FIXED, FIXED.start((1, 1)))),
    ],
)
def test_something_is_drawn(draw):
    picture = drawn(draw())
    assert min(picture.shape[:2]) > 200
    assert len(np.unique(picture.reshape(-1, 3)[::7], axis=0)) > 8


def test_other_images_and_filters_are_other_pictures():
    one = drawn(figures.comparison("a", NOISY, TRUTH, TRUTH))
    other = drawn(figures.comparison("a", NOISY, NOISY, TRUTH))
    assert np.abs(one - other).max() > 50
    start = FIXED.start((1, 1))
    moved = drawn(figures.model_figure(SavedModel(FIXED, start + np.arange(8.0) / 4)))
    plain = drawn(figures.model_figure(SavedModel(FIXED, start)))
    assert moved.shape == plain.shape
    assert np.abs(moved - plain).max() > 50


def test_a_number_is_no_picture_and_a_map_is():
    assert figures.model_figure(SavedModel(TotalVariation(), np.zeros(1))) is None
    a_map = SavedModel(TotalVariation(weight="map"), RNG.standard_normal(12), (3, 4))
    assert drawn(figures.model_figure(a_map)).size


def test_the_detail_is_where_something_is():
    image = np.zeros((900, 1000))
    image[600:700, 700:800] = RNG.uniform(0, 255, (100, 100))
    window = figures.detail(image)
    assert image[window].shape == (figures.DETAIL, figures.DETAIL)
    assert image[window].any()
