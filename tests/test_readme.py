"""The README runs, and prints what it says."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = re.findall(
    r"```python\n(.*?)```(?:\n```text\n(.*?)```)?", (ROOT / "README.md").read_text("utf-8"), re.S
)
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def test_the_blocks_run_in_order_and_print_what_is_shown(monkeypatch):
    monkeypatch.chdir(ROOT)
    space = {}
    assert len(BLOCKS) >= 4
    for code, shown in BLOCKS:
        held = io.StringIO()
        with contextlib.redirect_stdout(held):
            exec(compile(code, "README.md", "exec"), space)  # noqa: S102
        printed = held.getvalue()
        # Words agree to the letter; numbers to what rounding on another machine may change.
        assert NUMBER.sub("#", printed) == NUMBER.sub("#", shown)
        found = [float(number) for number in NUMBER.findall(printed)]
        expected = [float(number) for number in NUMBER.findall(shown)]
        for a, b in zip(found, expected, strict=True):
            small = abs(b) < 1e-3  # an error: its size
            assert a == pytest.approx(b, rel=1e-3, abs=1e-5) or (small and a < 10 * b + 1e-9)
    assert np.isfinite(space["result"].value)
