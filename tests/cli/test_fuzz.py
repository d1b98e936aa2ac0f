"""Five hundred spoilt job files: each is carried out or refused with code 2, never a traceback."""

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sparseimplicit.cli.app import main

from .test_jobs import LEARN
from .test_learn import DATASETS

SETTINGS = """[validation]
images = 1
crops = 1
[[regularizer]]
block = "log_weights"
kind = "ridge"
weight = 1.0
[training]
bounds = [-9.0, 9.0]
[solver]
linear = "auto"
"""
TEXT = (
    LEARN.replace("size = 3", "size = 3\ncount = 4").replace("coefficients", "log_weights")
    + SETTINGS
)
LINES = TEXT.splitlines()
VALUES = [
    "0", "-1", "1", "2.5", "-0.0", "1e400", "-1e308", "1e-320", "nan", "inf", str(2**62),
    str(2**70), '""', '"tv"',
    '"foe"', '"a.png"', '"\\u0000"', '"../../.."', '"*"', '"[a"', '"25 dB"', '"10 min"', "true",
    "[]", "[[]]", "[0]", "[nan, 1.0]", "[1e-3, 1e-5]", "{}", "{a = 1}", "1979-05-27", "07:32:00",
    "'x' ", "[1.0, 2.0, 3.0]", '["a.png", "a.png"]', '["b.png"]', "1_0",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("fuzz")
    for name, left in (("a", 100), ("b", 140)):
        with Image.open(DATASETS / "lantern.png") as image:
            image.crop((left, 100, left + 20, 118)).save(made / f"{name}.png")
    yield made
    shutil.rmtree(made)


@st.composite
def spoilt(draw):
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        key, equals, value = lines[at].partition("=")
        kind = draw(st.sampled_from(["value", "value", "value", "drop", "copy", "key", "letter"]))
        if kind == "value" and equals:
            lines[at] = f"{key}= {draw(st.sampled_from(VALUES))}"
        elif kind == "drop":
            del lines[at]
        elif kind == "copy":
            lines.insert(draw(st.integers(0, len(lines))), lines[at])
        elif kind == "key" and equals:
            lines[at] = (
                f"{draw(st.sampled_from(['kind', 'x', 'model.y', 'data', key * 2]))}={value}"
            )
        else:
            text = lines[at]
            place = draw(st.integers(0, len(text)))
            lines[at] = text[:place] + draw(st.sampled_from('"[]{}=.#\\é\x01 0')) + text[place:]
        if not lines:
            return ""
    return "\n".join(lines)


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=spoilt())
def test_a_spoilt_job_is_planned_or_refused(folder, text):
    (folder / "job.toml").write_text(text, encoding="utf-8")
    assert main(["run", str(folder / "job.toml"), "--dry-run"]) in (0, 2)


def test_the_unspoilt_job_is_planned(folder, capsys):
    (folder / "job.toml").write_text(TEXT)
    assert main(["run", str(folder / "job.toml"), "--dry-run"]) == 0
    assert "time" in capsys.readouterr().out
