"""Problems in time with published or peers' values."""

import runpy
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("skfem", reason="the extra pde is not installed")
EXAMPLES = Path(__file__).resolve().parents[2] / "scripts" / "examples"


def load(name):
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


def remainders(stepping, loss, x, direction, steps, rtol=1e-13):
    """Return |L(x + h d) − …| after the terms of first and of second order, for each h."""
    trajectory = stepping.solve(x, rtol=rtol)
    h = trajectory.gradient(loss, rtol=rtol)
    curvature = direction @ trajectory.hessian(loss, rtol=rtol).apply(direction)
    change = np.array([stepping.solve(x + s * direction, rtol=rtol).value(loss) for s in steps])
    first = change - h.value - steps * (h.gradient @ direction)
    return first, first - 0.5 * steps**2 * curvature


def slopes(remainder, steps):
    return np.diff(np.log(np.abs(remainder))) / np.diff(np.log(steps))


def test_burgers_has_dolfin_adjoints_values():
    """Values of dolfin-adjoint 2025.0.0 on its demo (examples/burgers/burgers.py), to 1e-10."""
    space = load("pde_burgers")
    h, s = space["h"], space["s"]
    assert h.value == pytest.approx(0.17062795369499573, rel=1e-10)
    assert np.linalg.norm(h.gradient) == pytest.approx(0.06472931207621, rel=1e-10)
    first = h.gradient[np.argsort(s)[:3]]
    np.testing.assert_allclose(first, [7.459e-7, 1.6745778967e-3, 1.6716829873e-3], rtol=1e-4)
    np.testing.assert_allclose(first[1:], [1.6745778967e-3, 1.6716829873e-3], rtol=1e-10)
    direction = np.sin(3 * np.pi * s)
    product = space["hessian"].apply(direction)
    assert direction @ product == pytest.approx(0.30137108458048, rel=1e-10)
    assert np.linalg.norm(product) == pytest.approx(0.05820822644494, rel=1e-10)


def test_burgers_has_slopes_two_and_three():
    space, steps = load("pde_burgers"), 0.5 ** np.arange(4, 7)
    wave = np.sin(2 * np.pi * space["s"])  # along others the third derivative is nearly zero
    first, second = remainders(space["stepping"], space["energy"], space["x"], wave, steps)
    assert (np.abs(slopes(first, steps) - 2.0) < 0.05).all()
    assert (np.abs(slopes(second, steps) - 3.0) < 0.05).all()


def test_heat_control_is_of_order_two_in_value_and_control():
    """OPTPDE mpdist2: J* = 36.42579814345775 and u* are known in closed form."""
    space = load("pde_heat_control")
    values, misses = [], []
    for n, steps in ((16, 10), (32, 20)):
        stepping, loss, norm, best = space["build"](n, steps)
        u, value, iterations, report = space["control"](stepping, loss, norm)
        values.append(value / 36.42579814345775 - 1.0)
        misses.append(np.sqrt((u - best) @ (norm @ (u - best))))
        assert iterations <= 8  # on every mesh: the inner product is that of L²
        assert report.factorizations == 1
    assert abs(values[0]) < 6.2e-3
    assert abs(values[1]) < 1.6e-3
    assert np.log2(values[0] / values[1]) > 1.9
    assert np.log2(misses[0] / misses[1]) > 1.9


def test_heat_control_is_quadratic():
    """The remainder of first order has slope 2, that of second order is rounding."""
    stepping, loss, _, best = load("pde_heat_control")["build"](6, 5)
    steps = 0.5 ** np.arange(4)
    direction = np.random.default_rng(0).standard_normal(best.size)
    first, second = remainders(stepping, loss, best, direction, steps)
    np.testing.assert_allclose(slopes(first, steps), 2.0, atol=1e-6)
    assert (np.abs(second) < 1e-10 * np.abs(first)).all()
