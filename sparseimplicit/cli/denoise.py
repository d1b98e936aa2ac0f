"""``sparseimplicit denoise``: photographs in, photographs out."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from rich.console import Console

from ..errors import ConfigError, SparseImplicitError
from ..files import write_atomically
from ..imaging.data import psnr
from ..imaging.denoising import Denoised
from ..imaging.denoising import denoise as minimiser
from ..imaging.figures import comparison
from ..imaging.models import SavedModel
from ..imaging.observation import Observation
from ..imaging.photos import Photo, read_photo
from ..imaging.similarity import WINDOW, ssim
from ..linear.operator import Array
from .files import check_writable, read_array
from .models import ModelName, Weight, check_sigma, chosen_model

MINUTE: Final = 60.0  # seconds
LOSSLESS: Final = (".png", ".tif", ".tiff", ".bmp", ".pgm", ".ppm")


def denoise(
    photos: Annotated[list[Path], typer.Argument(help="Images that Pillow reads, of any size.")],
    model: ModelName,
    sigma: Annotated[
        float | None,
        typer.Option(
            help="Noise, in grey levels of 255; by default the model's, 25 for a kind alone."
        ),
    ] = None,
    weight: Weight = None,
    out: Annotated[Path, typer.Option(help="A folder; or a file, for one photograph.")] = Path(
        "results/denoise"
    ),
    blur: Annotated[
        Path | None, typer.Option(help="Kernel of a known blur: .npy, or an image (sum made 1).")
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(help="Image or .npy, 0 where nothing was measured.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="The true image, or a folder of them: print PSNR and SSIM.")
    ] = None,
    figure: Annotated[bool, typer.Option(help="Draw before, after and difference, too.")] = False,
    rtol: Annotated[float, typer.Option(help="How exactly the model's energy is minimised.")] = (
        1e-5
    ),
    solver: Annotated[str | None, typer.Option(help="Linear solver; by default the model's.")] = (
        None
    ),
    tile: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Solve in tiles of so many pixels a side, to the same image; by default where "
            "memory is short for a field of experts. 0: never.",
        ),
    ] = None,
) -> None:
    """Denoise photographs by a trained model.

    For example:

    sparseimplicit denoise photo.png --model tv --sigma 25

    sparseimplicit denoise *.tif --model my.npz --out clean/

    sparseimplicit denoise old.png --model tv --weight 5 --mask holes.png --out mended.png

    Colours are denoised apart; bit depth, transparency and colour profile are kept. JPEG becomes
    PNG, unless --out names a file.

    Exit codes: 0 written, 2 bad input, 10 not converged, 11 singular or not positive definite.
    """
    saved = chosen_model(model, weight)
    check_sigma(sigma, saved, model)
    job = _Job(saved, sigma, _read_blur(blur), mask, truth, figure, rtol, solver, tile)
    targets = _targets(photos, out)
    for photo, target in zip(photos, targets, strict=True):
        _check(job, photo, target)
    for folder in {target.parent for target in targets}:
        check_writable(folder)
    for photo, target in zip(photos, targets, strict=True):
        try:
            _run(job, read_photo(photo), target)
        except SparseImplicitError as error:
            raise error.at(str(photo)) from error.__cause__


@dataclass(frozen=True)
class _Job:
    saved: SavedModel
    sigma: float | None
    blur: Array | None
    mask: Path | None
    truth: Path | None
    figure: bool
    rtol: float
    solver: str | None
    tile: int | None

    def weights(self, photo: Photo) -> Array | None:
        return None if self.mask is None else _read_mask(self.mask, photo)

    def true(self, photo: Photo) -> Array | None:
        if self.truth is None:
            return None
        path = self.truth / photo.path.name if self.truth.is_dir() else self.truth
        known = read_photo(path).channels
        if known.shape != photo.channels.shape:
            raise ConfigError(
                f"--truth {path} has {_size(known)}, {photo.path} {_size(photo.channels)}.",
                fix="give the image of the same size and colour.",
            )
        return known


def _check(job: _Job, path: Path, target: Path) -> None:
    """Raise what can be known to be wrong before any work."""
    photo = read_photo(path)
    photo.check_format(target)
    job.weights(photo)
    job.true(photo)
    try:
        job.saved.theta_for(photo.shape)
    except ConfigError as error:
        raise error.at(str(path)) from error.__cause__


def _run(job: _Job, photo: Photo, target: Path) -> None:
    started = time.perf_counter()
    weights, true = job.weights(photo), job.true(photo)
    found, images = [], np.empty_like(photo.channels)
    for k, channel in enumerate(photo.channels):
        name = photo.path.name + (f", channel {k + 1}" if len(photo.channels) > 1 else "")
        with _Status(name) as status:
            one = _denoised(job, Observation(channel, weights, job.blur), photo, status)
        images[k] = one.image
        found.append(one)
    photo.write(target, images)
    typer.echo(f"{photo.path} → {target}  {_size(images)}, {photo.depth} bits: "
               f"{_told(found, time.perf_counter() - started)}")  # fmt: skip
    if true is not None:
        typer.echo(f"  {_scores(photo.channels, true)} → {_scores(images, true)}")
    for warning in sorted({text for one in found for text in one.warnings}):
        typer.echo(f"  warning: {warning}", err=True)
    if job.figure:
        drawn = target.with_name(f"{target.stem}-comparison.png")
        shown = comparison(photo.path.name, photo.channels.mean(axis=0), images.mean(axis=0),
                           None if true is None else true.mean(axis=0))  # fmt: skip
        write_atomically(drawn, lambda file: file.write(shown))
        typer.echo(f"  figure: {drawn}")


def _denoised(job: _Job, observed: Observation, photo: Photo, status: _Status) -> Denoised:
    saved = job.saved
    return minimiser(
        observed,
        saved.model,
        saved.theta_for(photo.shape),
        sigma=job.sigma,
        model_sigma=saved.sigma,
        linear_solver=job.solver,
        rtol=job.rtol,
        tile=job.tile,
        progress=status,
        on_tile=status.tile,
    )


class _Status:
    """How far the work is: on a terminal all the time, elsewhere a line a minute of many tiles."""

    def __init__(self, name: str) -> None:
        self._name, self._started, self._points = name, time.perf_counter(), 0
        self._told = self._started
        self._status = Console().status(f"{name} …") if sys.stdout.isatty() else None

    def __enter__(self) -> _Status:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, size: float) -> None:
        self._points += 1
        if self._status is not None:
            elapsed = time.perf_counter() - self._started
            self._status.update(
                f"{self._name}: point {self._points}, |gradient| {size:.1e}, {elapsed:.0f} s"
            )

    def tile(self, tile: int, sweep: int, tiles: int) -> None:
        now = time.perf_counter()
        line = f"{self._name}: sweep {sweep}, tile {tile} of {tiles}, {now - self._started:.0f} s"
        if self._status is not None:
            self._status.update(line)
        elif now - self._told >= MINUTE:
            self._told = now
            typer.echo(line, err=True)


def _targets(photos: list[Path], out: Path) -> list[Path]:
    """Return where each result goes; refuse to write over a photograph, or two to one file."""
    if out.suffix and not out.is_dir():
        if len(photos) > 1:
            raise ConfigError(f"--out {out} is one file, for {len(photos)} photographs.",
                              fix="give a folder.")  # fmt: skip
        targets = [out]
    else:
        targets = [out / (p.name if p.suffix.lower() in LOSSLESS else f"{p.stem}.png")
                   for p in photos]  # fmt: skip
    for path, target in zip(photos, targets, strict=True):
        if target.resolve() in {p.resolve() for p in photos}:
            raise ConfigError(f"{path} would be written over.", fix="choose another --out.")
        if targets.count(target) > 1:
            raise ConfigError(
                f"two photographs would be written to {target}.", fix="denoise them apart."
            )
    return targets


def _read_blur(path: Path | None) -> Array | None:
    if path is None:
        return None
    if path.suffix == ".npy":
        kernel = np.asarray(read_array(path), dtype=np.float64)
    else:
        kernel = read_photo(path, levels=False).channels.mean(axis=0)
        if kernel.sum() == 0.0:
            raise ConfigError(f"--blur {path} is black.", fix="give the image of a point of light.")
    try:
        checked = Observation(np.zeros((1, 1)), blur=kernel).blur
    except SparseImplicitError as error:
        raise error.at(f"--blur {path}") from error.__cause__
    assert checked is not None  # noqa: S101 - it was given
    if checked.sum() < 0.0:
        raise ConfigError(
            f"--blur {path} sums to {checked.sum():.3g}.", fix="give a kernel of positive sum."
        )
    return np.asarray(checked / checked.sum())


def _read_mask(path: Path, photo: Photo) -> Array:
    """Return weights: those of a .npy, or 1 where an image is not black."""
    if path.suffix == ".npy":
        weights = np.asarray(read_array(path), dtype=np.float64)
    else:
        weights = (read_photo(path, levels=False).channels.max(axis=0) > 0.0).astype(np.float64)
    if weights.shape != photo.shape:
        raise ConfigError(
            f"--mask {path} has shape {weights.shape}, {photo.path} {photo.shape}.",
            fix="give one of the same size.",
        )
    if not (np.isfinite(weights).all() and weights.min() >= 0.0 and weights.max() > 0.0):
        raise ConfigError(f"--mask {path} is empty, or not ≥ 0.", fix="0 is missing, 1 is known.")
    return weights


def _size(channels: Array) -> str:
    count, height, width = channels.shape
    return f"{width} × {height}" + (f" × {count}" if count > 1 else "")


def _told(found: list[Denoised], seconds: float) -> str:
    reports = [one.report for one in found]
    steps, products = (sum(getattr(r, n) for r in reports) for n in
                       ("iterations", "linear_iterations"))  # fmt: skip
    solver = reports[0].linear_solver
    tiles = f" in {found[0].tiles} tiles" if found[0].tiles > 1 else ""
    left = max(r.residual_relative for r in reports)
    return (
        f"{seconds:.1f} s, {steps} Newton steps, {products} products by '{solver}'{tiles}, "
        f"residual {left:.0e}"
    )


def _scores(images: Array, truth: Array) -> str:
    """PSNR over all channels, and the mean SSIM of the channels where they are large enough."""
    told: Any = f"PSNR {psnr(images, truth):.2f} dB"
    if min(truth.shape[1:]) >= WINDOW:
        mean = np.mean([ssim(a, b) for a, b in zip(images, truth, strict=True)])
        told += f", SSIM {mean:.4f}"
    return str(told)
