"""A job's file: what it may say, and errors that name the file, the line and the key."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseimplicit.cli.jobs.lines import line_of
from sparseimplicit.cli.jobs.reading import checked_job
from sparseimplicit.cli.jobs.source import read_source
from sparseimplicit.errors import ConfigError

LEARN = """# a job
kind = "learn"
run.time = "50min"

[model]
kind = "foe"
size = 3

[data]
images = [
  "a.png",  # a comment with ] and "
  "b.png",
]
[noise]
sigma = 25.0

[[stage]]
method = "adam"
steps = 4
[[stage]]
method = "l-bfgs"
scales = { coefficients = 0.2 }
"""
GRADIENT = """kind = "gradient"
[system]
hessian = "H.npz"
cross_hessian = "B.npz"
cotangent = "v.npy"
[run]
memory = "16 GB"
"""
EVALUATE = """kind = "evaluate"
model.name = "tv"
data.folder = "photographs"
"""
SWEEP = """kind = "sweep"
job = "learn.toml"
[grid]
noise.sigma = [15.0, 25.0]
"model.size" = [3, 5]
"""


def read(tmp_path, text, *assignments):
    (tmp_path / "job.toml").write_text(text)
    return checked_job(read_source(tmp_path / "job.toml", assignments))


def test_every_kind(tmp_path):
    learn = read(tmp_path, LEARN)
    assert learn.run.time == 3000.0
    assert [stage.method for stage in learn.stage] == ["adam", "l-bfgs"]
    assert read(tmp_path, LEARN.replace('kind = "learn"\n', "")) == learn
    assert read(tmp_path, GRADIENT).run.memory == 16 * 2**30
    assert read(tmp_path, EVALUATE).solver.rtol == 1e-5
    assert read(tmp_path, SWEEP).grid["noise"] == {"sigma": [15.0, 25.0]}


def test_a_job_without_a_kind_is_told_what_it_is_taken_for(tmp_path):
    for text in ("", GRADIENT.replace('kind = "gradient"\n', "")):
        with pytest.raises(ConfigError, match="no 'kind' is told: taken as 'learn'") as caught:
            read(tmp_path, text)
        assert 'kind = "learn", "gradient", "evaluate", "sweep"' in caught.value.fix
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, LEARN.replace('"learn"', '"train"'))
    assert "did you mean 'learn'" in caught.value.fix


@pytest.mark.parametrize(("content", "cure"), [
    (GRADIENT.encode("utf-16"), "save it as UTF-8"),
    (b"\x89PNG\r\n", "save it as UTF-8"),
    (b"kind = ", "mend that place"),
    (GRADIENT.replace('"16 GB"', "16").encode(), "give run.memory as it is asked for"),
])  # fmt: skip
def test_the_cure_is_for_what_is_wrong(tmp_path, content, cure):
    (tmp_path / "job.toml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        checked_job(read_source(tmp_path / "job.toml"))
    assert cure in caught.value.fix
    with pytest.raises(ConfigError) as caught:
        read_source(tmp_path)
    assert caught.value.fix == "give the file of a job."


def test_values_can_be_set_from_outside(tmp_path):
    job = read(
        tmp_path, LEARN, "noise.sigma=15.0", "stage.1.max_iterations = 7", "run.out=here/it is",
        'data.images=["c.png"]',
    )  # fmt: skip
    assert job.noise.sigma == 15.0
    assert job.stage[1].max_iterations == 7
    assert job.stage[1].scales == {"coefficients": 0.2}
    assert job.run.out == "here/it is"
    assert job.data.images == ["c.png"]


@pytest.mark.parametrize(
    ("text", "old", "new", "words"),
    [
        (LEARN, "sigma", "sigm", ["line 15", "'noise.sigm'", "did you mean 'sigma'"]),
        (LEARN, "sigma = 25.0", 'sigma = "25 dB"', ["line 15", "noise.sigma", "grey levels"]),
        (LEARN, "sigma = 25.0", "sigma = 256.0", ["line 15", "grey levels, 0 to 255"]),
        (LEARN, "sigma = 25.0", "sigma = [25.0, -1.0]", ["line 15", "noise.sigma"]),
        (LEARN, "[noise]", "[nois]", ["line 14", "'nois'", "did you mean 'noise'"]),
        (LEARN, "steps = 4", "stops = 4", ["line 19", "stage[0].stops", "did you mean 'steps'"]),
        (LEARN, '"l-bfgs"', '"bfgs"', ["line 20", "stage[1]", "l-bfgs"]),
        (LEARN, "0.2 }", "-1.0 }", ["line 22", "stage[1].scales.coefficients"]),
        (LEARN, '"b.png",', "7,", ["line 10", "data.images[1]"]),
        (LEARN, "size = 3", "sise = 3", ["line 7", "model.sise", "did you mean 'size'"]),
        (LEARN, '"50min"', "50", ["line 3", "run.time", "'50min'"]),
        (LEARN, '"50min"', '"50 GB"', ["line 3", "run.time", "'50min'"]),
        (LEARN, '"learn"', '"lern"', ["line 2", "did you mean 'learn'"]),
        (GRADIENT, '"16 GB"', '"16 h"', ["line 7", "run.memory", "'16 GB'"]),
        (GRADIENT, '"16 GB"', "16", ["line 7", "run.memory", "'16 GB'"]),
        (GRADIENT, "hessian", "hesian", ["line 3", "did you mean 'hessian'"]),
        (GRADIENT, 'cotangent = "v.npy"\n', "", ["line 2", "'system.cotangent' is missing"]),
        (EVALUATE, "data.folder", "data.foldr", ["line 3", "did you mean 'folder'"]),
        (SWEEP, "[grid]", "[gird]", ["line 3", "did you mean 'grid'"]),
        (SWEEP, 'job = "learn.toml"\n', "", ["job.toml: job", "missing"]),
    ],
)
def test_refusals_name_file_line_key_and_the_nearest_name(tmp_path, text, old, new, words):
    changed = text.replace(old, new, 1)
    assert changed != text
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, changed)
    for word in ["job.toml", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("noise.sigm=3.0", ["--set noise.sigm", "did you mean 'sigma'"]),
        ("noise.sigma=1O", ["--set noise.sigma", "'1O'"]),
        ("noise", ["--set noise", "noise.sigma=15.0"]),
        ("stage.2.steps=3", ["--set stage.2.steps", "count from 0"]),
        ("kind.of=3", ["--set kind.of", "no table"]),
        ("kind=solve", ["--set kind", "valid: learn, gradient, evaluate, sweep"]),
    ],
)
def test_a_wrong_assignment_is_named(tmp_path, assignment, words):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, LEARN, assignment)
    for word in words:
        assert word in str(caught.value)


def test_lines_of_keys_behind_strings_of_all_kinds():
    text = "\n".join([
        'a = """', "b = 1", '""""', "", "c = '''", "[t]'''", "[ t . 'u v' ]", r'd = "\"#"',
        "e.f = [{g = 1},", "{g = 2}] # [x]", "[[t.w]]", "[[t.w]]", "h = 1", "[t.w.x]", "i = 1",
    ])  # fmt: skip
    tomllib.loads(text)
    places = [("a",), ("c",), ("t", "u v"), ("t", "u v", "d"), ("t", "u v", "e", "f", 1, "g"),
              ("t", "w", 1, "h"), ("t", "w", 1, "x", "i"), ("b",)]  # fmt: skip
    assert [line_of(text, place) for place in places] == [1, 5, 7, 8, 9, 13, 15, None]


@given(st.text(st.sampled_from("ab.=[]{}\"'#\n 1,"), max_size=40))
def test_any_toml_has_its_lines(text):
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    for key in raw:
        line = line_of(text, (key,))
        assert line is None or key in text.splitlines()[line - 1]
