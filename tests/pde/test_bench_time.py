"""The bench of gradients through many steps, at toy size: it runs, and its claims hold."""

import runpy
from pathlib import Path

import pytest

pytest.importorskip("checkpoint_schedules", reason="the extra pde is not installed")


def test_a_bound_on_states_changes_no_bit_of_the_gradient():
    path = Path(__file__).resolve().parents[2] / "scripts" / "bench" / "pde_time.py"
    compare = runpy.run_path(str(path), run_name="bench")["compare"]
    (whole, bounded), difference = compare(12, 60, 12, "superlu", apart=False)
    assert difference == 0.0
    assert whole["value"] == bounded["value"]
    assert whole["report"]["factorizations"] == bounded["report"]["factorizations"] == 1
    assert whole["report"]["peak_states"] == 61
    assert bounded["report"]["peak_states"] <= 12
    assert 0 < bounded["report"]["recomputed_steps"] <= 2 * 60
