"""One stored evaluation made anew: whether a checkpoint is of these losses and problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ..errors import SparseImplicitError
from ..hypergradient import checked_loss
from ..implicit import Start
from ..linear.operator import Array, norm
from .checkpoint import Record
from .lower import Kept, Lower, Part, Relay

AGREES: Final = 100.0  # of rtol: how far value and gradient may be from those stored


def difference(
    lower: Sequence[Lower], record: Record, starts: Sequence[Start], rtol: float, first: Array
) -> str | None:
    """Return in what an evaluation made anew differs from the one stored, None if in nothing.

    Parameters
    ----------
    lower : sequence of Lower
    record : Record
        With a loss and a gradient.
    starts : sequence of Start
        States of that run to start from; empty for the first guesses.
    rtol : float
        Of states and adjoints.
    first : array, shape (n_x,)
        The first gradient of that run.

    Notes
    -----
    The gradient is held against the terms it is made of, L_x and Bᵀλ of each problem, which cancel
    near a minimum, and to rtol against the first one; the loss against itself and ``‖L_y‖ ‖y‖``,
    for where it is almost zero. Cost: a state solve, mostly from its solution, and an adjoint solve
    of each problem, with one factor alive.
    """
    relay = Relay(dict(enumerate(lower)))
    value, gradient = 0.0, np.zeros_like(record.gradient)
    size, terms = 0.0, 0.0
    try:
        for i, one in enumerate(lower):
            kept: list[Kept] = []
            start = {i: starts[i] if starts else None}
            part = relay.evaluate(record.x, start, rtol, trial=False, kept=kept)[i]
            assert isinstance(part, Part)  # noqa: S101 - no trial
            value, gradient = value + part.value, gradient + part.gradient
            y = kept.pop()[0].y
            _, l_x, l_y = checked_loss(one.loss, record.x, y)
            direct = np.zeros_like(gradient) if l_x is None else l_x
            size += abs(part.value) + norm(l_y) * norm(y)
            terms += norm(direct) + norm(part.gradient - direct)
    except SparseImplicitError as error:
        return f"cannot be made anew: {type(error).__name__}: {error.what}"
    if abs(value - record.value) > AGREES * rtol * size:
        return f"has the value {record.value:.6g}, and made anew {value:.6g}"
    off = norm(gradient - record.gradient)
    if off > AGREES * rtol * terms + rtol * norm(first):
        return (
            f"has a gradient that differs by {off:.1e} from the one made anew, {norm(gradient):.1e}"
        )
    return None
