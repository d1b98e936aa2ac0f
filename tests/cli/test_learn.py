"""The main job as a user runs it: files in, files out, clear errors, resume after a kill."""

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
from sparseimplicit.imaging import read_model

DATASETS = Path(__file__).resolve().parent.parent.parent / "datasets"
FINISHED = (0, 10)  # a few iterations may not do
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
    for word in ("noisy", "learned", "a.png", "products", "true residuals", "forward"):
        assert word in printed
    metrics = json.loads((job / "out" / "metrics.json").read_text())
    theta = np.load(job / "out" / "theta.npy")
    assert metrics["theta"] == theta[0]
    assert metrics["mean_psnr_learned"] > metrics["mean_psnr_noisy"] + 3
    assert 0.0 < metrics["work"]["adjoint_residual"] <= 1e-6
    assert metrics["work"]["adjoint_solves"] == 2 * metrics["steps"]
    assert metrics["gradient_error"] < 1e-4
    history = json.loads((job / "out" / "history.json").read_text())["history"]
    values = [e["value"] for e in history]
    assert min(values) == pytest.approx(metrics["objective"], rel=1e-6)
    assert metrics["objective"] < values[0]
    saved = read_model(job / "out" / "model.npz")
    np.testing.assert_array_equal(saved.theta, theta)
    assert saved.sigma == 25.0
    assert "objective" in (job / "out" / "log.txt").read_text()
    with Image.open(job / "out" / "figure.png") as picture:
        assert picture.size[0] > 500
        assert len(set(np.asarray(picture.convert("L")).ravel()[::97])) > 20  # something is drawn


def test_a_map(job):
    (job / "job.toml").write_text(
        CONFIG.replace("start = 1.0", 'start = 2.5\nweight = "map"')
        .replace('["a.png", "b.png"]', '["a.png"]')
        .replace("max_iterations = 20", "max_iterations = 3")
    )
    assert run(job) in (0, 10)  # three iterations may not do
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
    assert again["work_of_attempt"]["adjoint_solves"] == 0
    assert again["work"]["adjoint_solves"] == first["work"]["adjoint_solves"] > 0
    assert again["from_checkpoint"] == again["steps"] > 3
    assert 0.0 < again["images"][0]["state_residual"] <= 1e-6
    assert "from the checkpoint" in capsys.readouterr().out


def test_results_stay_until_they_are_replaced(job, monkeypatch):
    assert run(job) == 0
    names = ("theta.npy", "model.npz", "history.json", "metrics.json", "figure.png")
    before = {name: (job / "out" / name).read_bytes() for name in names}

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("sparseimplicit.cli.jobs.training.TrainingWork.carry_out", killed)
    for _ in range(2):
        assert run(job) == 130
    assert {name: (job / "out" / name).read_bytes() for name in names} == before


def test_keys_that_have_no_part_beside_stages_are_told(job, capsys):
    text = CONFIG + '[[stage]]\nmethod = "adam"\nsteps = 1\n'
    (job / "job.toml").write_text(text)
    assert run(job) == 0
    assert "left aside: [[stage]] says" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["theta.npy", "model.npz", "figure.png", "log.txt"])
def test_a_folder_where_a_result_goes_is_told_before_the_work(job, capsys, name):
    (job / "out" / name).mkdir(parents=True)
    assert run(job) == 2
    captured = capsys.readouterr()
    assert f"{name} is a folder" in captured.err
    assert "adam" not in captured.out


def test_a_file_where_the_checkpoint_goes_is_told(job, capsys):
    (job / "out").mkdir()
    (job / "out" / "checkpoint").write_text("in the way")
    assert run(job) == 2
    assert "checkpoint is a file" in capsys.readouterr().err


def test_no_result_of_an_earlier_run_stays_beside_a_new_one(job, monkeypatch):
    assert run(job) == 0
    assert (job / "out" / "figure.png").exists()
    monkeypatch.setattr("sparseimplicit.cli.jobs.training.available", lambda module: False)
    assert run(job, "--no-resume") == 0
    assert not (job / "out" / "figure.png").exists()


def test_a_killed_process_resumes_to_the_same_bits(job):
    command = [sys.executable, "-m", "sparseimplicit", "learn", str(job / "job.toml"), "--out"]
    whole = subprocess.run([*command, str(job / "whole")], capture_output=True, text=True)
    assert whole.returncode == 0, whole.stderr
    process = subprocess.Popen([*command, str(job / "killed")], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:  # until the third step is on its way
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


STAGES = """
[model]
kind = "foe"
size = 3
count = 4
potential = "charbonnier"
filters = "learned"
[data]
folder = "photographs"
images = ["*.png"]
crop = 18
crops = 5
[noise]
sigma = [20.0, 30.0]
[validation]
images = 1
crop = 20
crops = 2
every = 2
[[regularizer]]
block = "coefficients"
kind = "ridge"
weight = 1.0
[[stage]]
method = "adam"
steps = 4
batch = 2
gradient_rtol = [1e-3, 1e-5]
scales = { coefficients = 0.2 }
[[stage]]
method = "l-bfgs"
max_iterations = 3
[run]
executor = "processes"
jobs = 2
"""


@pytest.fixture
def staged(job):
    folder = job / "photographs"
    folder.mkdir()
    for name in ("lantern", "pier", "dandelion"):
        with Image.open(DATASETS / f"{name}.png") as image:
            image.crop((120, 100, 200, 170)).save(folder / f"{name}.png")
    (job / "job.toml").write_text(STAGES)
    return job


def test_stages_patterns_crops_and_processes(staged, capsys):
    assert run(staged) in FINISHED
    metrics = json.loads((staged / "out" / "metrics.json").read_text())
    assert len(metrics["images"]) == 5
    assert [row["height"] for row in metrics["validation"]] == [20, 20]
    assert metrics["mean_psnr_validation_learned"] > metrics["mean_psnr_validation_noisy"]
    history = json.loads((staged / "out" / "history.json").read_text())["history"]
    assert [s["method"] for s in history[:6]] == ["start"] + ["adam"] * 4 + ["l-bfgs"]
    assert history[1]["gradient_error"] > 0
    theta = np.load(staged / "out" / "theta.npy")
    assert run(staged, "--no-resume", "--jobs", "1") in FINISHED
    np.testing.assert_array_equal(np.load(staged / "out" / "theta.npy"), theta)
    assert (staged / "out" / "model.png").exists()
    # What was learned is where the next training starts.
    (staged / "job.toml").write_text(
        STAGES.replace('filters = "learned"', 'filters = "learned"\nstart = "out/model.npz"')
    )
    assert main(["learn", str(staged / "job.toml"), "--out", str(staged / "next")]) in FINISHED
    first = json.loads((staged / "next" / "history.json").read_text())["history"][0]
    assert first["theta_mean"] == pytest.approx(theta.mean())


def test_another_folder_of_images(staged):
    (staged / "photographs").rename(staged / "elsewhere")
    assert run(staged) == 2
    assert run(staged, "--data", str(staged / "elsewhere")) in FINISHED


def test_a_dry_run_writes_nothing(staged, capsys):
    assert run(staged, "--dry-run") == 0
    printed = capsys.readouterr().out
    for word in ("coefficients", "5 + 2 held out", "stage 1", "l-bfgs", "then"):
        assert word in printed
    assert not (staged / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('method = "adam"', 'method = "adm"', ["stage[0]", "adam"]),
        ('method = "l-bfgs"\n', "", ["stage[1].method", "missing"]),
        ("batch = 2", "batsh = 2", ["stage[0].batsh", "did you mean 'batch'"]),
        ("steps = 4", "steps = 0", ["stage[0].steps"]),
        ("[1e-3, 1e-5]", "[1e-5, 1e-3]", ["first ≥ last"]),
        ("{ coefficients", "{ coeficients", ["coeficients", "coefficients"]),
        ('block = "coefficients"', 'block = "filters"', ["filters", "coefficients"]),
        ('kind = "ridge"', 'kind = "rigde"', ["regularizer[0].kind"]),
        ("count = 4", "count = 9", ["model.count"]),
        ("count = 4", "cuont = 4", ["model.cuont", "did you mean 'count'"]),
        ("count = 4", "count = 4.5", ["model.count"]),
        ('"foe"', '"fow"', ["model.kind", "did you mean 'foe'"]),
        ("crop = 18", "crop = 99", ["data.crop", "smaller than crops of 99"]),
        ('"*.png"', '"*.tif"', ["data.images[0]", "*.tif"]),
        ("images = 1\n", "images = 3\n", ["validation.images"]),
        ("[20.0, 30.0]", "[]", ["noise.sigma"]),
        ('filters = "learned"', 'filters = "learned"\nstart = "none.npz"', ["none.npz"]),
    ],
)
def test_bad_stages_exit_2_and_name_file_and_key(staged, capsys, old, new, words):
    text = STAGES.replace(old, new, 1)
    assert text != STAGES
    (staged / "job.toml").write_text(text)
    assert run(staged) == 2
    err = capsys.readouterr().err
    for word in words:
        assert word in err
    assert not (staged / "out").exists()


def test_kills_at_random_moments_change_no_bit(staged):
    """SIGKILL after times that grow: some hit the start, some a step, some a write."""
    command = [sys.executable, "-m", "sparseimplicit", "learn", str(staged / "job.toml"), "--out"]
    whole = subprocess.run([*command, str(staged / "whole")], capture_output=True, text=True)
    assert whole.returncode in FINISHED, whole.stderr
    random, kills = np.random.default_rng(0), 0
    killed = str(staged / "killed")
    for _ in range(40):
        process = subprocess.Popen([*command, killed], stdout=subprocess.PIPE, text=True)
        after = int(random.integers(0, 3))  # lines of steps
        for line in process.stdout:
            if line.split()[:1] and line.split()[0].isdigit():
                after -= 1
            if after < 0:
                break
        time.sleep(random.uniform(0.0, 0.2))
        process.kill()
        process.wait()
        process.stdout.close()
        kills += process.returncode == -signal.SIGKILL
        if process.returncode in FINISHED or kills == 2:
            break
    assert kills >= 1
    resumed = subprocess.run([*command, killed], capture_output=True, text=True)
    assert resumed.returncode in FINISHED, resumed.stderr
    np.testing.assert_array_equal(
        np.load(staged / "killed" / "theta.npy"), np.load(staged / "whole" / "theta.npy")
    )
