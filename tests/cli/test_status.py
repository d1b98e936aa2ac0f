"""How runs stand, and a page on one of them, from what their directories say."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from sparseimplicit.cli.app import main
from sparseimplicit.cluster.rundir import RunDirectory
from sparseimplicit.cluster.tasks import expanded, write_tasks
from sparseimplicit.errors import NotConverged
from sparseimplicit.files import write_atomically

STEP = {"stage": 0, "method": "adam", "gradient_error": None, "rtol": 1e-4, "validation": None}


@pytest.fixture
def runs(tmp_path):
    """One run that is done, one that failed, one whose process is gone."""
    for name in ("good", "bad", "gone"):
        run = RunDirectory(tmp_path / name)
        run.begin(kind="learn", identity=name, config="[model]\n# a < b\n", given={"a.b": "<i>"})
        run.log("step", step=0, value=9.0, gradient_norm=None, **STEP | {"method": "start"})
        for k in range(1, 4):
            run.log("step", step=k, value=8.0 / (k + 1), gradient_norm=float(k), psnr=20.0 + k,
                    work={"newton_iterations": 3}, notes=["a step & a note"] if k == 2 else [],
                    **STEP)  # fmt: skip
            run.progress(k, 9, 8.0 / (k + 1))
        if name == "good":
            write_atomically(
                run.folder / "model.npz", lambda file: np.savez(file, theta=np.array([1.5, -2.0]))
            )
            (run.folder / "figure.png").write_bytes(b"\x89PNG a picture")
            run.finish({
                "steps": 4, "mean_psnr": 27.5, "preparation": None,
                "images": [{"image": "<pier>.png", "psnr": 27.0, "linear_solver": "cholmod"}],
            })  # fmt: skip
        elif name == "bad":
            run.fail(NotConverged("no <end>.", where="image 3", fix="do less."))
        run.close()
    status = json.loads((tmp_path / "gone" / "status.json").read_text())
    (tmp_path / "gone" / "status.json").write_text(json.dumps(status | {"attempts": 2}))
    return tmp_path


def test_status(runs, capsys):
    assert main(["status", *(str(runs / name) for name in ("good", "bad", "gone"))]) == 12
    lines = capsys.readouterr().out.splitlines()
    assert re.search(r"good:  done  step 3 of ≤ 9  value 2 ", lines[0])
    assert "bad:  failed" in lines[1]
    assert "NotConverged: no <end>." in lines[1]
    assert "gone:  killed" in lines[2]
    assert "attempt 2" in lines[2]
    assert lines[3] == "3 runs: 1 done, 1 failed, 1 killed"
    assert main(["status", str(runs / "good")]) == 0
    assert main(["status", str(runs)]) == 2
    assert "no run directory" in capsys.readouterr().err


def test_what_is_no_run_directory_is_told_apart(runs, capsys):
    (runs / "good" / "status.json").write_text("{")
    for command in ("status", "report"):
        assert main([command, str(runs / "good")]) == 2
        assert "good/status.json cannot be read" in capsys.readouterr().err
    write_tasks(runs, expanded({"a": [1, 2]}, []), "job")
    assert main(["report", str(runs)]) == 2
    err = capsys.readouterr().err
    assert "a sweep of 2 tasks" in err
    assert f"{runs}/tasks/0000" in err


def test_a_running_one_tells_its_process(tmp_path, capsys):
    run = RunDirectory(tmp_path / "run")
    run.begin(kind="learn", identity="", config="", given={})
    assert main(["status", str(run.folder)]) == 0
    assert f"process {run.status.pid} on {run.status.host}" in capsys.readouterr().out
    run.close()


class Tags(HTMLParser):
    """Checks that what is opened is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.images = [], []

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.images.append(dict(attributes)["src"])
        elif tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", ["good", "bad", "gone"])
def test_the_page_holds_everything_and_needs_nothing(runs, name):
    assert main(["report", str(runs / name)]) == 0
    text = (runs / name / "report.html").read_text()
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert "http" not in text
    assert "<script" not in text
    assert all(source.startswith("data:image/png;base64,") for source in tags.images)
    assert "# a &lt; b" in text
    assert "a step &amp; a note" in text
    assert "newton iterations" in text
    assert "<th>step 1</th><th>step 3</th>" in text  # at the start there is no gradient
    assert "&lt;i&gt;" in text
    if name == "good":
        assert len(tags.images) == 2  # the course, and figure.png
        for word in ("27.5", "θ[1]", "-2", "&lt;pier&gt;.png", ">cholmod<", 'class="done"'):
            assert word in text
    if name == "bad":
        for word in ("Why it failed", "no &lt;end&gt;.", "image 3", "do less."):
            assert word in text
    if name == "gone":
        assert "ended without a word" in text
