import numpy as np
import pytest
from PIL import Image

from sparseimplicit.errors import ConfigError, ShapeError
from sparseimplicit.imaging import add_noise, psnr, read_image


def test_grey_colour_and_sixteen_bit(tmp_path):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), grey)
    Image.fromarray(np.stack([grey] * 3, axis=2)).save(tmp_path / "colour.png")
    np.testing.assert_allclose(read_image(tmp_path / "colour.png"), grey, atol=1)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    np.testing.assert_allclose(read_image(tmp_path / "deep.png"), grey, rtol=1e-12)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_files_that_are_no_images_are_named(tmp_path, content):
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(ConfigError, match=r"bad\.png"):
        read_image(tmp_path / "bad.png")
    with pytest.raises(ConfigError, match="does not exist"):
        read_image(tmp_path / "none.png")


@pytest.mark.parametrize("level", [np.nan, np.inf, -2600.0, 2600.0])
def test_floating_point_images_are_read_exactly_or_refused(tmp_path, level):
    levels = np.full((4, 5), 0.3, dtype=np.float32)
    Image.fromarray(levels).save(tmp_path / "float.tiff")
    np.testing.assert_array_equal(read_image(tmp_path / "float.tiff"), levels)
    levels[1, 2] = level
    Image.fromarray(levels).save(tmp_path / "float.tiff")
    with pytest.raises(ConfigError, match=r"float\.tiff .* pixel \(1, 2\)"):
        read_image(tmp_path / "float.tiff")


def test_floating_point_images_may_hold_noise_but_are_not_on_another_scale(tmp_path):
    levels = np.array([[-30.0, 280.0], [0.0, 100.0]], dtype=np.float32)
    Image.fromarray(levels).save(tmp_path / "noisy.tiff")
    np.testing.assert_array_equal(read_image(tmp_path / "noisy.tiff"), levels)
    Image.fromarray(levels / 280.0).save(tmp_path / "noisy.tiff")
    with pytest.raises(
        ConfigError, match=r"noisy\.tiff has floating-point numbers from -0\.107 to 1"
    ):
        read_image(tmp_path / "noisy.tiff")
    levels[0] = -4000.0, np.nan
    Image.fromarray(levels).save(tmp_path / "noisy.tiff")
    with pytest.raises(ConfigError, match=r"grey level nan at pixel \(0, 1\)"):
        read_image(tmp_path / "noisy.tiff")


def test_integers_wider_than_16_bit_are_refused(tmp_path):
    Image.fromarray(np.full((4, 5), 100_000, dtype=np.int32)).save(tmp_path / "wide.tiff")
    with pytest.raises(ConfigError, match=r"wide\.tiff"):
        read_image(tmp_path / "wide.tiff")


def test_an_image_too_large_for_pillow_is_named(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((4, 5), dtype=np.uint8)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    with pytest.raises(ConfigError, match=r"large\.png"):
        read_image(tmp_path / "large.png")


@pytest.mark.parametrize("sigma", [-1.0, np.nan, np.inf])
def test_a_noise_that_is_none(sigma):
    with pytest.raises(ShapeError, match=f"sigma is {sigma}"):
        add_noise(np.zeros((2, 2)), sigma, 0)


def test_noise_is_what_it_says():
    u = np.full((50, 60), 250.0)
    f = add_noise(u, 25.0, [3, 1])
    expected = 25.0 * np.random.default_rng([3, 1]).standard_normal((50, 60))
    np.testing.assert_allclose(f - u, expected, atol=1e-12)
    assert f.max() > 255  # not clipped


def test_psnr():
    u = np.zeros((10, 10))
    assert psnr(u + 25.5, u) == pytest.approx(20.0)
    assert psnr(u, u) == float("inf")
    with pytest.raises(ShapeError):
        psnr(u, u[:5])


def test_an_array_is_told_to_be_no_image(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 4)))
    with pytest.raises(ConfigError, match="arrays are not taken") as caught:
        read_image(tmp_path / "a.npy")
    assert "PNG" in caught.value.fix
