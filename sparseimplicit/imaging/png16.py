"""PNG files of 16 bits and several channels, which Pillow reads and writes with 8 bits only."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..kernels.png import unfilter

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
CHANNELS: Final = {2: 3, 4: 2, 6: 4}  # by colour type: RGB, grey with alpha, RGB with alpha
COLOUR_TYPES: Final = {count: kind for kind, count in CHANNELS.items()}
KEPT: Final = (b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"pHYs", b"eXIf")


@dataclass(frozen=True)
class DeepPng:
    """Samples (h, w, channels) of 16 bits, and what else the file tells of colours and places."""

    samples: NDArray[np.uint16]
    chunks: tuple[tuple[bytes, bytes], ...] = ()


def is_deep(path: Path) -> bool:
    """Tell whether a file is a PNG of 16 bits with several channels."""
    with path.open("rb") as file:
        head = file.read(26)
    return len(head) == 26 and head[:8] == SIGNATURE and head[24] == 16 and head[25] in CHANNELS


def read(path: Path) -> DeepPng:
    """Read such a file.

    Raises
    ------
    ConfigError
        If it is damaged, or interlaced.
    """
    content = path.read_bytes()
    header, data, kept = b"", [], []
    for kind, body in _chunks(path, content):
        if kind == b"IHDR":
            header = body
        elif kind == b"IDAT":
            data.append(body)
        elif kind in KEPT:
            kept.append((kind, body))
    width, height, _, colour, _, _, interlace = struct.unpack(">IIBBBBB", header)
    if interlace:
        raise ConfigError(
            f"{path} is an interlaced PNG of 16 bits.", fix="save it without interlacing."
        )
    channels = CHANNELS[colour]
    row = 1 + 2 * channels * width
    try:
        raw = zlib.decompress(b"".join(data))
    except zlib.error as error:
        raise _damaged(path, str(error)) from error
    if width < 1 or height < 1 or len(raw) != height * row:
        raise _damaged(path, f"{len(raw)} bytes of pixels, {height * row} are told")
    lines = np.frombuffer(bytearray(raw), dtype=np.uint8).reshape(height, row)
    wrong = unfilter(lines, 2 * channels)
    if wrong >= 0:
        raise _damaged(path, f"line {wrong} has a filter that there is not")
    pixels = np.ascontiguousarray(lines[:, 1:]).view(">u2").astype(np.uint16)
    return DeepPng(pixels.reshape(height, width, channels), tuple(kept))


def encode(image: DeepPng) -> bytes:
    """Return the bytes of a PNG file, every line stored less the one above."""
    height, width, channels = image.samples.shape
    raw = np.ascontiguousarray(image.samples.astype(">u2")).view(np.uint8).reshape(height, -1)
    lines = np.empty((height, raw.shape[1] + 1), dtype=np.uint8)
    lines[:, 0] = 2
    lines[0, 1:] = raw[0]
    np.subtract(raw[1:], raw[:-1], out=lines[1:, 1:])  # modulo 256, as bytes wrap
    header = struct.pack(">IIBBBBB", width, height, 16, COLOUR_TYPES[channels], 0, 0, 0)
    parts = [(b"IHDR", header), *image.chunks, (b"IDAT", zlib.compress(lines.tobytes(), 6))]
    return SIGNATURE + b"".join(_chunk(kind, body) for kind, body in [*parts, (b"IEND", b"")])


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chunks(path: Path, content: bytes) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    at = len(SIGNATURE)
    while at + 12 <= len(content):
        (size,) = struct.unpack(">I", content[at : at + 4])
        kind, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + size]
        check = content[at + 8 + size : at + 12 + size]
        if len(check) < 4 or struct.unpack(">I", check)[0] != zlib.crc32(kind + body):
            raise _damaged(path, f"the chunk {kind!r} is cut off or altered")
        found.append((kind, body))
        if kind == b"IEND":
            return found
        at += 12 + size
    raise _damaged(path, "it ends too early")


def _damaged(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path} cannot be read as an image: {why}.", fix="copy it again, or repair it."
    )


def samples_of(planes: Any) -> NDArray[np.uint16]:
    """Return planes (c, h, w) of 16 bits as samples (h, w, c)."""
    return np.ascontiguousarray(np.moveaxis(np.asarray(planes, dtype=np.uint16), 0, -1))
