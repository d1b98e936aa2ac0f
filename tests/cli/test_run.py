"""Jobs in run directories: done, stopped, taken up, refused, foretold."""

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
from scipy import sparse

import sparseimplicit as si
from sparseimplicit.cli.app import main
from sparseimplicit.cluster.outcomes import events_of, outcome_of
from sparseimplicit.verify.zoo import laplacian

DATASETS = Path(__file__).resolve().parent.parent.parent / "datasets"
LEARN = """
[model]
start = 1.0
[data]
images = ["a.png"]
[training]
max_iterations = 6
stop_rtol = 1e-5
[run]
out = "run"
"""
LONG = 'stage=[{method = "adam", steps = 5000, batch = 1}]'


@pytest.fixture
def job(tmp_path):
    with Image.open(DATASETS / "lantern.png") as image:
        image.crop((120, 100, 152, 130)).save(tmp_path / "a.png")
    (tmp_path / "job.toml").write_text(LEARN)
    return tmp_path


def run(job, *more):
    return main(["run", str(job / "job.toml"), *more])


@pytest.fixture
def impatient(monkeypatch):
    """The next step is thought to take far longer than the time that is left."""
    monkeypatch.setattr("sparseimplicit.cluster.interruption.LONGER", 1e9)


def status(folder):
    return json.loads((folder / "status.json").read_text())


def test_a_run_directory_says_what_was_done_by_which_versions(job, capsys):
    assert run(job) == 0
    folder = job / "run"
    assert (folder / "config.toml").read_text() == LEARN
    told = json.loads((folder / "run.json").read_text())
    assert told["versions"]["numpy"] == np.__version__
    assert told["machine"]["cores"]
    assert status(folder)["state"] == "done"
    events = events_of(folder)
    assert [e["event"] for e in events[:2]] == ["begin", "step"]
    steps = [e["step"] for e in events if e["event"] == "step"]
    assert steps == list(range(len(steps)))
    outcome = outcome_of(folder)
    assert outcome.state == "done"
    assert outcome.metrics["theta"] == np.load(folder / "theta.npy")[0]

    assert run(job) == 2  # it is there already
    assert "--resume" in capsys.readouterr().err
    before = (folder / "theta.npy").stat().st_mtime_ns
    assert run(job, "--resume") == 0
    assert "done already" in capsys.readouterr().out
    assert (folder / "theta.npy").stat().st_mtime_ns == before
    assert run(job, "--resume", "--set", "noise.sigma=15.0") == 2
    assert "another config" in capsys.readouterr().err
    assert run(job, "--set", "noise.sigma=15.0", "--out", str(job / "other")) == 0
    assert json.loads((job / "other" / "run.json").read_text())["set"] == {"noise.sigma": 15.0}
    assert np.load(job / "other" / "theta.npy")[0] != outcome.metrics["theta"]


def test_a_dry_run_shows_the_plan_and_writes_nothing(job, capsys):
    assert run(job, "--dry-run", "--set", 'run.memory="1 GB"') == 0
    printed = capsys.readouterr().out
    for word in ("960 unknowns", "32 × 30", "solver", "seconds", "memory", "time"):
        assert word in printed
    assert not (job / "run").exists()
    assert run(job, "--dry-run", "--set", 'run.memory="1 KB"') == 2
    assert "MemoryBudgetExceeded" in capsys.readouterr().err


@pytest.fixture
def theorem(job):
    A = laplacian(12, 12, 0.1)
    B = sparse.random_array((144, 5), density=0.2, rng=np.random.default_rng(0), format="csr")
    v = np.random.default_rng(1).standard_normal((144, 2))
    sparse.save_npz(job / "H.npz", sparse.csr_array(A))
    sparse.save_npz(job / "B.npz", B)
    np.save(job / "v.npy", v)
    (job / "job.toml").write_text(
        'kind = "gradient"\n[system]\nhessian = "H.npz"\ncross_hessian = "B.npz"\n'
        'cotangent = "v.npy"\n[run]\nout = "run"\n'
    )
    return si.vjp(A, B, v)


def test_gradient(job, theorem, capsys):
    assert run(job, "--dry-run") == 0
    assert "2 solves" in capsys.readouterr().out
    assert run(job) == 0
    np.testing.assert_allclose(np.load(job / "run" / "x_bar.npy"), theorem, rtol=1e-6)
    assert outcome_of(job / "run").metrics["columns"] == 2
    np.save(job / "v.npy", np.ones(144))
    assert run(job, "--resume") == 2  # other files are another run
    (job / "B.npz").unlink()
    assert run(job, "--resume") == 2
    err = capsys.readouterr().err
    assert "line 4" in err
    assert "B.npz does not exist" in err


def test_evaluate_goes_on_where_it_was(job, capsys):
    folder = job / "photographs"
    folder.mkdir()
    for name, left in (("a", 100), ("b", 140)):
        with Image.open(DATASETS / "lantern.png") as image:
            image.crop((left, 100, left + 24, 124)).save(folder / f"{name}.png")
    (job / "job.toml").write_text(
        'kind = "evaluate"\nmodel.name = "tv"\ndata = {folder = "photographs", figures = 0}\n'
        'run.out = "run"\n'
    )
    assert run(job, "--dry-run") == 0
    assert "2 images, 1152 pixels" in capsys.readouterr().out
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sparseimplicit.cluster.interruption.LONGER", 1e9)
        assert run(job, "--set", 'run.time="10min"') == 85
    assert status(job / "run")["state"] == "interrupted"
    assert len(list((job / "run" / "images").iterdir())) == 1
    assert run(job, "--resume") == 0
    assert "kept" in capsys.readouterr().out
    assert len(outcome_of(job / "run").metrics["images"]) == 2


def test_time_that_is_up_ends_the_run_after_a_step_and_it_goes_on_to_the_same_bits(
    job, capsys, impatient
):
    assert run(job, "--out", str(job / "whole")) == 0
    capsys.readouterr()
    for attempt in range(1, 4):
        assert run(job, "--resume", "--set", 'run.time="10min"') == 85
        assert "--resume" in capsys.readouterr().err
        assert status(job / "run")["state"] == "interrupted"
        assert status(job / "run")["attempts"] == attempt
        assert status(job / "run")["done"] == attempt - 1
    assert run(job, "--resume") == 0
    np.testing.assert_array_equal(
        np.load(job / "run" / "theta.npy"), np.load(job / "whole" / "theta.npy")
    )


def test_time_shorter_than_a_step_still_does_a_step_an_attempt(job):
    assert run(job, "--out", str(job / "whole")) == 0
    attempts = 0
    while (code := run(job, "--resume", "--set", 'run.time="0.001s"')) == 85:
        assert status(job / "run")["done"] == attempts
        attempts += 1
    assert code == 0
    assert attempts == outcome_of(job / "whole").metrics["steps"] + 1
    np.testing.assert_array_equal(
        np.load(job / "run" / "theta.npy"), np.load(job / "whole" / "theta.npy")
    )
    told, whole = (outcome_of(job / name).metrics for name in ("run", "whole"))
    counts = [name for name, value in whole["work"].items() if isinstance(value, int)]
    assert "newton_iterations" in counts
    assert {n: told["work"][n] for n in counts} == {n: whole["work"][n] for n in counts}
    assert told["work_of_attempt"]["adjoint_solves"] == 0


def test_a_slurm_job_too_short_for_a_step_fails_and_is_not_requeued(job):
    command = [sys.executable, "-m", "sparseimplicit", "run", str(job / "job.toml")]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"SLURM_JOB_END_TIME": str(int(time.time())), "SLURM_JOB_ID": "7"},
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert "too short: not one step was done" in ended.stderr
    assert "sbatch --time" in ended.stderr
    assert outcome_of(job / "run").state == "failed"
    assert run(job, "--resume") == 0


def test_the_end_of_the_slurm_job_counts(job, monkeypatch, impatient):
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 600))
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert run(job) == 85
    assert status(job / "run")["slurm"]["SLURM_JOB_ID"] == "7"


def test_a_training_that_stops_at_max_iterations_is_done_and_ends_with_10(job, capsys):
    assert run(job, "--set", "training.max_iterations=1") == 10
    assert "done, not converged: stage 0: max_iterations were made" in capsys.readouterr().err
    assert (job / "run" / "model.npz").exists()
    outcome = outcome_of(job / "run")
    assert (outcome.state, outcome.title) == ("done", "done, not converged")
    assert outcome.metrics["converged"] is False
    assert main(["status", str(job / "run")]) == 0
    assert "done, not converged" in capsys.readouterr().out
    assert run(job, "--resume", "--set", "training.max_iterations=1") == 10
    assert "done already" in capsys.readouterr().out


def test_a_training_ended_by_the_images_held_out_ends_with_0(job):
    text = (job / "job.toml").read_text().replace('["a.png"]', '["a.png", "a.png"]')
    held = "[validation]\nimages = 1\nevery = 1\npatience = 1\n"
    (job / "job.toml").write_text(text.replace("[training]", f"{held}[training]"))
    assert run(job, "--set", "training.stop_rtol=1e-14", "--set",
               "training.max_iterations=40") == 0  # fmt: skip
    assert outcome_of(job / "run").metrics["unmet"] == []


def begun(job, folder, step, *more):
    """Start a run as a process, and wait for a step."""
    command = [sys.executable, "-m", "sparseimplicit", "run", str(job / "job.toml")]
    process = subprocess.Popen([*command, "--out", str(folder), *more], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    for line in process.stdout:
        if line.split()[:1] == [str(step)]:
            break
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_ends_the_run_with_the_code_for_a_requeue(job, number, capsys):
    process = begun(job, job / "run", 1, "--set", LONG)
    os.kill(process.pid, signal.SIGSTOP)
    assert outcome_of(job / "run").state == "running"
    assert run(job, "--resume", "--set", LONG) == 2
    assert f"another process ({process.pid} on" in capsys.readouterr().err
    os.kill(process.pid, number)
    os.kill(process.pid, signal.SIGCONT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 85
    assert f"signal {number.name}" in err
    told = status(job / "run")
    assert told["state"] == "interrupted"
    done = max(int(path.stem[5:]) for path in (job / "run" / "checkpoint").glob("step-*.npz"))
    assert told["done"] == done >= 1


def test_more_signals_do_not_change_the_code(job):
    """Not while it writes what it has, not while it says so, not while Python ends."""
    process = begun(job, job / "run", 1, "--set", LONG)
    sent = 0
    while process.poll() is None:
        process.send_signal((signal.SIGUSR1, signal.SIGTERM)[sent % 2])
        sent += 1
        time.sleep(1e-3)
    _, err = process.communicate()
    assert process.returncode == 85, err
    assert "Interrupted" in err
    assert sent > 2


def test_a_step_that_takes_longer_than_the_grace_is_abandoned(job):
    process = begun(job, job / "run", 1, "--set", LONG, "--set", 'run.grace="0s"')
    os.kill(process.pid, signal.SIGUSR1)
    process.communicate(timeout=60)
    assert process.returncode == 85
    assert outcome_of(job / "run").state == "interrupted"


def test_a_killed_run_is_seen_to_be_one(job):
    process = begun(job, job / "run", 1, "--set", LONG)
    process.kill()
    process.communicate()
    outcome = outcome_of(job / "run")
    assert outcome.state == "killed"
    assert str(process.pid) in outcome.why


def test_cures_are_those_of_the_command(job, capsys):
    """``run`` has neither --no-resume nor --data."""
    assert run(job, "--set", "training.max_iterations=0") == 2
    assert run(job, "--set", "data.folder=nix") == 2
    err = capsys.readouterr().err
    assert "--set data.folder: data.folder: there is no folder" in err
    assert "nix" in err
    assert "give --data" not in err
    assert run(job) == 0
    assert run(job, "--resume", "--set", "noise.sigma=20.0") == 2
    err = capsys.readouterr().err
    assert f"remove {job / 'run'}" in err
    assert "--no-resume" not in err


def test_a_failed_run_says_why(job, capsys):
    assert run(job, "--set", 'solver.linear="cholmod+metis"', "--set", "model.epsilon=1e-300") != 0
    outcome = outcome_of(job / "run")
    assert outcome.state == "failed"
    assert outcome.status.error["type"] in capsys.readouterr().err
