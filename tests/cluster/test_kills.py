"""Twenty seeded disturbances, each followed by a resume: no wrong result, no step lost."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent.parent
JOB = """
[model]
start = 1.0
weight = "directions"
[data]
images = ["*.png"]
[validation]
images = 1
every = 2
[[stage]]
method = "adam"
steps = 6
batch = 2
gradient_rtol = [1e-3, 1e-5]
[[stage]]
method = "l-bfgs"
max_iterations = 4
"""
KINDS = ["kill"] * 6 + ["term"] * 5 + ["full"] * 5 + ["cut"] * 4
LAST = 10  # steps that every run has at least


class Zygote:
    def __init__(self, folder):
        self.folder = folder
        one = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.zygote", str(folder / "first.out"),
             *arguments(folder, folder / "whole")],
            cwd=ROOT, env=os.environ | one, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert self._read() in (0, 10), (folder / "first.out").read_text()

    def start(self, run, limit=None):
        told = {"run": arguments(self.folder, run), "out": str(run.with_suffix(".out")),
                "limit": limit}  # fmt: skip
        return self._ask(told)

    def wait(self, pid):
        return self._ask({"wait": pid})

    def _ask(self, question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self):
        return json.loads(self.process.stdout.readline())


def arguments(folder, run):
    return ["run", str(folder / "job.toml"), "--resume", "--out", str(run)]


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    for name in ("lantern", "pier", "dandelion", "spacecraft"):
        with Image.open(ROOT / "datasets" / f"{name}.png") as image:
            image.crop((120, 100, 144, 122)).save(folder / f"{name}.png")
    (folder / "job.toml").write_text(JOB)
    started = Zygote(folder)
    yield started
    started.process.stdin.close()
    started.process.wait()
    started.process.stdout.close()


@pytest.fixture
def small_disk(tmp_path):
    """A folder of its own with 1 MiB, or None where mounting is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        yield None
        return
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def steps(run):
    return sorted(int(path.stem[5:]) for path in (run / "checkpoint").glob("step-*.npz"))


def at_step(zygote, run, step, pause):
    """Start a run and return when a step is written, and a moment later."""
    pid = zygote.start(run)
    end = time.monotonic() + 60
    while max(steps(run), default=-1) < step:
        assert time.monotonic() < end, run.with_suffix(".out").read_text()
        time.sleep(0.001)
    time.sleep(pause)
    return pid


def filled_up(zygote, disk, run, share):
    """Run on a disk without room for more than a share of it; then make room."""
    if disk is None:
        sizes = [path.stat().st_size for path in (zygote.folder / "whole").rglob("*.npz")]
        limit = int(min(sizes) + share * (max(sizes) - min(sizes)))
        return zygote.wait(zygote.start(run, limit=limit))
    needed = sum(-(-path.stat().st_size // 4096) * 4096
                 for path in (zygote.folder / "whole" / "checkpoint").rglob("*.*"))  # fmt: skip
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "other").write_bytes(bytes(free - 20_000 - int(share * needed)))
    code = zygote.wait(zygote.start(run))
    (disk / "other").unlink()
    return code


@pytest.mark.parametrize("seed", range(len(KINDS)))
def test_a_resumed_run_has_the_bits_of_an_undisturbed_one(zygote, tmp_path, small_disk, seed):
    kind, random = KINDS[seed], np.random.default_rng(seed)
    run = (tmp_path if small_disk is None or kind != "full" else small_disk) / "run"
    step, pause = int(random.integers(0, LAST)), float(random.uniform(0, 0.03))
    cut = False
    if kind == "full":
        code = filled_up(zygote, small_disk, run, float(random.uniform(0.0, 0.8)))
        assert code == 2
        assert "cannot be written" in run.with_suffix(".out").read_text()
    else:
        pid = at_step(zygote, run, step, pause)
        os.kill(pid, signal.SIGTERM if kind == "term" else signal.SIGKILL)
        code = zygote.wait(pid)
        assert code in ((85, 0, 10) if kind == "term" else (-9, 0, 10))
    done = max(steps(run), default=-1)
    if kind == "cut" and done > 0:
        places = [run / "checkpoint" / f"step-{done:06d}.npz",
                  *(run / "checkpoint" / "states").glob(f"{done:06d}*.npz")]  # fmt: skip
        path = places[int(random.integers(len(places)))]
        os.truncate(path, int(random.integers(path.stat().st_size)))
        cut = True

    begun = len(events(run))
    assert zygote.wait(zygote.start(run)) in (0, 10), run.with_suffix(".out").read_text()
    whole = zygote.folder / "whole"
    np.testing.assert_array_equal(np.load(run / "theta.npy"), np.load(whole / "theta.npy"))
    scores = [json.loads((one / "metrics.json").read_text())["mean_psnr_validation_learned"]
              for one in (run, whole)]  # fmt: skip
    assert scores[0] == scores[1]
    again = [event["step"] for event in events(run)[begun:] if event["event"] == "step"]
    if cut:
        said = run.with_suffix(".out").read_text()
        told = rf"step {done} of the checkpoint is damaged.*; the best one before it is taken"
        assert re.search(told, said)
        assert again[0] == done
    elif again:
        assert again[0] == done + 1
    else:
        assert done == max(steps(whole))
    shutil.rmtree(run)


def events(run):
    try:
        lines = (run / "log.jsonl").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            found.append({"event": "cut off"})
    return found
