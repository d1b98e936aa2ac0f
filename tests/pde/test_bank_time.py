"""Problems in time with published or peers' values."""

import runpy
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("skfem")
EXAMPLES = Path(__file__).resolve().parents[2] / "scripts" / "examples"


def test_burgers_has_dolfin_adjoints_values():
    """Values of dolfin-adjoint 2025.0.0 on its demo (examples/burgers/burgers.py), to 1e-10."""
    space = runpy.run_path(str(EXAMPLES / "pde_burgers.py"))
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
