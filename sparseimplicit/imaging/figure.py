"""What learning did, to look at: noisy, denoised and true images, and the objective falling."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from .._optional import require
from ..linear.operator import Array
from .training import Learned

DETAIL: Final = 384  # larger images are shown by a detail of this size, where noise can be seen
ROWS: Final = 5


def figure(
    names: Sequence[str], noisy: Sequence[Array], truth: Sequence[Array], learned: Learned
) -> bytes:
    """Return a PNG: a row an image (noisy, denoised, truth), and the objective by evaluation.

    Raises
    ------
    MissingBackend
        Without the extra ``plot``.
    """
    purpose = "drawing the figure"
    drawing = require("matplotlib.figure", extra="plot", purpose=purpose)
    canvas = require("matplotlib.backends.backend_agg", extra="plot", purpose=purpose)
    rows = min(len(names), ROWS)
    sheet = drawing.Figure(figsize=(9.0, 2.9 * rows + 3.0), layout="constrained")
    canvas.FigureCanvasAgg(sheet)
    # Apart, so that the labels of the plots do not push the columns of images asunder.
    images, plots = sheet.subfigures(2, 1, height_ratios=[2.9 * rows, 2.8])
    for i in range(rows):
        _images(images, (rows, i), names[i], noisy[i], truth[i], learned)
    left, right = plots.subplots(1, 2, width_ratios=[2, 1])
    _objective(left, learned)
    _scores(right, learned)
    held = io.BytesIO()
    sheet.savefig(held, format="png", dpi=110)
    return held.getvalue()


def _images(
    sheet: Any, place: tuple[int, int], name: str, noisy: Array, truth: Array, learned: Learned
) -> None:
    rows, row = place
    score = learned.scores[row]
    window = _detail(truth)
    shown = (
        (noisy, f"{name}\nnoisy, {score.noisy:.2f} dB"),
        (score.denoised, f"denoised, {score.learned:.2f} dB"),
        (truth, "truth"),
    )
    for column, (image, title) in enumerate(shown):
        axes = sheet.add_subplot(rows, 3, 3 * row + column + 1)
        axes.imshow(image[window], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(title, fontsize=8)
        axes.set_axis_off()


def _detail(image: Array) -> tuple[slice, slice]:
    """Return the window of size DETAIL with the largest variance, on a coarse raster."""
    height, width = (min(size, DETAIL) for size in image.shape)
    corners = [
        (i, j)
        for i in range(0, image.shape[0] - height + 1, DETAIL // 3)
        for j in range(0, image.shape[1] - width + 1, DETAIL // 3)
    ]
    i, j = max(corners, key=lambda c: np.var(image[c[0] : c[0] + height, c[1] : c[1] + width]))
    return slice(i, i + height), slice(j, j + width)


def _objective(axes: Any, learned: Learned) -> None:
    values = np.array([e.value for e in learned.result.history])
    axes.plot(values, "o", color="0.7", markersize=4, label="evaluation")
    axes.plot(np.minimum.accumulate(values), color="C0", label="best so far")
    axes.set_xlabel("evaluation of the upper level", fontsize=8)
    axes.set_ylabel("half the mean squared error", fontsize=8)
    if values.min() > 0:
        axes.set_yscale("log")
    axes.tick_params(labelsize=7, which="both")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, frameon=False)
    axes.set_title("objective", fontsize=8)


def _scores(axes: Any, learned: Learned) -> None:
    """PSNR by image at three stages; a weight map is shown instead where one was learned."""
    shape = learned.scores[0].denoised.shape
    if learned.theta.size == shape[0] * shape[1] > 1:
        shown = axes.imshow(np.exp(learned.theta).reshape(shape), cmap="viridis")
        axes.figure.colorbar(shown, ax=axes, shrink=0.8)
        axes.set_title("weight map", fontsize=8)
        axes.set_axis_off()
        return
    stages = ("noisy", "start", "learned")
    for score in learned.scores:
        axes.plot(stages, [getattr(score, stage) for stage in stages], "o-", markersize=4)
    axes.set_ylabel("PSNR / dB", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    axes.set_title(f"weight exp(θ) = {np.exp(learned.theta[0]):.3f}", fontsize=8)
