"""Files are whole or not at all; damage is found, wherever it is."""

import numpy as np
import pytest

from sparseimplicit.errors import ConfigError
from sparseimplicit.files import read_arrays, whole, write_atomically

ARRAYS = {"theta": np.arange(12.0), "text": np.frombuffer(b"{}", np.uint8)}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "step.npz"
    write_atomically(path, lambda file: np.savez(file, **ARRAYS))
    return path


def same(found):
    return found.keys() == ARRAYS.keys() and all(
        found[name].dtype == array.dtype and np.array_equal(found[name], array)
        for name, array in ARRAYS.items()
    )


def test_what_was_written_is_read(saved):
    assert whole(saved)
    assert same(read_arrays(saved))


def test_no_changed_byte_is_ever_taken_for_data(saved):
    """Each byte in turn, three ways: the arrays are as written, or there are none."""
    good = saved.read_bytes()
    refused = 0
    for at in range(len(good)):
        for bit in (0, 3, 7):
            saved.write_bytes(good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :])
            found = read_arrays(saved)
            refused += found is None
            assert found is None or same(found)
    assert refused > len(good)


def test_a_cut_file_is_none(saved):
    good = saved.read_bytes()
    for length in range(len(good)):
        saved.write_bytes(good[:length])
        assert read_arrays(saved) is None


def test_a_missing_file_and_pickled_objects_are_none(saved, tmp_path):
    assert read_arrays(tmp_path / "none.npz") is None
    np.savez(saved, objects=np.array([{}], dtype=object))
    assert read_arrays(saved) is None


def test_a_failed_write_leaves_what_was_there(saved):
    def fails(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(ConfigError, match="disk full"):
        write_atomically(saved, fails)
    assert same(read_arrays(saved))
    assert [path.name for path in saved.parent.iterdir()] == ["step.npz"]
