"""One test image: noise, the model's answer, and how near it comes; kept as a record on disk."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..files import write_atomically
from ..linear.operator import Array
from .data import add_noise, psnr, read_image
from .denoising import denoise
from .figures import comparison
from .models import SavedModel
from .similarity import WINDOW, ssim


@dataclass(frozen=True)
class ImageScore:
    """What one image gave. PSNR in dB."""

    image: str
    index: int
    height: int
    width: int
    psnr_noisy: float
    psnr: float
    ssim_noisy: float
    ssim: float
    seconds: float
    newton_iterations: int
    products: int
    state_residual: float
    linear_solver: str
    smallest_curvature: float | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Trial:
    """What is asked of one image; together with its pixels it decides the score.

    noise: image ``index`` gets ``sigma · default_rng([seed, index]).standard_normal(shape)``.
    """

    path: Path
    index: int
    model: SavedModel
    sigma: float
    seed: int
    rtol: float
    linear_solver: str | None
    record: Path
    figure: Path | None

    def key(self, truth: Array) -> str:
        """Return a digest of all that the score depends on."""
        asked = question(self.model, self.sigma, self.seed, self.rtol, self.linear_solver)
        digest = hashlib.sha256(json.dumps([asked, self.index, truth.shape]).encode())
        digest.update(np.ascontiguousarray(truth).tobytes())
        return digest.hexdigest()


def question(
    model: SavedModel, sigma: float, seed: int, rtol: float, linear_solver: str | None
) -> str:
    """Return a digest of all that is asked, whatever the image."""
    told = [model.model.kind, model.model.settings(), model.sigma, sigma, seed, rtol,
            linear_solver]  # fmt: skip
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(model.theta).tobytes())
    return digest.hexdigest()


def read_truth(path: Path) -> Array:
    """Read a test image, of at least the window of structural similarity.

    Raises
    ------
    ConfigError
    """
    truth = read_image(path)
    if min(truth.shape) < WINDOW:
        raise ConfigError(
            f"{path} has {truth.shape[0]} × {truth.shape[1]} pixels; structural similarity needs "
            f"{WINDOW} × {WINDOW}.",
            fix="leave it out of the folder.",
        )
    return truth


def finished(trial: Trial) -> ImageScore | None:
    """Return the score that is on disk, if it is that of this very trial and its figure is there.

    A record that cannot be read counts as none.
    """
    if trial.figure is not None and not trial.figure.exists():
        return None
    try:
        record = json.loads(trial.record.read_text(encoding="utf-8"))
        score, key = record["score"], record["key"]
        known = {f.name for f in fields(ImageScore)}
        if set(score) != known or key != trial.key(read_truth(trial.path)):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return ImageScore(**{**score, "warnings": tuple(score["warnings"])})


def run(trial: Trial) -> ImageScore:
    """Add noise, denoise, compare; write the record, and the figure if one is wanted.

    Raises
    ------
    NotConverged, ConfigError, …
        With the name of the image.
    """
    truth = read_truth(trial.path)
    noisy = add_noise(truth, trial.sigma, [trial.seed, trial.index])
    theta = trial.model.theta_for((truth.shape[0], truth.shape[1]))
    started = time.perf_counter()
    found = denoise(
        noisy,
        trial.model.model,
        theta,
        sigma=None if trial.model.sigma is None or trial.sigma == 0.0 else trial.sigma,
        model_sigma=trial.model.sigma,
        linear_solver=trial.linear_solver,
        rtol=trial.rtol,
    )
    seconds = time.perf_counter() - started
    report = found.report
    score = ImageScore(
        image=trial.path.name,
        index=trial.index,
        height=truth.shape[0],
        width=truth.shape[1],
        psnr_noisy=psnr(noisy, truth),
        psnr=psnr(found.image, truth),
        ssim_noisy=ssim(noisy, truth),
        ssim=ssim(found.image, truth),
        seconds=seconds,
        newton_iterations=report.iterations,
        products=report.linear_iterations,
        state_residual=report.residual_relative,
        linear_solver=report.linear_solver,
        smallest_curvature=found.smallest_curvature,
        warnings=found.warnings,
    )
    if trial.figure is not None:  # of an earlier trial, beside the record of this one
        trial.figure.unlink(missing_ok=True)
    record: dict[str, Any] = {"key": trial.key(truth), "score": asdict(score)}
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    write_atomically(trial.record, lambda file: file.write(text.encode()))
    if trial.figure is not None:
        picture = comparison(trial.path.name, noisy, found.image, truth)
        write_atomically(trial.figure, lambda file: file.write(picture))
    return score
