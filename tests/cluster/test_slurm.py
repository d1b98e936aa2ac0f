"""A job array on a real Slurm: killed, cut off at its time limit, requeued; the same results."""

import datetime
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparseimplicit.cli.app import main

from .slurm import Slurm, missing

ROOT = Path(__file__).resolve().parent.parent.parent
TASKS, PATIENCE = 8, 600.0
KILLED, LATE, SIGNALLED = 2, 3, 5  # tasks with more steps than the others
JOB = """
[model]
start = 1.0
[data]
images = ["0.png"]
[[stage]]
method = "adam"
steps = 5
batch = 1
gradient_rtol = 1e-4
error_every = 0
[run]
grace = "30s"
"""


@pytest.fixture
def slurm(tmp_path_factory):
    if missing():
        pytest.skip(f"not installed: apt-get install --no-install-recommends {' '.join(missing())}")
    started = Slurm(tmp_path_factory.mktemp("slurm"))
    yield started
    started.stop()


@pytest.fixture
def sweep(tmp_path):
    """Eight small images, a task each; three tasks have time enough to be disturbed."""
    text = 'kind = "sweep"\njob = "job.toml"\n'
    with Image.open(ROOT / "datasets" / "lantern.png") as image:
        for k in range(TASKS):
            image.crop((100 + 20 * k, 100, 124 + 20 * k, 120)).save(tmp_path / f"{k}.png")
            text += f'[[task]]\ndata.images = ["{k}.png"]\n'
            text += '"stage.0.steps" = 150\n' if k in (KILLED, LATE, SIGNALLED) else ""
    (tmp_path / "job.toml").write_text(JOB)
    (tmp_path / "sweep.toml").write_text(text)
    command = tmp_path / "sparseimplicit"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sparseimplicit "$@"\n')
    command.chmod(0o755)
    return tmp_path


def until(true, what, told=str):
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"{what} did not come about\n{told()}"
        time.sleep(0.02)


def stopped_in_mid_run(folder):
    """Stop a task's process after some of its steps; return its number and how many they were."""

    def steps():
        return [int(p.stem[5:]) for p in (folder / "checkpoint").glob("step-*.npz")]

    until(lambda: max(steps(), default=0) >= 2, f"step 2 of {folder}")
    pid = json.loads((folder / "status.json").read_text())["pid"]
    os.kill(pid, signal.SIGSTOP)
    done = max(steps())
    assert done < 150
    return pid, done


def begun_anew(slurm, tasks, folder):
    """Wait until Slurm has requeued each task; have it begin soon, not two minutes later.

    Not at once: a node refuses what it was told to end in the same second, and the task has failed.
    """

    def told():
        logs = [folder / f"{task.partition('_')[2]}.log" for task in sorted(waiting)]
        return "\n".join([slurm.told(waiting), *(log.read_text()[-4000:] for log in logs)])

    waiting = set(tasks)

    def all_begun():
        for task in tuple(waiting):
            if slurm.restarts(task) >= 1 and slurm.state(task) in ("PENDING", "RUNNING"):
                slurm.said("scontrol", "update", f"JobId={task}", "TimeLimit=20")
                if slurm.state(task) == "PENDING":
                    slurm.said("scontrol", "update", f"JobId={task}", "StartTime=now+3")
                waiting.remove(task)
        return not waiting

    until(all_begun, "the requeue", told)


def begun_at(folder):
    """The step at which each attempt of a task began to compute."""
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    starts = [k for k, event in enumerate(events) if event["event"] == "begin"]
    return [next(e["step"] for e in events[k:] if e["event"] == "step") for k in starts]


@pytest.mark.slurm
def test_an_array_survives_a_kill_a_time_limit_and_a_signal(slurm, sweep, capsys):
    out, folders = sweep / "out", [sweep / "out" / "tasks" / f"000{k}" for k in range(TASKS)]
    env = {
        "SPARSEIMPLICIT": str(sweep / "sparseimplicit"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    script = [str(ROOT / "scripts" / "slurm" / "array.sbatch"), str(sweep / "sweep.toml"), "--out",
              str(out)]  # fmt: skip
    options = ["--cpus-per-task=1", "--mem-per-cpu=0", f"--output={sweep}/%a.log", "--time=20"]
    job = slurm.submit(*options, f"--array=0-{TASKS - 1}", *script, **env)

    # SIGKILL: the task fails, and says nothing.
    pid, killed_at = stopped_in_mid_run(folders[KILLED])
    os.kill(pid, signal.SIGKILL)
    _, late_at = stopped_in_mid_run(folders[LATE])
    pid, signalled_at = stopped_in_mid_run(folders[SIGNALLED])
    # Cancelled at its time limit, which it cannot see coming: it stands still until Slurm ends it.
    end = datetime.datetime.now() + datetime.timedelta(seconds=2)
    slurm.said("scontrol", "update", f"JobId={job}_{LATE}",
               f"EndTime={end.isoformat(timespec='seconds')}")  # fmt: skip
    # A signal before the end: it writes its step, asks for a requeue, and is begun again.
    slurm.said("scancel", "--batch", "--signal=USR1", f"{job}_{SIGNALLED}")
    os.kill(pid, signal.SIGCONT)
    begun_anew(slurm, [f"{job}_{LATE}", f"{job}_{SIGNALLED}"], sweep)
    until(lambda: not slurm.queued(), "the end of the array", lambda: slurm.told([job]))

    assert slurm.state(f"{job}_{KILLED}") == "FAILED"
    assert main(["collect", str(out)]) == 12
    told = capsys.readouterr()
    assert f"{TASKS - 1} done, 1 killed" in told.out
    assert f"--array={KILLED}" in told.err
    again = slurm.submit(*options, f"--array={KILLED}", *script, **env)
    until(lambda: not slurm.queued(), "the end of the task")
    assert slurm.state(f"{again}_{KILLED}") == "COMPLETED"
    assert main(["collect", str(out)]) == 0

    # No completed step was made again.
    for number, done in ((KILLED, killed_at), (LATE, late_at), (SIGNALLED, signalled_at)):
        first, resumed = begun_at(folders[number])
        assert first == 0
        assert resumed > done
    for task in (LATE, SIGNALLED):
        log = (sweep / f"{task}.log").read_text()
        assert re.findall(r"attempt (\d), (\d) threads", log) == [("0", "1"), ("1", "1")], log
        assert re.findall(r"ends with code (\d+)", log) == ["85", "0"], log
        assert ("DUE TO TIME LIMIT" in log) == (task == LATE)

    serial = sweep / "serial"
    assert main(["run", str(sweep / "sweep.toml"), "--out", str(serial)]) == 0
    for folder in folders:
        np.testing.assert_array_equal(
            np.load(folder / "theta.npy"), np.load(serial / "tasks" / folder.name / "theta.npy")
        )
