"""A folder has one owner; a dead one's place is taken."""

import json
import os
import signal
import subprocess
import sys

import pytest

from sparseimplicit.errors import ConfigError
from sparseimplicit.locks import STALE, Lock, is_held, owner_of

HOLD = "import sys, time; from pathlib import Path; from sparseimplicit.locks import Lock; " \
       "lock = Lock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"  # fmt: skip


@pytest.fixture
def other(tmp_path):
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_refused_and_told_who_holds_the_folder(tmp_path, other):
    assert is_held(tmp_path / "lock")
    with pytest.raises(ConfigError, match=rf"another process \({other.pid} on "):
        Lock(tmp_path / "lock")


def test_a_killed_owners_lock_is_taken_over_and_said(tmp_path, other):
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert not is_held(tmp_path / "lock")
    lock = Lock(tmp_path / "lock")
    assert lock.notes == [f"took over from process {other.pid} on {owner_of(lock.path)['host']}, "
                          "which is gone"]  # fmt: skip
    assert is_held(lock.path)
    lock.release()


def test_a_released_folder_is_free_again(tmp_path):
    first = Lock(tmp_path / "run" / "lock")
    with pytest.raises(ConfigError, match="another process"):
        Lock(first.path)
    first.release()
    assert not is_held(first.path)
    second = Lock(first.path)
    assert second.notes == []
    second.release()


def test_an_owner_on_another_machine_counts_as_dead_after_long_silence(tmp_path):
    path = tmp_path / "lock"
    path.write_text(json.dumps({"pid": 1, "host": "elsewhere", "started": "7"}))
    assert is_held(path)
    with pytest.raises(ConfigError, match="1 on elsewhere"):
        Lock(path)
    long_ago = path.stat().st_mtime - STALE - 1
    os.utime(path, (long_ago, long_ago))
    assert not is_held(path)
    lock = Lock(path)
    assert "elsewhere, which is gone" in lock.notes[0]
    lock.release()


def test_without_locks_of_the_file_system_the_living_owner_still_counts(
    tmp_path, other, monkeypatch
):
    def none(file, how):
        raise OSError("no locks here")

    monkeypatch.setattr("sparseimplicit.locks.fcntl.flock", none)
    with pytest.raises(ConfigError, match=str(other.pid)):
        Lock(tmp_path / "lock")
    other.kill()
    other.wait()
    Lock(tmp_path / "lock").release()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        Lock(tmp_path / "file" / "lock")
