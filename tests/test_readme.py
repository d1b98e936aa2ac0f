"""The README runs, and prints what it says."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest

from sparseimplicit.cli.app import main
from sparseimplicit.cli.jobs.reading import checked_job
from sparseimplicit.cli.jobs.running import Run
from sparseimplicit.cli.jobs.source import read_source

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


def test_the_commands_for_a_cluster_run(tmp_path, monkeypatch, capsys):
    """Those of the section in order; a job array is stood in for by its tasks, one by one."""
    text = (ROOT / "README.md").read_text("utf-8")
    section = text.partition("## On a cluster\n")[2].partition("\n## ")[0]
    _every_key_is_told(section, tmp_path)
    learn, sweep = re.findall(r"```toml\n(.*?)```", section, re.S)
    for name, content in (("learn.toml", learn), ("sweep.toml", sweep)):
        assert f"`{name}`" in section
        (tmp_path / name).write_text(content)
    (tmp_path / "datasets").symlink_to(ROOT / "datasets")
    monkeypatch.chdir(tmp_path)
    commands = re.search(r"```console\n(.*?)```", section, re.S)[1].splitlines()
    assert len(commands) == 6
    for command in commands:
        program, *arguments = command.partition("#")[0].split()
        if program == "sbatch":
            array, script, *rest = arguments
            assert (ROOT / script).is_file()
            first, last = map(int, array.removeprefix("--array=").split("-"))
            for task in range(first, last + 1):
                assert main(["sweep", *rest, "--task", str(task)]) == 0
        else:
            assert main(arguments) == 0
    assert "2 tasks: 2 done" in capsys.readouterr().out
    assert (tmp_path / "runs" / "results.csv").is_file()
    assert (tmp_path / "runs" / "tasks" / "0000" / "report.html").is_file()


def _every_key_is_told(section, folder):
    """The keys of gradient and evaluate jobs are all in the README, and are what jobs may say."""
    listing = re.search(r"```text\n(.*?)```", section, re.S)[1]
    run = re.search(r"`(run = \{.*?\})`", section, re.S)[1]
    for text in listing.split("\n\n"):
        (folder / "kind.toml").write_text(text)
        source = read_source(folder / "kind.toml")
        job = checked_job(source)
        for name, field in type(job).model_fields.items():
            if name in ("kind", "run"):
                continue
            told = getattr(job, name).model_fields_set
            for key in set(field.annotation.model_fields) - told:
                assert re.search(rf"#.*\b{key} = ", text), f"{name}.{key}"
    (folder / "kind.toml").write_text(text.replace("run.jobs = 1", run))
    job = checked_job(read_source(folder / "kind.toml"))
    assert job.run.model_fields_set == set(Run.model_fields)
