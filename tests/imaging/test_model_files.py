"""Models as files: what is written comes back; what is damaged is named."""

import json
import zipfile

import numpy as np
import pytest

from sparseimplicit.errors import ConfigError, NonFinite, ShapeError
from sparseimplicit.imaging import (
    FieldsOfExperts,
    TotalVariation,
    available_models,
    model_path,
    read_model,
    write_model,
)

MODEL = FieldsOfExperts(3, 5, filters="learned")
THETA = np.random.default_rng(0).standard_normal(5 + 5 * 8)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some.npz"
    write_model(path, MODEL, THETA, {"sigma": 15.0, "trained_on": "noise, ½ ‖·‖²"})
    return path


def test_what_is_written_comes_back(file):
    saved = read_model(file)
    assert saved.model == MODEL
    np.testing.assert_array_equal(saved.theta, THETA)
    assert saved.sigma == 15.0
    assert saved.about["trained_on"] == "noise, ½ ‖·‖²"
    assert saved.name == "some"
    assert saved.shape is None
    np.testing.assert_array_equal(saved.theta_for((9, 9)), THETA)


def test_blocks_can_be_read_by_numpy_alone(file):
    with np.load(file, allow_pickle=False) as held:
        np.testing.assert_array_equal(held["coefficients"], THETA[5:].reshape(5, 8))
        record = json.loads(held["description"].tobytes())
    assert record["kind"] == "foe"
    assert record["settings"]["size"] == 3


def test_the_same_model_is_the_same_file(file, tmp_path):
    write_model(tmp_path / "b.npz", MODEL, THETA, {"sigma": 15.0, "trained_on": "noise, ½ ‖·‖²"})
    assert (tmp_path / "b.npz").read_bytes() == file.read_bytes()


def test_a_map_is_for_images_of_one_shape(tmp_path):
    model, theta = TotalVariation(weight="map"), np.arange(12.0)
    with pytest.raises(ConfigError, match="holds a map"):
        write_model(tmp_path / "map.npz", model, theta)
    write_model(tmp_path / "map.npz", model, theta, shape=(3, 4))
    saved = read_model(tmp_path / "map.npz")
    np.testing.assert_array_equal(saved.theta_for((3, 4)), theta)
    with pytest.raises(ConfigError, match=r"\(3, 4\).*\(4, 3\)"):
        saved.theta_for((4, 3))


def damaged(file, how):
    content = file.read_bytes()
    if how == "missing":
        file.unlink()
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif how == "altered":
        middle = content.index(b"PK", 10) - 40
        file.write_bytes(content[:middle] + bytes(8) + content[middle + 8 :])
    elif how == "an array":
        with file.open("wb") as out:
            np.save(out, THETA)
    elif how == "no description":
        with file.open("wb") as out:
            np.savez(out, log_weights=THETA)
    elif how == "pickle":
        with file.open("wb") as out:
            np.savez(out, description=np.array([{"format": 1}], dtype=object))


@pytest.mark.parametrize(
    "how", ["missing", "empty", "cut", "altered", "an array", "no description", "pickle"]
)
def test_files_that_are_no_models_are_named(file, how):
    damaged(file, how)
    with pytest.raises(ConfigError, match=r"some\.npz"):
        read_model(file)


def rewritten(file, change):
    with np.load(file) as held:
        members = dict(held)
    record = json.loads(members["description"].tobytes())
    change(record, members)
    members["description"] = np.frombuffer(json.dumps(record).encode(), dtype=np.uint8)
    with file.open("wb") as out:
        np.savez(out, **members)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda record, _: record.update(format=2), "version 2"),
        (lambda record, _: record.update(kind="unknown"), "no model 'unknown'"),
        (lambda record, _: record["settings"].update(colour=1), "no setting 'colour'"),
        (lambda record, _: record["settings"].update(count=4), "log_weights"),
        (lambda _, members: members.pop("coefficients"), "no value for coefficients"),
        (lambda _, members: members.update(more=np.ones(2)), "no block 'more'"),
        (lambda _, members: members["log_weights"].__setitem__(3, np.nan), r"log_weights\[3\]"),
        (lambda record, _: record.update(settings=[1]), "some.npz"),
    ],
)
def test_what_does_not_fit_its_description_is_told(file, change, words):
    rewritten(file, change)
    with pytest.raises(ConfigError, match=words) as caught:
        read_model(file)
    assert "some.npz" in str(caught.value)


def test_a_map_without_a_shape_is_refused(tmp_path):
    path = tmp_path / "some.npz"
    write_model(path, TotalVariation(weight="map"), np.zeros(12), shape=(3, 4))
    for shape in (None, 3, [3], [4, 3, 1], ["3", "x"], [5, 4]):
        rewritten(path, lambda record, _, shape=shape: record.update(shape=shape))
        with pytest.raises(ConfigError, match=r"some\.npz"):
            read_model(path)


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(ConfigError, match="written as"):
        write_model(tmp_path / "model.json", MODEL, THETA)
    with pytest.raises(ShapeError):
        write_model(tmp_path / "model.npz", MODEL, THETA[:-1])
    with pytest.raises(NonFinite, match=r"log_weights\[0\]"):
        write_model(tmp_path / "model.npz", MODEL, np.where(np.arange(45) == 0, np.nan, THETA))
    with pytest.raises(ConfigError, match="no JSON"):
        write_model(tmp_path / "model.npz", MODEL, THETA, {"sigma": np.float32(3)})
    with pytest.raises(ConfigError, match="no JSON"):
        write_model(tmp_path / "model.npz", MODEL, THETA, {"score": float("nan")})
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_model(tmp_path / "file" / "model.npz", MODEL, THETA)


def test_a_model_is_found_by_path_or_among_those_shipped(file):
    assert model_path(file) == file
    with pytest.raises(ConfigError, match="no model 'foe49-sigma26'"):
        model_path("foe49-sigma26")
    for name in available_models():
        saved = read_model(model_path(name))
        assert saved.sigma is not None
        assert zipfile.is_zipfile(model_path(name))
