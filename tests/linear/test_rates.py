"""The machine's rates: measured, kept, and measured again where what is kept cannot be used."""

import dataclasses
import json
import os
import subprocess
import sys
import time

import pytest

from sparseimplicit.linear import calibration
from sparseimplicit.linear import rates as module
from sparseimplicit.linear.rates import Rates, cache_path, rates

DAMAGED = ['{"rates": {"iteration": "fast"}}', '{"rates": {"x": 1}}', '{"rates": {"byte": 0.0}}']


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    rates.cache_clear()
    yield
    rates.cache_clear()


@pytest.fixture
def measurements(monkeypatch):
    """Count calibrations, which take a second each, and return known rates instead."""
    calls = []

    def measured():
        calls.append(0.0)
        return {"iteration": 2e-5}, calls[-1]

    monkeypatch.setattr(module, "measure", measured)
    return calls


@pytest.fixture
def busy_machine(monkeypatch):
    """Measure twice, others working all the time: 2e-5 s an iteration, then 1e-5 s."""
    seconds = iter([2e-5, 2e-5, 1e-5, 1e-5])
    monkeypatch.setattr(module, "measure", lambda: ({"iteration": next(seconds)}, 0.6))


def test_a_calibration_measures_every_rate_and_keeps_it():
    measured = module.calibrate()
    defaults = dataclasses.asdict(Rates())
    for name, value in dataclasses.asdict(measured).items():
        assert 1e-13 < value < 1e-2, name
        optional = ("ordering", "dissection", "factor", "solve", "pardiso")  # may be missing
        if not name.startswith(optional):
            assert value != defaults[name], name
    assert measured.cached_byte <= measured.byte
    assert rates() == measured
    record = json.loads(cache_path().read_text())
    assert record["machine"] == module.machine()


def test_a_byte_out_of_cache_is_never_quicker_than_one_in_it(monkeypatch):
    rounds = iter([{"cached_byte": 5e-11, "byte": 6e-11}, {"cached_byte": 6e-11, "byte": 4.5e-11}])
    monkeypatch.setattr(module, "measure", lambda: (next(rounds), 0.0))
    measured = module.calibrate()
    assert (measured.cached_byte, measured.byte) == (5e-11, 5e-11)


def test_they_are_measured_once(measurements):
    first = rates()
    rates.cache_clear()  # as a new process would begin
    assert rates() == first
    assert len(measurements) == 2


@pytest.mark.parametrize("text", ["", "{", *DAMAGED])
def test_a_damaged_file_is_replaced(measurements, text):
    cache_path().parent.mkdir(parents=True)
    cache_path().write_text(text)
    assert rates().iteration == 2e-5
    rates.cache_clear()
    assert rates().iteration == 2e-5
    assert len(measurements) == 2


def test_where_nothing_can_be_written_they_last_as_long_as_the_process(
    measurements, monkeypatch, tmp_path, caplog
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert rates() is rates()
    assert len(measurements) == 2
    assert "cannot be kept" in caplog.text


def test_what_was_measured_on_a_busy_machine_is_said_and_measured_again(busy_machine, caplog):
    assert rates().iteration == 2e-5
    assert "took 60 % of the cores" in caplog.text
    rates.cache_clear()
    assert rates().iteration == 2e-5  # within the hour
    os.utime(cache_path(), (0, 0))
    rates.cache_clear()
    assert rates().iteration == 1e-5


@pytest.mark.parametrize(
    ("seconds", "rounds", "taken", "said"),
    [
        ([2.0, 2.2], 2, 2.0, False),
        ([9.0, 2.0, 2.1], 3, 2.0, False),  # the first was disturbed
        ([0.001, 2.1, 2.0], 3, 2.0, False),  # so was this: a difference of two times
        ([1.0, 2.0, 4.0], 3, 2.0, True),
    ],
)
def test_a_rate_has_to_be_confirmed(seconds, rounds, taken, said, monkeypatch, caplog):
    left = [1e-5 * value for value in seconds]
    monkeypatch.setattr(module, "measure", lambda: ({"iteration": left.pop(0)}, 0.0))
    assert module.calibrate().iteration == pytest.approx(1e-5 * taken)
    assert len(seconds) - len(left) == rounds
    assert ("iteration came out different each time" in caplog.text) == said
    assert json.loads(cache_path().read_text())["disturbed"] == said


def test_what_a_busy_machine_distorts_is_limited(monkeypatch):
    """All rates twice their default, one a hundred times: four times is believed of it."""
    usual = dataclasses.asdict(Rates())
    found = {name: 2 * value for name, value in usual.items()} | {"cycle": 100 * usual["cycle"]}
    for busy, times in ((0.5, 4), (0.0, 100)):
        monkeypatch.setattr(module, "measure", lambda busy=busy: (found, busy))
        cache_path().unlink(missing_ok=True)
        measured = module.calibrate()
        assert measured.cycle == pytest.approx(times * usual["cycle"])
        assert measured.factor == pytest.approx(2 * usual["factor"])


def test_the_work_of_others_is_noticed(monkeypatch):
    for name in ("_cholmod", "_pardiso", "_superlu", "_amg", "_blas"):
        monkeypatch.setattr(calibration, name, dict)
    monkeypatch.setattr(calibration, "_cg", lambda: time.sleep(0.5) or {})
    spin = "import time; t = time.time()\nwhile time.time() < t + 5: pass"
    workers = [subprocess.Popen([sys.executable, "-c", spin]) for _ in os.sched_getaffinity(0)]
    time.sleep(0.3)
    _, busy = calibration.measure()
    for worker in workers:
        worker.kill()
        worker.wait()
    assert busy > 0.4


def test_another_number_of_threads_is_another_machine(monkeypatch):
    one = cache_path()
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert cache_path() != one


def test_an_iteration_of_cg_costs_more_out_of_cache():
    known = Rates(cached_byte=1e-11, byte=4e-11)
    small = known.iteration_of_cg(10_000, 50_000) - known.iteration
    large = known.iteration_of_cg(10_000_000, 50_000_000) - known.iteration
    assert large / small == pytest.approx(4000, rel=1e-6)
