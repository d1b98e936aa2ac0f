"""Bounds on the states held: the same bits as with full storage, and the counts."""

import gc
import math
from pathlib import Path

import numpy as np
import pytest

from sparseimplicit import errors
from sparseimplicit.pde.checkpoints import Sweep
from tests.pde.test_time import SCHEMES, stepping
from tests.reference import evolution as reference

pytest.importorskip("checkpoint_schedules", reason="the extra pde is not installed")


def counting(n, memory, max_states, on_disk=0):
    """A chain whose node k is k² made from the ones before, and what its way back has seen."""

    def advance(k, window):
        assert len(window) == min(k, memory)
        assert [node[0][0] for node in window] == [(k - j) ** 2 for j in range(len(window), 0, -1)]
        return (np.array([window[-1][0][0] + 2.0 * k - 1.0]),)

    sweep = Sweep(n, (np.zeros(1),), advance, memory=memory, max_states=max_states, on_disk=on_disk)
    assert sweep.forward()[0][0] == n**2
    seen = []

    def visit(k, nodes):
        expected = [i**2 for i in range(max(k - memory, 0), k + 1)]
        assert [node[0][0] for node in nodes] == expected
        seen.append(k)

    sweep.backward(visit)
    assert seen == list(range(n, 0, -1))
    return sweep


@pytest.mark.parametrize(("n", "memory", "bound"), [(40, 1, 8), (40, 2, 15), (3, 1, 3), (1, 1, 9)])
def test_every_step_sees_its_nodes_within_the_bound(n, memory, bound):
    sweep = counting(n, memory, bound)
    assert sweep.peak <= bound
    assert sweep.peak >= min(n + 1, bound - memory)  # the room that there is is used


def test_the_steps_made_are_revolves():
    """n (r + 1) − C(S + r, r − 1) advances, and the step of each way back; GW 2000, eq. (3)."""
    n, windows = 40, 5
    sweep = counting(n, 1, windows + 2)
    r = next(r for r in range(99) if math.comb(windows + r, windows) >= n)
    assert sweep.advanced == (r + 1) * n - math.comb(windows + r, r - 1)


def test_windows_on_disk_spare_steps_and_leave_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    alone, helped = counting(40, 2, 9), counting(40, 2, 9, on_disk=4)
    assert helped.peak <= 9
    assert helped.advanced < alone.advanced
    assert list(Path(tmp_path).iterdir()) == []
    never_back = stepping("bdf2", max_states=5, states_on_disk=3).solve(reference.X)
    assert len(list(Path(tmp_path).iterdir())) == 1
    del never_back
    gc.collect()
    assert list(Path(tmp_path).iterdir()) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_gradient_and_hessian_under_a_bound_have_the_same_bits(scheme):
    direction = np.random.default_rng(8).standard_normal((reference.N_X, 1))
    whole = stepping(scheme).solve(reference.X)
    few = stepping(scheme, max_states=7).solve(reference.X)
    np.testing.assert_array_equal(few.y, whole.y)
    loss = reference.Loss()
    one, two = whole.gradient(loss), few.gradient(loss)
    assert one.value == two.value
    np.testing.assert_array_equal(one.gradient, two.gradient)
    assert one.report.recomputed_steps == 0
    assert one.report.peak_states == 9
    assert two.report.recomputed_steps > 0
    assert two.report.peak_states <= 7
    np.testing.assert_array_equal(few.gradient(loss).gradient, two.gradient)  # a second sweep
    few = stepping(scheme, max_states=12).solve(reference.X)  # y and its tangent, both held
    hessian = few.hessian(loss)
    np.testing.assert_array_equal(hessian.apply(direction), whole.hessian(loss).apply(direction))
    assert hessian.report.peak_states <= 12


def test_too_tight_a_bound_is_an_error():
    with pytest.raises(errors.ConfigError, match="at least max_states=5"):
        stepping("bdf2", max_states=4).solve(reference.X)
    assert stepping("bdf2", max_states=5).solve(reference.X).report.peak_states <= 5


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_least_bounds_are_said_before_any_step(scheme):
    least = 5 if scheme == "bdf2" else 3
    with pytest.raises(errors.ConfigError, match=f"at least max_states={least}"):
        stepping(scheme, max_states=least - 1)
    loss = reference.Loss()
    trajectory = stepping(scheme, max_states=least).solve(reference.X)
    assert trajectory.gradient(loss).report.peak_states <= least
    with pytest.raises(errors.ConfigError, match=f"at least max_states={2 * least}"):
        trajectory.hessian(loss)
    hessian = stepping(scheme, max_states=2 * least).solve(reference.X).hessian(loss)
    hessian.apply(np.ones(reference.N_X))
    assert hessian.report.peak_states <= 2 * least


@pytest.mark.parametrize("name", ["max_states", "states_on_disk", "max_factors", "max_iterations"])
@pytest.mark.parametrize("value", ["3", 4.5, -1, True])
def test_counts_are_whole_numbers(name, value):
    with pytest.raises(errors.SparseImplicitError, match=name):
        stepping("midpoint", **{name: value})
