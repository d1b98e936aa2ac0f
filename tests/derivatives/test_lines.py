"""Products with filters line by line, against lists of places."""

import numpy as np
import pytest

from sparseimplicit import derivatives as terms
from sparseimplicit.derivatives.lifted.by_lines import LineProducts
from sparseimplicit.kernels import lifts
from tests.reference import lifts as twin

STENCILS = {
    "narrow": terms.patches((9, 5), (3, 4), border="symmetric"),
    "wide": terms.patches((4, 130), (2, 9), border="symmetric"),
    "inside": terms.patches((8, 61), (5, 4)),
    "a whole line": terms.patches((7, 30), (2, 30)),
    "on a line": terms.patches((100,), (7,), border="nearest"),
    "in space": terms.patches((3, 4, 26), (2, 2, 3), border="periodic"),
    "one tap": terms.patches((5, 25), (1, 1), border="periodic"),
    "apart": terms.stencil((6, 27), [(0, 3), (0, 3), (-2, 1), (1, -1), (0, 1)], border="nearest"),
    "fields": terms.patches((6, 7), (2, 3), border="symmetric")
    + terms.patches((6, 7), (3, 3), field=2, border="symmetric"),
}


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("responses", [1, 5, 8])
@pytest.mark.parametrize("name", STENCILS)
def test_products(name, responses, compiled, monkeypatch):
    y = STENCILS[name]
    if not compiled:
        for kernel in ("lift_lines", "lower_lines", "outer_lines"):
            monkeypatch.setattr(lifts, kernel, getattr(lifts, kernel).py_func)
    rng = np.random.default_rng(responses)
    lines, places = LineProducts(y), y.indices()
    filters = rng.standard_normal((responses, places.shape[1]))
    u = rng.standard_normal(y.size + 3)  # of a state that has more unknowns
    r = lines.lift(filters, u)
    known = r[:, : y.elements]  # some more stand behind them
    np.testing.assert_allclose(known, twin.lift(filters, u, places), rtol=1e-12, atol=1e-12)
    start = rng.standard_normal(u.size)
    out = start.copy()
    lines.lower(filters, r, out)
    np.testing.assert_allclose(out - start, twin.lower(filters, known, places, u.size), atol=1e-11)
    np.testing.assert_allclose(lines.outer(r, u), twin.outer(known, u, places), atol=1e-11)
