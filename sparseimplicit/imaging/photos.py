"""Photographs of any depth and colour as grey levels of each channel, and back to a file."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .._optional import require
from ..errors import ConfigError
from ..files import write_atomically
from ..linear.operator import Array
from . import png16
from .data import check_finite, check_levels, reading

DEEP: Final = 255.0 / 65535.0  # grey levels a step of 16 bits
COLOUR: Final = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}  # modes kept, and their planes
TIFF: Final = (".tif", ".tiff")


@dataclass(frozen=True, eq=False)
class Photo:
    """One photograph.

    Attributes
    ----------
    path : Path
        Where it was read.
    channels : array, (c, h, w)
        Grey levels 0 to 255: grey, or red, green and blue, or the four inks.
    mode : str
        Pillow's, of 8-bit files with the transparency: L, LA, RGB, RGBA, CMYK; else as these.
    depth : int
        8, 16, or 32 for floating-point numbers.
    alpha : array (h, w), optional
        Transparency as it is in the file; it is handed through.
    kept : dict
        What is written again: colour profile, EXIF, PNG's chunks.
    """

    path: Path
    channels: Array
    mode: str
    depth: int
    alpha: NDArray[Any] | None = None
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.channels.shape[1], self.channels.shape[2]

    def write(self, path: Path, channels: Array) -> None:
        """Write other grey levels (c, h, w) in this photograph's depth and colour, whole or not.

        They are rounded and clipped to what the depth holds.

        Raises
        ------
        ConfigError
            If the file cannot be written, or files of this kind do not hold such a photograph.
        """
        encoded = replace(self, channels=channels).encode(path.suffix, path)
        write_atomically(path, lambda file: file.write(encoded))

    def check_format(self, path: Path) -> None:
        """Raise what `write` would, if files of this kind do not hold such a photograph."""
        corner = None if self.alpha is None else self.alpha[:1, :1]
        replace(self, channels=self.channels[:, :1, :1], alpha=corner).encode(path.suffix, path)

    def encode(self, suffix: str, name: Path) -> bytes:
        """Return the bytes of a file of this kind, ``".png"`` for instance."""
        planes = self._planes()
        if self.depth == 16 and len(planes) > 1:
            return self._deep(planes, suffix.lower(), name)
        pillow = require("PIL.Image", extra="imaging", purpose="writing images")
        kinds = pillow.registered_extensions()
        kind = kinds.get(suffix.lower())
        if kind is None or kind not in pillow.SAVE:
            raise ConfigError(f"{name}: no image is written as '{suffix}'.", fix="end it in .png.")
        images = [pillow.fromarray(plane) for plane in planes]
        image = images[0] if len(images) == 1 else pillow.merge(self.mode, images)
        options = dict(self.kept) | OPTIONS.get(kind, {})
        held = io.BytesIO()
        try:
            image.save(held, format=kind, **options)
        except (OSError, ValueError, KeyError) as error:
            raise self._unheld(suffix, name) from error
        return held.getvalue()

    def _planes(self) -> list[NDArray[Any]]:
        if self.depth == 32:
            return [np.ascontiguousarray(self.channels[0], dtype=np.float32)]
        most, dtype = ((65535, np.uint16), (255, np.uint8))[self.depth == 8]
        planes = []
        for channel in self.channels:
            levels = channel * (most / 255.0)
            np.rint(levels, out=levels)
            planes.append(np.clip(levels, 0, most, out=levels).astype(dtype))
        return planes if self.alpha is None else [*planes, self.alpha]

    def _deep(self, planes: list[NDArray[Any]], suffix: str, name: Path) -> bytes:
        if suffix == ".png" and len(planes) in png16.COLOUR_TYPES and self.mode != "CMYK":
            chunks = self.kept.get("chunks", ())
            return png16.encode(png16.DeepPng(png16.samples_of(planes), chunks))
        if suffix in TIFF:
            tifffile = require("tifffile", extra="imaging", purpose="TIFF files of 16 bits")
            held = io.BytesIO()
            colour = {1: "minisblack", 3: "rgb", 4: "separated"}[len(self.channels)]
            extra = {} if self.alpha is None else {"extrasamples": ["unassalpha"]}
            tifffile.imwrite(held, png16.samples_of(planes), photometric=colour, **extra)
            return held.getvalue()
        raise self._unheld(suffix, name)

    def _unheld(self, suffix: str, name: Path) -> ConfigError:
        colour = "grey" if len(self.channels) == 1 else f"{len(self.channels)} channels"
        bits = "floating-point numbers" if self.depth == 32 else f"{self.depth} bits"
        also = "" if self.alpha is None else " and transparency"
        return ConfigError(
            f"{name}: files of kind '{suffix}' do not hold what {self.path} holds: {colour}{also} "
            f"of {bits}.",
            fix="end the name in .tiff." if self.depth == 32 or self.mode == "CMYK"
            else "end the name in .png.",
        )  # fmt: skip


# What else a kind of file is told. A photograph is written as exactly as its kind allows.
OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "tiff_adobe_deflate"},
}


def read_photo(path: str | Path, *, levels: bool = True) -> Photo:
    """Read a photograph: grey, colour or CMYK, with or without transparency, 8 or 16 bits a sample.

    Palettes become colours; other colour spaces become RGB. Floating-point TIFF is grey.

    levels : whether the pixels are grey levels; those of a mask or a kernel are any finite numbers.

    Raises
    ------
    ConfigError
        If the file is missing, empty, no image, or holds several images; if a pixel is not finite
        or is no grey level, see `check_levels`; with its name.
    MissingBackend
        Without the extra ``imaging``.
    """
    path = Path(path)
    pillow = require("PIL.Image", extra="imaging", purpose="reading images")
    with reading(path):
        if png16.is_deep(path):
            return _from_deep_png(path)
        with pillow.open(path) as image:
            if getattr(image, "n_frames", 1) > 1:
                raise ConfigError(
                    f"{path} holds {image.n_frames} images.", fix="save one of them as a file."
                )
            if image.format == "TIFF" and image.mode != "I;16" and 16 in _bits(image):
                return _from_deep_tiff(path)
            photo = _from_pillow(path, image)
    for channel in photo.channels:
        check_finite(path, channel)
        if levels:
            check_levels(path, channel, floating=photo.depth == 32)
    return photo


def _from_pillow(path: Path, image: Any) -> Photo:
    kept = {k: image.info[k] for k in ("icc_profile", "exif") if image.info.get(k)}
    if image.mode.startswith("I"):
        return Photo(path, np.asarray(image, dtype=np.float64)[None] * DEEP, "L", 16, kept=kept)
    if image.mode == "F":
        return Photo(path, np.asarray(image, dtype=np.float64)[None], "L", 32, kept=kept)
    if image.mode == "1":
        image = image.convert("L")
    elif image.has_transparency_data and image.mode not in ("LA", "RGBA"):
        image = image.convert("LA" if image.mode in ("L", "La") else "RGBA")
    elif image.mode not in COLOUR:
        image = image.convert("RGB")
    planes = np.asarray(image).reshape(image.height, image.width, COLOUR[image.mode])
    clear = image.mode in ("LA", "RGBA")
    colours = planes[..., :-1] if clear else planes
    channels = np.ascontiguousarray(np.moveaxis(colours, -1, 0), dtype=np.float64)
    alpha = np.ascontiguousarray(planes[..., -1]) if clear else None
    return Photo(path, channels, image.mode, 8, alpha, kept)


def _from_deep_png(path: Path) -> Photo:
    deep = png16.read(path)
    return _from_samples(path, deep.samples, clear=deep.samples.shape[2] in (2, 4),
                         kept={"chunks": deep.chunks})  # fmt: skip


def _from_deep_tiff(path: Path) -> Photo:
    tifffile = require("tifffile", extra="imaging", purpose="TIFF files of 16 bits")
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            samples, separated = page.asarray(), page.photometric.name == "SEPARATED"
            planar = page.planarconfig.name == "SEPARATE"
    except (tifffile.TiffFileError, KeyError, IndexError) as error:
        raise ConfigError(f"{path} cannot be read as an image: {error}.") from error
    if planar and samples.ndim == 3:
        samples = np.moveaxis(samples, 0, -1)
    if samples.dtype != np.uint16 or samples.ndim != 3 or samples.shape[2] not in (2, 3, 4):
        raise ConfigError(
            f"{path} holds samples of type {samples.dtype} in shape {samples.shape}.",
            fix="save it as grey, RGB or RGBA of 8 or 16 bits.",
        )
    clear = samples.shape[2] in (2, 4) and not separated
    return _from_samples(path, samples, clear=clear, kept={})


def _from_samples(
    path: Path, samples: NDArray[np.uint16], *, clear: bool, kept: dict[str, Any]
) -> Photo:
    colours = samples[..., :-1] if clear else samples
    channels = np.ascontiguousarray(np.moveaxis(colours, -1, 0), dtype=np.float64) * DEEP
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[channels.shape[0]]
    alpha = np.ascontiguousarray(samples[..., -1]) if clear else None
    return Photo(path, channels, mode, 16, alpha, kept)


def _bits(image: Any) -> tuple[int, ...]:
    """Return the bits of each sample of a TIFF file, if there are several."""
    bits = image.tag_v2.get(258, ())
    return tuple(bits) if isinstance(bits, tuple) and len(bits) > 1 else ()
