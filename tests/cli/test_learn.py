"""The main job as a user runs it: files in, files out, clear errors, resume after a kill."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparseimplicit.cli.app import main

DATASETS = Path(__file__).resolve().parent.parent.parent / "datasets"
CONFIG = """
[model]
epsilon = 1.0
start = 1.0
[data]
images = ["a.png", "b.png"]
[noise]
sigma = 25.0
[training]
max_iterations = 20
stop_rtol = 1e-5
"""


@pytest.fixture
def job(tmp_path):
    for name, source, size in (("a", "lantern", 64), ("b", "pier", 72)):
        with Image.open(DATASETS / f"{source}.png") as image:
            image.crop((120, 100, 120 + size, 160)).save(tmp_path / f"{name}.png")
    (tmp_path / "job.toml").write_text(CONFIG)
    return tmp_path


def run(job, *more):
    return main(["learn", str(job / "job.toml"), "--out", str(job / "out"), *more])


def test_results(job, capsys):
    assert run(job) == 0
    printed = capsys.readouterr().out
    for word in ("noisy", "learned", "a.png", "products", "true residuals"):
        assert word in printed
    metrics = json.loads((job / "out" / "metrics.json").read_text())
    theta = np.load(job / "out" / "theta.npy")
    assert metrics["theta"] == theta[0]
    assert metrics["mean_psnr_learned"] > metrics["mean_psnr_noisy"] + 3
    assert 0.0 < metrics["work"]["adjoint_residual"] <= 1e-6
    assert metrics["images"][1]["work"]["state_solves"] == metrics["evaluations"]
    history = json.loads((job / "out" / "history.json").read_text())["history"]
    values = [e["value"] for e in history]
    assert min(values) == metrics["objective"] < values[0]
    with Image.open(job / "out" / "figure.png") as picture:
        assert picture.size[0] > 500
        assert len(set(np.asarray(picture.convert("L")).ravel()[::97])) > 20  # something is drawn


def test_a_map(job):
    (job / "job.toml").write_text(
        CONFIG.replace("start = 1.0", 'start = 2.5\nweight = "map"')
        .replace('["a.png", "b.png"]', '["a.png"]')
        .replace("max_iterations = 20", "max_iterations = 3")
    )
    assert run(job) == 0
    assert np.load(job / "out" / "theta.npy").shape == (64 * 60,)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("sigma", "sigm", ["job.toml", "noise.sigm", "sigma"]),
        ("[noise]", "[nois]", ["job.toml", "nois", "noise"]),
        ("25.0", '"much"', ["job.toml", "noise.sigma", "much"]),
        ("sigma = 25.0", "sigma = -1.0", ["noise.sigma"]),
        ("epsilon = 1.0", "epsilon = 0.0", ["model.epsilon"]),
        ("epsilon = 1.0", "epsilon = nan", ["model.epsilon"]),
        ("start = 1.0", "start = 99.0", ["model.start", "bounds"]),
        ('images = ["a.png", "b.png"]', "", ["data.images", "missing"]),
        ('images = ["a.png", "b.png"]', "images = []", ["data.images"]),
        ('"b.png"', '"c.png"', ["c.png", "data.images[1]"]),
        ("[model]", "[model", ["job.toml", "TOML"]),
        ("start = 1.0", 'start = 1.0\nweight = "map"', ["model.weight"]),
        ("[training]", '[solver]\nlinear = "magic"\n[training]', ["solver.linear", "auto"]),
    ],
)
def test_a_bad_config_exits_2_and_names_file_and_key(job, capsys, old, new, words):
    text = CONFIG.replace(old, new)
    assert text != CONFIG
    (job / "job.toml").write_text(text)
    assert run(job) == 2
    err = capsys.readouterr().err
    for word in words:
        assert word in err
    assert not (job / "out" / "theta.npy").exists()


@pytest.mark.parametrize(("shape", "sigma"), [((1, 1), 25.0), ((1, 9), 25.0), ((8, 8), 0.0)])
def test_degenerate_images_are_learned_from_without_a_warning(job, shape, sigma):
    Image.fromarray(np.full(shape, 100, np.uint8)).save(job / "a.png")
    (job / "job.toml").write_text(
        CONFIG.replace('["a.png", "b.png"]', '["a.png"]').replace("25.0", f"{sigma}")
    )
    assert run(job) == 0


def test_bad_files_exit_2(job, capsys):
    (job / "b.png").write_bytes(b"")
    assert run(job) == 2
    assert "b.png" in capsys.readouterr().err
    assert main(["learn", str(job / "none.toml")]) == 2
    (job / "job.toml").write_bytes(b"\xff\xfe\x00")
    assert run(job) == 2


def test_an_output_that_cannot_be_written_exits_2_before_the_work(job, capsys):
    (job / "out").write_text("a file, not a folder")
    assert run(job) == 2
    captured = capsys.readouterr()
    assert "cannot be written" in captured.err
    assert "objective" not in captured.out


def test_the_checkpoint_of_another_config_is_refused(job, capsys):
    assert run(job) == 0
    (job / "job.toml").write_text(CONFIG.replace("25.0", "15.0"))
    assert run(job) == 2
    assert "--no-resume" in capsys.readouterr().err
    assert run(job, "--no-resume") == 0


def test_the_checkpoint_of_other_images_is_refused(job, capsys):
    """The config is the same to the byte; the state it led to belongs to the old pixels."""
    assert run(job) == 0
    theta = np.load(job / "out" / "theta.npy")
    with Image.open(DATASETS / "spacecraft.png") as image:
        image.crop((120, 100, 192, 160)).save(job / "b.png")
    assert run(job) == 2
    assert "other images" in capsys.readouterr().err
    np.testing.assert_array_equal(np.load(job / "out" / "theta.npy"), theta)  # nothing touched
    assert run(job, "--no-resume") == 0
    assert np.load(job / "out" / "theta.npy")[0] != theta[0]


def test_a_finished_run_given_again_solves_nothing_and_says_so(job, capsys):
    assert run(job) == 0
    first = json.loads((job / "out" / "metrics.json").read_text())
    capsys.readouterr()
    assert run(job) == 0
    again = json.loads((job / "out" / "metrics.json").read_text())
    assert again["theta"] == first["theta"]
    assert again["work"]["adjoint_solves"] == 0
    assert again["from_checkpoint"] == again["evaluations"]
    assert 0.0 < again["images"][0]["state_residual"] <= 1e-6
    assert "–" in capsys.readouterr().out


def test_no_result_of_an_earlier_run_stays_beside_a_new_one(job, monkeypatch):
    assert run(job) == 0
    assert (job / "out" / "figure.png").exists()
    monkeypatch.setattr("sparseimplicit.cli.learn.available", lambda module: False)
    assert run(job, "--no-resume") == 0
    assert not (job / "out" / "figure.png").exists()


def test_a_killed_process_resumes_to_the_same_bits(job):
    command = [sys.executable, "-m", "sparseimplicit", "learn", str(job / "job.toml"), "--out"]
    whole = subprocess.run([*command, str(job / "whole")], capture_output=True, text=True)
    assert whole.returncode == 0, whole.stderr
    process = subprocess.Popen([*command, str(job / "killed")], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:  # until the third evaluation is on its way
        if line.split()[:1] == ["2"]:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    resumed = subprocess.run([*command, str(job / "killed")], capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    assert "from the checkpoint" in resumed.stdout
    np.testing.assert_array_equal(
        np.load(job / "killed" / "theta.npy"), np.load(job / "whole" / "theta.npy")
    )


def test_no_command_shows_help_and_version_prints(capsys):
    assert main(["--version"]) == 0
    assert "sparseimplicit" in capsys.readouterr().out
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert "learn" in printed
    assert "gradient" in printed
    assert main(["lern"]) == 2
