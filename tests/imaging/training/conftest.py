"""Small trainings that many tests share: details of the shipped photographs."""

from pathlib import Path

import pytest

from sparseimplicit.imaging import TotalVariation, read_image
from sparseimplicit.imaging.training import (
    Accuracy,
    FullBatch,
    Minibatch,
    Training,
    Validation,
    draw_crops,
    noisy_examples,
)

DATASETS = Path(__file__).resolve().parents[3] / "datasets"
NAMES = ["lantern.png", "dandelion.png", "pier.png", "spacecraft.png"]


def photographs():
    return [(name, read_image(DATASETS / name)) for name in NAMES]


@pytest.fixture(scope="session")
def examples():
    """Six pairs, 20 × 20 and 24 × 24 by turns, so that no two neighbours are of one size."""
    small, large = (draw_crops(photographs(), size, 3, seed=5) for size in (20, 24))
    mixed = [pair for both in zip(small, large, strict=True) for pair in both]
    return noisy_examples(mixed, 25.0, seed=0)


@pytest.fixture(scope="session")
def held_out():
    return noisy_examples(draw_crops(photographs(), 22, 2, seed=9), 25.0, seed=1)


@pytest.fixture(scope="session")
def plan(examples, held_out):
    """Two weights of total variation, far from the best: Adam first, then L-BFGS."""
    return Training(
        TotalVariation(weight="directions"),
        examples,
        (
            Minibatch(steps=4, batch=3, rate=0.2, accuracy=Accuracy(1e-3, 1e-5, 3), error_every=2),
            FullBatch(max_iterations=4, accuracy=Accuracy(1e-4, 1e-6, 3), error_every=3,
                      scales={"log_weight": 0.7}),
        ),
        Validation(held_out, every=2),
        start=[1.0, 1.5],
    )  # fmt: skip
