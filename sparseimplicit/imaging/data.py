"""Images from files, noise, and the measure of what is left of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .._optional import require
from ..errors import ConfigError, ShapeError
from ..linear.operator import Array

PEAK: Final = 255.0  # of grey levels


def read_image(path: str | Path) -> Array:
    """Read an image as grey levels 0 to 255, float64 (h, w).

    Colour is converted by ITU-R 601 luma; 16-bit images are scaled by 255/65535; floating-point
    ones are taken as they are.

    Raises
    ------
    ConfigError
        If the file is missing, empty, no image, too large for Pillow, or if a pixel is not finite
        or is no grey level, see `check_levels`; with its name.
    MissingBackend
        Without the extra ``imaging``.
    """
    pillow = require("PIL.Image", extra="imaging", purpose="reading images")
    with reading(path), pillow.open(path) as image:
        if image.mode.startswith("I"):  # 16 bit
            levels = np.asarray(image, dtype=np.float64) * (255.0 / 65535.0)
        else:  # 'F' is not converted: that would round it and turn NaN into 0
            levels = np.asarray(
                image if image.mode == "F" else image.convert("L"), dtype=np.float64
            )
        floating = image.mode == "F"
    check_finite(path, levels)
    check_levels(path, levels, floating=floating)
    return levels


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turn what Pillow raises of a file into a `ConfigError` with its name."""
    pillow = require("PIL.Image", extra="imaging", purpose="reading images")
    try:
        yield
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist.", fix="check the path.") from error
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:
        array = Path(path).suffix.lower() in (".npy", ".npz")
        raise ConfigError(
            f"{path} cannot be read as an image: {'arrays are not taken' if array else error}.",
            fix="write its grey levels, 0 to 255, as a PNG or TIFF."
            if array
            else "give a PNG, JPEG, TIFF or other file that Pillow reads.",
        ) from error


def check_levels(path: str | Path, levels: Array, *, floating: bool = False) -> None:
    """Refuse grey levels (h, w) outside 0 to 255, with the first pixel.

    floating : of floating-point numbers, which may hold noise that is not clipped, to ten times as
        far; and which are refused where they seem to be on the scale of 0 to 1.
    """
    low, high = (-10.0 * PEAK, 10.0 * PEAK) if floating else (0.0, PEAK)
    _refuse(
        path,
        levels,
        (levels < low) | (levels > high),
        "scale it to 0 to 255, or save it as 8 or 16 bit",
    )
    if floating and np.ptp(levels) > 0.0 and levels.max() <= 1.0:
        raise ConfigError(
            f"{path} has floating-point numbers from {levels.min():.3g} to {levels.max():.3g}; "
            "grey levels go from 0 to 255.",
            fix="multiply it by 255.",
        )


def check_finite(path: str | Path, levels: Array) -> None:
    """Refuse numbers (h, w) that are not finite, with the first pixel."""
    _refuse(path, levels, ~np.isfinite(levels), "repair NaN and infinity")


def _refuse(path: str | Path, levels: Array, wrong: NDArray[np.bool_], fix: str) -> None:
    if wrong.any():
        i, j = np.unravel_index(int(np.argmax(wrong)), levels.shape)
        raise ConfigError(
            f"{path} has grey level {levels[i, j]} at pixel ({i}, {j}).", fix=f"{fix}."
        )


def add_noise(image: Any, sigma: float, seed: int | list[int]) -> Array:
    """Return ``image + σ·default_rng(seed).standard_normal(shape)``, not clipped.

    Raises
    ------
    ShapeError
        If σ is negative or not finite.
    """
    if not 0.0 <= sigma < np.inf:
        raise ShapeError(f"sigma is {sigma}.", where="add_noise", fix="give a number ≥ 0.")
    clean = np.asarray(image, dtype=np.float64)
    noise = np.random.default_rng(seed).standard_normal(clean.shape)
    return np.asarray(clean + sigma * noise)


def psnr(image: Any, truth: Any) -> float:
    """Return ``10 log₁₀(255² / mean (image − truth)²)``, in dB; inf for equal images."""
    a, b = np.asarray(image, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if a.shape != b.shape:
        raise ShapeError(f"images of shapes {a.shape} and {b.shape} cannot be compared.")
    error = float(np.mean((a - b) ** 2))
    return float("inf") if error == 0.0 else 10.0 * float(np.log10(PEAK**2 / error))
