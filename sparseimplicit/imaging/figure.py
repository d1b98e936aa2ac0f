"""What learning did, to look at: noisy, denoised and true images, and the objective falling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ..linear.operator import Array
from .figures import as_png, detail, new_sheet
from .training import Example, Score, Trained, Training

ROWS: Final = 5


def figure(plan: Training, trained: Trained) -> bytes:
    """Return a PNG: a row an image (noisy, denoised, truth), the objective by step, and PSNR.

    Raises
    ------
    MissingBackend
        Without the extra ``plot``.
    """
    rows = min(len(plan.examples), ROWS)
    whole = new_sheet(9.0, 2.9 * rows + 3.0)
    # Apart, so that the labels of the plots do not push the columns of images asunder.
    images, plots = whole.subfigures(2, 1, height_ratios=[2.9 * rows, 2.8])
    for row, (example, score) in enumerate(
        zip(plan.examples[:rows], trained.scores[:rows], strict=True)
    ):
        _images(images, (rows, row), example, score)
    left, right = plots.subplots(1, 2, width_ratios=[2, 1])
    _objective(left, trained)
    _scores(right, plan, trained)
    return as_png(whole)


def _images(canvas: Any, place: tuple[int, int], example: Example, score: Score) -> None:
    rows, row = place
    assert score.denoised is not None  # noqa: S101 - the first few images are kept
    window = detail(example.truth)
    shown = (
        (example.observed.image, f"{example.name}\nnoisy, {score.noisy:.2f} dB"),
        (score.denoised, f"denoised, {score.learned:.2f} dB"),
        (example.truth, "truth"),
    )
    for column, (image, title) in enumerate(shown):
        axes = canvas.add_subplot(rows, 3, 3 * row + column + 1)
        axes.imshow(image[window], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(title, fontsize=8)
        axes.set_axis_off()


def _objective(axes: Any, trained: Trained) -> None:
    steps = np.array([step.step for step in trained.history])
    values = np.array([step.value for step in trained.history])
    axes.plot(steps, values, "o", color="0.6", markersize=3, label="objective")
    if values.min() > 0:
        axes.set_yscale("log")
    axes.set_xlabel("step", fontsize=8)
    axes.set_ylabel("half the mean squared error", fontsize=8)
    axes.tick_params(labelsize=7, which="both")
    axes.grid(alpha=0.3)
    axes.set_title("objective, of the images of each step", fontsize=8)
    looks = [(s.step, s.validation) for s in trained.history if s.validation is not None]
    if looks:
        other = axes.twinx()
        other.plot(*zip(*looks, strict=True), "s-", color="C1", markersize=3)
        other.set_ylabel("PSNR held out / dB", fontsize=8, color="C1")
        other.tick_params(labelsize=7)


def _scores(axes: Any, plan: Training, trained: Trained) -> None:
    """PSNR by image at three stages; a weight map is shown instead where one was learned."""
    name = next(iter(plan.packing.shapes))
    if plan.packing.shapes[name] == plan.shape:
        shown = axes.imshow(_block(plan, trained, name), cmap="viridis", norm="log")
        axes.figure.colorbar(shown, ax=axes, shrink=0.8)
        axes.set_title("weight map", fontsize=8)
        axes.set_axis_off()
        return
    stages = ("noisy", "start", "learned")
    scores: Sequence[Score] = trained.scores[:60]
    for score in scores:
        axes.plot(stages, [getattr(score, stage) for stage in stages], "o-", markersize=3, lw=0.8)
    axes.set_ylabel("PSNR / dB", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    weights = _block(plan, trained, name)
    told = f"weight exp(θ) = {weights:.3f}" if weights.ndim == 0 else f"{weights.size} weights"
    axes.set_title(told, fontsize=8)


def _block(plan: Training, trained: Trained, name: str) -> Array:
    return np.asarray(np.exp(plan.packing.unpack(trained.theta)[name]))
