"""What a process does with a signal that comes before its first step is done."""

import subprocess
import sys

import pytest

STEP = """
import os, signal, time
from sparseimplicit.cluster import interruption
interruption.MARGIN = 0.0
end = time.time() + {allotted}
watch = interruption.Interruption(
    end=end, grace=0.05,
    abandoning=lambda reason: print(reason, flush=True),
    hopeless=lambda error: print(time.time() < end, error.what, flush=True),
)
with watch:
    time.sleep({until})
    os.kill(os.getpid(), signal.SIGUSR1)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("allotted", "until", "code", "told"),
    [
        (3.0, 1.6, 2, "True the time of the job is too short: not one step was done in"),
        (600.0, 0.0, 85, "signal SIGUSR1; the step was abandoned"),
    ],
    ids=["near the end: in vain", "early: to be taken up again"],
)
def test_a_signal_before_the_first_step(allotted, until, code, told):
    ended = subprocess.run(
        [sys.executable, "-c", STEP.format(allotted=allotted, until=until)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == code, ended.stderr
    assert ended.stdout.startswith(told)
