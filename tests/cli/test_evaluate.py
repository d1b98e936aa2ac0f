"""``evaluate``: scores by the convention, kept over a kill, and clear errors before the work."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparseimplicit.cli.app import main
from sparseimplicit.errors import ConfigError
from sparseimplicit.imaging import (
    FieldsOfExperts,
    TotalVariation,
    denoise,
    psnr,
    read_image,
    ssim,
    write_model,
)

DATASETS = Path(__file__).resolve().parent.parent.parent / "datasets"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for name, source in (("b", "lantern"), ("a", "pier"), ("c", "dandelion")):
        with Image.open(DATASETS / f"{source}.png") as image:
            size = 40 if name == "a" else 48
            image.crop((120, 100, 120 + size, 150)).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "images" / "notes.txt").write_text("no image, and not looked at")
    return tmp_path


def run(folder, *more, model="tv", out="out"):
    return main(["evaluate", str(folder / "images"), "--model", str(model),
                 "--out", str(folder / out), *map(str, more)])  # fmt: skip


def result(folder, out="out"):
    return json.loads((folder / out / "scores.json").read_text())


def test_scores_are_those_of_the_convention(folder, capsys):
    assert run(folder, "--sigma", "15", "--seed", "3") == 0
    found = result(folder)
    assert [row["image"] for row in found["images"]] == ["a.png", "b.png", "c.png"]
    for i, row in enumerate(found["images"]):
        truth = read_image(folder / "images" / row["image"])
        noisy = truth + 15.0 * np.random.default_rng([3, i]).standard_normal(truth.shape)
        image = denoise(noisy, TotalVariation(), sigma=15.0).image
        assert row["psnr_noisy"] == pytest.approx(psnr(noisy, truth), abs=1e-9)
        assert row["psnr"] == pytest.approx(psnr(image, truth), abs=1e-6)
        assert row["ssim"] == pytest.approx(ssim(image, truth), abs=1e-7)
        assert row["psnr"] > row["psnr_noisy"] + 2
        assert 0.0 < row["state_residual"] <= 1e-5
    mean = np.mean([row["psnr"] for row in found["images"]])
    assert found["mean"]["psnr"] == pytest.approx(mean)
    with (folder / "out" / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["psnr"]) for row in rows] == [row["psnr"] for row in found["images"]]
    printed = capsys.readouterr().out
    assert f"{mean:.3f}" in printed
    assert "a.png" in printed
    with Image.open(folder / "out" / "figures" / "a.png") as picture:
        assert picture.size[0] > 600


def test_what_is_done_is_kept_unless_something_changed(folder, capsys):
    assert run(folder, "--first", "2") == 0
    first = result(folder)["images"]
    capsys.readouterr()
    assert run(folder) == 0
    assert capsys.readouterr().out.count("dB  kept") == 2
    assert result(folder)["images"][:2] == first
    assert run(folder, "--no-resume") == 0
    assert "dB  kept" not in capsys.readouterr().out
    assert run(folder, "--sigma", "20") == 2  # the scores that are there are not written over
    assert "another trial: tv, σ = 25" in capsys.readouterr().err
    assert run(folder, "--first", "1") == 2
    assert "other images, as b.png" in capsys.readouterr().err
    assert run(folder, "--weight", "3") == 2
    assert result(folder)["sigma"] == 25.0
    assert run(folder, "--sigma", "20", "--no-resume") == 0
    assert "dB  kept" not in capsys.readouterr().out
    with Image.open(folder / "images" / "b.png") as image:
        changed = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    changed.save(folder / "images" / "b.png")
    assert run(folder, "--sigma", "20") == 0
    assert capsys.readouterr().out.count("dB  kept") == 2
    (folder / "out" / "images" / "c.png.json").write_text('{"key": "cut o')
    assert run(folder, "--sigma", "20") == 0
    assert capsys.readouterr().out.count("dB  kept") == 2


def test_every_figure_has_a_name_of_its_own(folder):
    pixels = folder / "images" / "a.png"
    with Image.open(pixels) as image:
        image.save(folder / "images" / "a.tif")
        image.save(folder / "images" / "model.png")
    assert run(folder, "--figures", "9", model="foe") == 0
    found = {path.name for path in (folder / "out" / "figures").iterdir()}
    assert found == {
        "a.png.png",
        "a.tif.png",
        "b.png.png",
        "c.png.png",
        "model.png.png",
        "model.png",
    }


def test_a_score_is_kept_where_its_figure_cannot_be_drawn(folder, monkeypatch, capsys):
    def full(*_):
        raise ConfigError("no space is left")

    monkeypatch.setattr("sparseimplicit.imaging.scoring.comparison", full)
    assert run(folder) == 2
    capsys.readouterr()
    assert run(folder, "--figures", "0") == 0
    assert capsys.readouterr().out.count("dB  kept") == 1


def test_processes_give_the_same_scores(folder):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core alone is here")
    assert run(folder) == 0
    assert run(folder, "--jobs", "2", out="parallel") == 0
    for one, other in zip(result(folder)["images"], result(folder, "parallel")["images"],
                          strict=True):  # fmt: skip
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_a_killed_process_goes_on_where_it_was(folder):
    command = [sys.executable, "-m", "sparseimplicit", "evaluate", str(folder / "images"),
               "--model", "tv", "--out", str(folder / "out")]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if "1/3" in line:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "dB  kept" in again.stdout
    assert run(folder, out="whole") == 0
    a, b = (result(folder, out)["images"] for out in ("out", "whole"))
    assert [row["psnr"] for row in a] == [row["psnr"] for row in b]


def test_a_model_file_and_its_filters(folder):
    model = FieldsOfExperts(3, 8, "charbonnier")
    write_model(folder / "my.npz", model, model.start((1, 1)), {"sigma": 25.0})
    assert run(folder, "--first", "1", model=folder / "my.npz") == 0
    assert result(folder)["mean"]["psnr"] > result(folder)["mean"]["psnr_noisy"] + 2
    assert (folder / "out" / "figures" / "model.png").exists()


@pytest.mark.parametrize("sigma", [25.0, 50.0])
def test_the_noise_is_by_default_what_the_model_is_for(folder, sigma):
    model = TotalVariation()
    write_model(folder / "my.npz", model, model.start((1, 1)), {"sigma": sigma})
    assert run(folder, "--first", "1", model=folder / "my.npz") == 0
    told = result(folder)
    assert told["sigma"] == sigma
    assert told["mean"]["psnr_noisy"] == pytest.approx(20 * np.log10(255.0 / sigma), abs=0.3)


def test_a_weight_is_taken_as_it_is(folder):
    assert run(folder, "--weight", "9", "--sigma", "10", "--first", "1") == 0
    truth = read_image(folder / "images" / "a.png")
    noisy = truth + 10.0 * np.random.default_rng([0, 0]).standard_normal(truth.shape)
    image = denoise(noisy, TotalVariation(), np.log([9.0])).image
    assert result(folder)["images"][0]["psnr"] == pytest.approx(psnr(image, truth), abs=1e-6)


def spoil(folder, what):
    bad = folder / "images" / "b.png"
    if what == "empty":
        bad.write_bytes(b"")
    elif what == "text":
        bad.write_text("no image")
    elif what == "nan":
        Image.fromarray(np.full((20, 20), np.nan, np.float32)).save(bad, format="TIFF")
    elif what == "small":
        Image.fromarray(np.zeros((1, 1), np.uint8)).save(bad)


@pytest.mark.parametrize("what", ["empty", "text", "nan", "small"])
def test_a_bad_image_exits_2_before_the_work(folder, capsys, what):
    spoil(folder, what)
    assert run(folder) == 2
    captured = capsys.readouterr()
    assert "b.png" in captured.err
    assert "dB" not in captured.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sigma", "-1"], ["--sigma"]),
        (["--jobs", "0"], ["--jobs"]),
        (["--jobs", "9999"], ["--jobs"]),
        (["--seed", "-1"], ["--seed"]),
        (["--rtol", "2e"], ["--rtol"]),
        (["--solver", "magic"], ["magic"]),
        (["--weight", "0"], ["--weight"]),
        (["--first", "-1"], ["--first"]),
        (["--figures", "-1"], ["--figures"]),
    ],
)
def test_bad_options_exit_2(folder, capsys, arguments, words):
    assert run(folder, *arguments) == 2
    err = capsys.readouterr().err
    for word in words:
        assert word in err


def test_folders_that_are_none(folder, capsys):
    assert main(["evaluate", str(folder / "none"), "--model", "tv"]) == 2
    assert "is no folder" in capsys.readouterr().err
    (folder / "bare").mkdir()
    assert main(["evaluate", str(folder / "bare"), "--model", "tv", "--out",
                 str(folder / "out")]) == 2  # fmt: skip
    assert "no images" in capsys.readouterr().err
    (folder / "file").write_text("in the way")
    assert run(folder, out="file") == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_map_of_another_shape_exits_2_before_the_work(folder, capsys):
    model = TotalVariation(weight="map")
    write_model(folder / "map.npz", model, np.zeros(50 * 40), shape=(50, 40))
    assert run(folder, model=folder / "map.npz") == 2
    captured = capsys.readouterr()
    assert "b.png" in captured.err
    assert "dB" not in captured.out


def test_a_full_disk_keeps_what_is_done(folder, capsys, monkeypatch):
    writes = []

    def full(descriptor):
        writes.append(descriptor)
        if len(writes) > 3:  # the probe, the first figure and the first record still fit
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("sparseimplicit.files.os.fsync", full)
    assert run(folder) == 2
    assert "No space left" in capsys.readouterr().err
    monkeypatch.undo()
    assert run(folder) == 0
    assert capsys.readouterr().out.count("dB  kept") == 1


SLEEPER = """
import multiprocessing, time
from concurrent.futures import ProcessPoolExecutor
from sparseimplicit.imaging.evaluation import _end_with_parent
if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(1, spawn, initializer=_end_with_parent)
    pool.submit(abs, 1).result()
    pool.submit(time.sleep, 600)
    print(*pool._processes, flush=True)
    time.sleep(600)
"""


def test_processes_end_with_the_one_that_started_them(tmp_path):
    script = tmp_path / "sleeper.py"
    script.write_text(SLEEPER)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        worker = int(parent.stdout.readline())
        parent.kill()
    for _ in range(300):
        status = Path(f"/proc/{worker}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("a process outlived the one that had started it by 30 s")
