"""``denoise`` as a user runs it: photographs in, photographs out, clear errors before the work."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparseimplicit.cli.app import main
from sparseimplicit.imaging import (
    Observation,
    TotalVariation,
    add_noise,
    denoise,
    psnr,
    read_image,
    ssim,
    write_model,
)

DATASETS = Path(__file__).resolve().parent.parent.parent / "datasets"


@pytest.fixture
def folder(tmp_path):
    truth = read_image(DATASETS / "lantern.png")[100:160, 120:184]
    noisy = np.clip(np.rint(add_noise(truth, 25.0, 0)), 0, 255).astype(np.uint8)
    Image.fromarray(truth.astype(np.uint8)).save(tmp_path / "truth.png")
    Image.fromarray(noisy).save(tmp_path / "photo.png")
    colours = np.stack([noisy, noisy[:, ::-1], noisy[::-1]], axis=2)
    Image.fromarray(colours).save(tmp_path / "colour.png")
    return tmp_path


def run(folder, *more, photo="photo.png", out="out"):
    photos = [photo] if isinstance(photo, str) else photo
    return main(["denoise", *(str(folder / p) for p in photos), "--out", str(folder / out),
                 *map(str, more)])  # fmt: skip


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_the_result_is_the_minimiser_and_the_scores_are_printed(folder, capsys):
    assert run(folder, "--model", "tv", "--sigma", "25", "--truth", folder / "truth.png") == 0
    noisy, truth = read_image(folder / "photo.png"), read_image(folder / "truth.png")
    expected = denoise(noisy, TotalVariation(), sigma=25.0).image
    found = pixels(folder / "out" / "photo.png")
    assert np.abs(found - expected).max() <= 0.5 + 1e-6
    printed = capsys.readouterr().out
    assert f"{psnr(noisy, truth):.2f} dB" in printed
    assert f"→ PSNR {psnr(expected, truth):.2f} dB, SSIM {ssim(expected, truth):.4f}" in printed
    assert psnr(expected, truth) > psnr(noisy, truth) + 4


def test_a_weight_a_model_file_and_a_kind_agree(folder):
    assert run(folder, "--model", "tv", "--weight", "18", out="a.png") == 0
    assert run(folder, "--model", "tv", out="b.png") == 0
    model = TotalVariation()
    write_model(folder / "my.npz", model, np.log([18.0]), {"sigma": 25.0})
    assert run(folder, "--model", folder / "my.npz", out="c.png") == 0
    assert run(folder, "--model", folder / "my.npz", "--sigma", "10", out="d.png") == 0
    a, b, c, d = (pixels(folder / f"{name}.png").astype(int) for name in "abcd")
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(a, c)
    assert np.abs(a - d).max() > 5


def test_colours_are_denoised_apart(folder):
    assert run(folder, "--model", "tv", photo="colour.png") == 0
    assert run(folder, "--model", "tv", photo="photo.png") == 0
    colour, grey = pixels(folder / "out" / "colour.png"), pixels(folder / "out" / "photo.png")
    np.testing.assert_array_equal(colour[..., 0], grey)
    assert not np.array_equal(colour[..., 1], grey[:, ::-1])  # forward differences have a side
    assert np.abs(colour[..., 1].astype(int) - grey[:, ::-1]).mean() < 3


def test_several_photographs_and_jpeg(folder):
    with Image.open(folder / "photo.png") as image:
        image.save(folder / "camera.jpg", quality=95)
    assert run(folder, "--model", "tv", photo=["photo.png", "camera.jpg"]) == 0
    assert {p.name for p in (folder / "out").iterdir()} == {"photo.png", "camera.png"}


def test_sixteen_bits_stay_sixteen(folder):
    levels = pixels(folder / "photo.png").astype(np.uint16) * 257
    Image.fromarray(levels).save(folder / "deep.png")
    assert run(folder, "--model", "tv", photo="deep.png") == 0
    assert run(folder, "--model", "tv", photo="photo.png") == 0
    deep, flat = pixels(folder / "out" / "deep.png"), pixels(folder / "out" / "photo.png")
    assert deep.dtype == np.uint16
    np.testing.assert_array_equal(np.rint(deep / 257.0), flat)
    assert (deep % 257).any()


@pytest.mark.parametrize("kind", ["png", "npy"])
def test_a_mask_is_filled(folder, kind):
    hole = np.full((60, 64), 255, np.uint8)
    hole[20:24, 30:40] = 0
    spoiled = pixels(folder / "truth.png").copy()
    spoiled[hole == 0] = 0
    Image.fromarray(spoiled).save(folder / "photo.png")
    if kind == "png":
        Image.fromarray(hole).save(folder / "mask.png")
    else:
        np.save(folder / "mask.npy", hole / 255.0)
    mask = folder / f"mask.{kind}"
    assert run(folder, "--model", "tv", "--weight", "2", "--mask", mask) == 0
    truth = read_image(folder / "truth.png")
    found = pixels(folder / "out" / "photo.png").astype(float)
    before, after = (np.abs(u - truth)[hole == 0].mean() for u in (spoiled, found))
    assert after < before / 3
    expected = denoise(
        Observation(spoiled.astype(float), hole / 255.0), TotalVariation(), np.log([2.0])
    ).image
    assert np.abs(found - expected).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("kind", ["png", "npy"])
def test_a_known_blur_is_undone(folder, kind):
    from scipy import ndimage

    kernel = np.outer([1.0, 2.0, 1.0], [1.0, 3.0, 1.0])
    truth = read_image(folder / "truth.png")
    blurred = ndimage.convolve(truth, kernel / kernel.sum(), mode="reflect")
    Image.fromarray(np.rint(blurred).astype(np.uint8)).save(folder / "photo.png")
    if kind == "png":
        Image.fromarray((20 * kernel).astype(np.uint8)).save(folder / "blur.png")
    else:
        np.save(folder / "blur.npy", kernel / kernel.sum())
    blur = folder / f"blur.{kind}"
    assert run(folder, "--model", "tv", "--weight", "0.3", "--blur", blur) == 0
    found = pixels(folder / "out" / "photo.png").astype(float)
    assert psnr(found, truth) > psnr(blurred, truth) + 2


def test_the_sum_of_a_blur_is_made_one(folder):
    kernel = np.outer([1, 2, 1], [1, 2, 1])
    for name, scale in (("a", 1.0), ("b", 1.0 / 16.0)):
        np.save(folder / f"{name}.npy", scale * kernel)
        blur = ("--blur", folder / f"{name}.npy")
        assert run(folder, "--model", "tv", "--weight", "3", *blur, out=f"{name}.png") == 0
    np.testing.assert_array_equal(pixels(folder / "a.png"), pixels(folder / "b.png"))


def test_a_figure(folder):
    assert run(folder, "--model", "tv", "--figure", out="some.png") == 0
    assert pixels(folder / "some-comparison.png").shape[1] > 600


def test_tiles_give_the_same_photograph(folder, capsys):
    assert run(folder, "--model", "foe", "--tile", "24", out="tiled.png") == 0
    assert "in 9 tiles" in capsys.readouterr().out
    assert run(folder, "--model", "foe", out="whole.png") == 0
    tiled, whole = (pixels(folder / f"{name}.png").astype(int) for name in ("tiled", "whole"))
    assert np.abs(tiled - whole).max() <= 1


def test_memory_that_does_not_suffice_is_told(folder, capsys, monkeypatch):
    def none(*_, **__):
        raise MemoryError("Unable to allocate 7.13 GiB")

    monkeypatch.setattr("sparseimplicit.cli.denoise.minimiser", none)
    assert run(folder, "--model", "foe") == 2
    err = capsys.readouterr().err
    assert "MemoryBudgetExceeded" in err
    assert "7.13 GiB" in err


def test_one_pixel(folder):
    Image.fromarray(np.full((1, 1), 77, np.uint8)).save(folder / "one.png")
    for model in ("tv", "huber-tv", "tgv", "foe"):
        assert run(folder, "--model", model, photo="one.png", out=f"{model}.png") == 0
        assert pixels(folder / f"{model}.png") == 77


def spoil(folder, what):
    photo = folder / "photo.png"
    if what == "empty":
        photo.write_bytes(b"")
    elif what == "text":
        photo.write_text("no image")
    elif what == "missing":
        photo.unlink()
    elif what == "nan":
        photo.unlink()
        Image.fromarray(np.full((5, 5), np.nan, np.float32)).save(photo, format="TIFF")
    elif what == "folder":
        photo.unlink()
        photo.mkdir()


@pytest.mark.parametrize("what", ["empty", "text", "missing", "nan", "folder"])
def test_a_bad_photograph_exits_2_before_any_work(folder, capsys, what):
    spoil(folder, what)
    assert run(folder, "--model", "tv", photo=["colour.png", "photo.png"]) == 2
    assert "photo.png" in capsys.readouterr().err
    assert not (folder / "out" / "colour.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "tvv"], ["tvv", "tv, huber-tv"]),
        (["--model", "no.npz"], ["no.npz"]),
        (["--model", "fo48-sigma25"], ["did you mean foe48-sigma25"]),
        (["--model", "photo.png"], ["photo.png is no model", ".npz"]),
        (["--model", "tv", "--weight", "3", "--sigma", "5"], ["not both"]),
        (["--model", "tv", "--blur", "negative.npy"], ["--blur", "sums to -9"]),
        (["--model", "tv", "--weight", "-1"], ["--weight"]),
        (["--model", "tgv", "--weight", "1"], ["--weight", "tgv"]),
        (["--model", "tv", "--sigma", "0"], ["--sigma"]),
        (["--model", "tv", "--weight", "3", "--sigma", "5"], ["--sigma"]),
        (["--model", "tv", "--sigma", "much"], ["--sigma"]),
        (["--model", "tv", "--solver", "magic"], ["magic"]),
        (["--model", "tv", "--rtol", "0"], ["rtol"]),
        (["--model", "tv", "--tile", "64"], ["tiles of 64", "tv"]),
        (["--model", "foe", "--tile", "-1"], ["--tile"]),
        (["--model", "tv", "--mask", "small.png"], ["--mask", "small.png"]),
        (["--model", "tv", "--mask", "black.png"], ["--mask", "black.png"]),
        (["--model", "tv", "--mask", "none.png"], ["none.png"]),
        (["--model", "tv", "--blur", "black.png"], ["--blur", "black.png"]),
        (["--model", "tv", "--blur", "flat.npy"], ["--blur", "flat.npy"]),
        (["--model", "tv", "--truth", "small.png"], ["--truth", "small.png"]),
        ([], ["--model"]),
    ],
)
def test_bad_options_exit_2_and_are_named(folder, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(folder)
    Image.fromarray(np.full((5, 5), 9, np.uint8)).save("small.png")
    Image.fromarray(np.zeros((60, 64), np.uint8)).save("black.png")
    np.save("flat.npy", np.ones(3))
    np.save("negative.npy", -np.ones((3, 3)))
    assert run(folder, *arguments) == 2
    err = capsys.readouterr().err
    for word in words:
        assert word in err
    assert not (folder / "out" / "photo.png").exists()


def test_a_model_file_that_is_damaged_exits_2(folder, capsys):
    (folder / "my.npz").write_bytes(b"PK\x03\x04 and no more")
    assert run(folder, "--model", folder / "my.npz") == 2
    assert "my.npz" in capsys.readouterr().err


def test_outputs_that_cannot_be(folder, capsys):
    (folder / "file").write_text("in the way")
    assert run(folder, "--model", "tv", out="file") == 2
    assert "cannot be written" in capsys.readouterr().err
    assert run(folder, "--model", "tv", out="photo.png") == 2
    assert "written over" in capsys.readouterr().err
    assert run(folder, "--model", "tv", photo=["photo.png", "colour.png"], out="a.png") == 2
    assert "one file" in capsys.readouterr().err
    (folder / "sub").mkdir()
    (folder / "sub" / "photo.png").write_bytes((folder / "photo.png").read_bytes())
    assert run(folder, "--model", "tv", photo=["photo.png", "sub/photo.png"]) == 2
    assert "two photographs" in capsys.readouterr().err
    assert run(folder, "--model", "tv", out="a.xyz") == 2
    assert "a.xyz" in capsys.readouterr().err


def test_a_full_disk_is_told_and_leaves_no_half_file(folder, capsys, monkeypatch):
    writes = []

    def full(descriptor):
        writes.append(descriptor)
        if len(writes) > 2:  # the probe and the first photograph still fit
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("sparseimplicit.files.os.fsync", full)
    assert run(folder, "--model", "tv", photo=["photo.png", "colour.png"]) == 2
    err = capsys.readouterr().err
    assert "colour.png cannot be written: No space left on device" in err
    assert {p.name for p in (folder / "out").iterdir()} == {"photo.png"}
