"""Step 4 of 5: the gradient of a loss through an argmin, and the proof that it is right."""

import numpy as np
from argmin import implicit, noisy, solved, truth

import sparseimplicit as si


def loss(x, y):  # noqa: ARG001 - a loss is a function of both
    """½‖y − truth‖², its derivative in x (none) and in y."""
    return 0.5 * np.sum((y - truth) ** 2), None, y - truth


h = si.hypergradient(loss, solved, estimate_error=True)
table = si.verify.taylor(implicit, loss, 0.0, y0=noisy)

if __name__ == "__main__":
    print(f"loss {h.value:.6f}, dL/dx = {h.gradient[0]:.9f} ± {h.error:.0e}")
    print(table)
