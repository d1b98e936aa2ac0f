"""Photographs of every depth and colour: read, written, and nothing lost between."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from sparseimplicit.errors import ConfigError
from sparseimplicit.imaging import png16
from sparseimplicit.imaging.photos import read_photo
from tests.reference.png import filtered

RNG = np.random.default_rng(0)
SHAPE = (7, 9)


def samples(channels, dtype):
    most = np.iinfo(dtype).max
    array = RNG.integers(0, most + 1, (*SHAPE, channels), dtype=dtype)
    return array[..., 0] if channels == 1 else array


def back(path, target):
    """Write what was read, unchanged."""
    photo = read_photo(path)
    photo.write(target, photo.channels)
    return photo


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".bmp"])
@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_eight_bits(tmp_path, mode, channels, suffix):
    levels = samples(channels, np.uint8)
    Image.fromarray(levels).save(tmp_path / f"a{suffix}")
    photo = back(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}")
    assert photo.channels.shape == (channels, *SHAPE)
    assert photo.shape == SHAPE
    np.testing.assert_array_equal(np.moveaxis(photo.channels, 0, -1).squeeze(), levels)
    with Image.open(tmp_path / f"b{suffix}") as again:
        assert again.mode == mode
        np.testing.assert_array_equal(np.asarray(again), levels)


@pytest.mark.parametrize(("mode", "channels"), [("LA", 2), ("RGBA", 4)])
def test_transparency_is_handed_through(tmp_path, mode, channels):
    levels = samples(channels, np.uint8)
    Image.fromarray(levels, mode).save(tmp_path / "a.png")
    photo = back(tmp_path / "a.png", tmp_path / "b.png")
    assert photo.channels.shape[0] == channels - 1
    with Image.open(tmp_path / "b.png") as again:
        np.testing.assert_array_equal(np.asarray(again), levels)
    with pytest.raises(ConfigError, match=r"b\.jpg.*transparency"):
        photo.check_format(tmp_path / "b.jpg")


def test_ink_and_palettes(tmp_path):
    ink = samples(4, np.uint8)
    Image.fromarray(ink, "CMYK").save(tmp_path / "ink.tiff")
    photo = back(tmp_path / "ink.tiff", tmp_path / "again.tiff")
    assert photo.channels.shape[0] == 4
    with Image.open(tmp_path / "again.tiff") as again:
        assert again.mode == "CMYK"
        np.testing.assert_array_equal(np.asarray(again), ink)
    with pytest.raises(ConfigError, match="tiff"):
        photo.check_format(tmp_path / "again.png")
    colours = Image.fromarray(samples(3, np.uint8)).quantize(16)
    colours.save(tmp_path / "palette.png")
    found = read_photo(tmp_path / "palette.png")
    np.testing.assert_array_equal(
        np.moveaxis(found.channels, 0, -1), np.asarray(colours.convert("RGB"))
    )


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_of_grey(tmp_path, suffix):
    levels = samples(1, np.uint16)
    Image.fromarray(levels).save(tmp_path / f"a{suffix}")
    photo = back(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}")
    np.testing.assert_allclose(photo.channels[0], levels * (255.0 / 65535.0), rtol=1e-14)
    with Image.open(tmp_path / f"b{suffix}") as again:
        np.testing.assert_array_equal(np.asarray(again), levels)
    with pytest.raises(ConfigError, match="16 bits"):
        photo.check_format(tmp_path / "b.jpg")


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_sixteen_bits_of_colour_in_png(tmp_path, channels):
    levels = samples(channels, np.uint16)
    chunk = (b"pHYs", struct.pack(">IIB", 3000, 3000, 1))
    (tmp_path / "a.png").write_bytes(png16.encode(png16.DeepPng(levels, (chunk,))))
    photo = back(tmp_path / "a.png", tmp_path / "b.png")
    assert photo.depth == 16
    colours = channels - (channels in (2, 4))
    assert photo.channels.shape[0] == colours
    np.testing.assert_allclose(
        np.moveaxis(photo.channels, 0, -1), levels[..., :colours] * (255.0 / 65535.0), rtol=1e-14
    )
    again = png16.read(tmp_path / "b.png")
    np.testing.assert_array_equal(again.samples, levels)
    assert again.chunks == (chunk,)
    if channels > 2:  # Pillow sees the upper bytes
        with Image.open(tmp_path / "b.png") as seen:
            np.testing.assert_array_equal(np.asarray(seen), levels >> 8)


def test_every_filter_of_png_is_read(tmp_path):
    levels = samples(3, np.uint16)
    raw = levels.astype(">u2").view(np.uint8).reshape(SHAPE[0], -1)
    lines = filtered(raw, [4, 3, 2, 1, 0, 4, 3], 6)
    content = png16.encode(png16.DeepPng(levels))
    at = content.index(b"IDAT") - 4
    body = zlib.compress(lines.tobytes())
    data = struct.pack(">I", len(body)) + b"IDAT" + body
    data += struct.pack(">I", zlib.crc32(b"IDAT" + body))
    (tmp_path / "a.png").write_bytes(content[:at] + data + content[-12:])
    np.testing.assert_array_equal(png16.read(tmp_path / "a.png").samples, levels)


@pytest.mark.parametrize("how", ["cut", "altered", "short", "filter", "interlaced"])
def test_a_damaged_png_of_sixteen_bits_is_named(tmp_path, how):
    content = png16.encode(png16.DeepPng(samples(3, np.uint16)))
    if how == "cut":
        content = content[:-30]
    elif how == "altered":
        content = content[:60] + b"\0\0\0" + content[63:]
    else:
        header = struct.pack(">IIBBBBB", SHAPE[1], SHAPE[0], 16, 2, 0, 0, how == "interlaced")
        raw = bytearray(SHAPE[0] * (1 + 6 * SHAPE[1]) - 5 * (how == "short"))
        raw[0] = 9 if how == "filter" else 0
        parts = [(b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
        content = png16.SIGNATURE + b"".join(png16._chunk(*part) for part in parts)
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(ConfigError, match=r"bad\.png"):
        read_photo(tmp_path / "bad.png")


@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bits_of_colour_in_tiff(tmp_path, channels):
    tifffile = pytest.importorskip("tifffile", reason="scikit-image is not installed")
    levels = samples(channels, np.uint16)
    extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    tifffile.imwrite(tmp_path / "a.tiff", levels, photometric="rgb", **extra)
    photo = back(tmp_path / "a.tiff", tmp_path / "b.tiff")
    assert photo.depth == 16
    assert photo.channels.shape[0] == 3
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tiff"), levels)
    photo.write(tmp_path / "b.png", photo.channels)
    np.testing.assert_array_equal(png16.read(tmp_path / "b.png").samples, levels)
    if channels == 3:
        tifffile.imwrite(tmp_path / "planes.tiff", np.moveaxis(levels, -1, 0),
                         photometric="rgb", planarconfig="separate")  # fmt: skip
        np.testing.assert_array_equal(read_photo(tmp_path / "planes.tiff").channels, photo.channels)


def test_levels_are_rounded_and_clipped(tmp_path):
    Image.fromarray(np.zeros((1, 4), np.uint8)).save(tmp_path / "a.png")
    photo = read_photo(tmp_path / "a.png")
    photo.write(tmp_path / "b.png", np.array([[[-3.0, 0.6, 254.4, 270.0]]]))
    with Image.open(tmp_path / "b.png") as image:
        np.testing.assert_array_equal(np.asarray(image), [[0, 1, 254, 255]])


def test_floating_point_stays_exact(tmp_path):
    levels = RNG.uniform(0, 255, SHAPE).astype(np.float32)
    Image.fromarray(levels).save(tmp_path / "a.tiff")
    photo = back(tmp_path / "a.tiff", tmp_path / "b.tiff")
    with Image.open(tmp_path / "b.tiff") as again:
        np.testing.assert_array_equal(np.asarray(again), levels)
    with pytest.raises(ConfigError, match=r"b\.png.*floating-point"):
        photo.check_format(tmp_path / "b.png")
    levels[2, 3] = np.nan
    Image.fromarray(levels).save(tmp_path / "a.tiff")
    with pytest.raises(ConfigError, match=r"a\.tiff .* pixel \(2, 3\)"):
        read_photo(tmp_path / "a.tiff")


def test_what_else_the_file_tells_is_kept(tmp_path):
    image = Image.fromarray(samples(3, np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation
    image.save(tmp_path / "a.png", exif=exif, icc_profile=b"a profile")
    back(tmp_path / "a.png", tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as again:
        assert again.info["icc_profile"] == b"a profile"
        assert again.getexif()[0x0112] == 6


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_files_that_are_no_images_are_named(tmp_path, content):
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(ConfigError, match=r"bad\.png"):
        read_photo(tmp_path / "bad.png")
    with pytest.raises(ConfigError, match="does not exist"):
        read_photo(tmp_path / "none.png")


def test_a_film_is_no_photograph(tmp_path):
    frames = [Image.fromarray(samples(1, np.uint8)) for _ in range(3)]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(ConfigError, match=r"film\.gif holds 3 images"):
        read_photo(tmp_path / "film.gif")


def test_an_ending_that_no_image_has(tmp_path):
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(ConfigError, match="no image is written as"):
        read_photo(tmp_path / "a.png").check_format(tmp_path / "b.txt")
