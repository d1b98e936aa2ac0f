"""What models do, to look at: images before and after, filters, potentials, maps, objectives.

Each function returns a PNG. They need matplotlib, the extra ``plot``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from .._optional import require
from ..linear.operator import Array
from .data import psnr
from .models import FieldsOfExperts, SavedModel

DETAIL: Final = 384  # larger images are shown by a detail of this size, where noise can be seen
COLUMNS: Final = 8  # of a mosaic


def comparison(name: str, noisy: Array, denoised: Array, truth: Array | None = None) -> bytes:
    """Draw an image before, denoised, true if known, and the difference denoised − true.

    Without the truth the difference is what was taken away, noisy − denoised. PSNR in the titles.
    """
    target = noisy if truth is None else truth
    panels = [(noisy, f"{name}\nnoisy{_decibel(noisy, truth)}"),
              (denoised, f"denoised{_decibel(denoised, truth)}")]  # fmt: skip
    if truth is not None:
        panels.append((truth, "truth"))
    difference = noisy - denoised if truth is None else denoised - truth
    window, reach = detail(target), float(np.percentile(np.abs(difference), 99.5)) + 1e-12
    sheet = new_sheet(3.4 * (len(panels) + 1), 3.6)
    axes = sheet.subplots(1, len(panels) + 1)
    for one, (image, title) in zip(axes, panels, strict=False):
        one.imshow(image[window], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        one.set_title(title, fontsize=8)
    shown = axes[-1].imshow(
        difference[window], cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="nearest"
    )
    axes[-1].set_title("taken away" if truth is None else "denoised − truth", fontsize=8)
    sheet.colorbar(shown, ax=axes[-1], shrink=0.7)
    for one in axes:
        one.set_axis_off()
    return as_png(sheet)


def filter_mosaic(
    bank: Array, weights: Array, potential: Callable[[Array], Array], reach: float
) -> bytes:
    """Draw filters (N, k, k), the heaviest first, each with its weight; and their potentials.

    potential : ρ of responses in grey levels, drawn from −reach to reach, times each weight.
    """
    order = np.argsort(-weights)
    rows = -(-len(bank) // COLUMNS)
    sheet = new_sheet(8.0, 0.95 * rows + 2.6)
    upper, lower = sheet.subfigures(2, 1, height_ratios=[0.95 * rows, 2.4])
    cells = np.atleast_2d(upper.subplots(rows, COLUMNS, squeeze=False))
    for cell in cells.ravel():
        cell.set_axis_off()
    for cell, k in zip(cells.ravel(), order, strict=False):
        most = float(np.abs(bank[k]).max()) or 1.0
        cell.imshow(bank[k], cmap="gray", vmin=-most, vmax=most, interpolation="nearest")
        cell.set_title(f"{weights[k]:.3g} · {np.linalg.norm(bank[k]):.2g}", fontsize=5, pad=1)
    axes = lower.subplots()
    z = np.linspace(-reach, reach, 401)
    for k in order:
        axes.plot(z, weights[k] * potential(np.linalg.norm(bank[k]) * z), lw=0.6, color="C0",
                  alpha=0.6)  # fmt: skip
    axes.set_xlabel("what a filter of norm 1 in its place finds / grey levels", fontsize=7)
    axes.set_title("potentials times weights; above: weight · norm of each filter", fontsize=7)
    axes.tick_params(labelsize=6)
    axes.grid(alpha=0.3)
    return as_png(sheet)


def weight_map(log_weight: Array, image: Array | None = None) -> bytes:
    """Draw a map of weights exp(θ), (h, w), beside its image if there is one."""
    sheet = new_sheet(8.4 if image is not None else 4.6, 3.8)
    axes = np.atleast_1d(sheet.subplots(1, 1 if image is None else 2))
    if image is not None:
        axes[0].imshow(image, cmap="gray", vmin=0, vmax=255)
        axes[0].set_title("image", fontsize=8)
        axes[0].set_axis_off()
    shown = axes[-1].imshow(np.exp(log_weight), cmap="viridis", norm="log")
    sheet.colorbar(shown, ax=axes[-1], shrink=0.8)
    axes[-1].set_title("weight exp(θ)", fontsize=8)
    axes[-1].set_axis_off()
    return as_png(sheet)


def objective_curve(values: Sequence[float], validation: Sequence[float] | None = None) -> bytes:
    """Draw the objective by evaluation, with the best so far; and PSNR on held-out images."""
    sheet = new_sheet(5.6, 3.4)
    axes = sheet.subplots()
    found = np.asarray(values, dtype=np.float64)
    axes.plot(found, "o", color="0.7", markersize=3, label="evaluation")
    axes.plot(np.minimum.accumulate(found), color="C0", label="best so far")
    axes.set_xlabel("evaluation of the upper level", fontsize=8)
    axes.set_ylabel("objective", fontsize=8)
    if found.min() > 0:
        axes.set_yscale("log")
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=7, which="both")
    axes.legend(fontsize=7, frameon=False)
    if validation is not None and len(validation):
        other = axes.twinx()
        places = np.linspace(0, found.size - 1, len(validation))
        other.plot(places, validation, "s-", color="C1", markersize=3)
        other.set_ylabel("PSNR held out / dB", fontsize=8, color="C1")
        other.tick_params(labelsize=7)
    return as_png(sheet)


def model_figure(saved: SavedModel, image: Array | None = None) -> bytes | None:
    """Draw what was learned: filters and potentials, or a map of weights; None for mere numbers."""
    model = saved.model
    if isinstance(model, FieldsOfExperts):
        blocks = model.packing((1, 1)).unpack(saved.theta)
        rho, scale, nu = model.penalty, model.scale, model.freedom
        return filter_mosaic(
            model.bank(saved.theta),
            np.exp(blocks.log_weights),
            lambda z: np.asarray(scale**2 * rho(z / scale, nu)),
            reach=6.0 * scale,
        )
    if saved.shape is not None:
        return weight_map(model.packing(saved.shape).unpack(saved.theta).log_weight, image)
    return None


def detail(image: Array) -> tuple[slice, slice]:
    """Return the window of size DETAIL with the largest variance, on a coarse raster."""
    height, width = (min(size, DETAIL) for size in image.shape)
    corners = [
        (i, j)
        for i in range(0, image.shape[0] - height + 1, DETAIL // 3)
        for j in range(0, image.shape[1] - width + 1, DETAIL // 3)
    ]
    i, j = max(corners, key=lambda c: np.var(image[c[0] : c[0] + height, c[1] : c[1] + width]))
    return slice(i, i + height), slice(j, j + width)


def _decibel(image: Array, truth: Array | None) -> str:
    return "" if truth is None else f", {psnr(image, truth):.2f} dB"


def new_sheet(width: float, height: float) -> Any:
    """Return an empty figure, of inches."""
    drawing = require("matplotlib.figure", extra="plot", purpose="drawing figures")
    canvas = require("matplotlib.backends.backend_agg", extra="plot", purpose="drawing figures")
    sheet = drawing.Figure(figsize=(width, height), layout="constrained")
    canvas.FigureCanvasAgg(sheet)
    return sheet


def as_png(sheet: Any) -> bytes:
    """Return a figure as the bytes of a file."""
    held = io.BytesIO()
    sheet.savefig(held, format="png", dpi=120)
    return held.getvalue()
