"""Penalties of a filter's response: smooth, even, 0 at 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np


@dataclass(frozen=True)
class Potential:
    """ρ(z) of a response z in units of the scale, and whether it is convex."""

    name: str
    formula: str
    convex: bool
    value: Callable[[Any, float], Any]

    def __call__(self, z: Any, freedom: float = 1.0) -> Any:
        """Return ρ(z); ``freedom`` is ν of Student's t, and has no part in the others."""
        return self.value(z, freedom)


POTENTIALS: Final[dict[str, Potential]] = {
    p.name: p
    for p in (
        Potential(
            "charbonnier",
            "√(1 + z²) − 1",
            convex=True,
            value=lambda z, _: np.sqrt(1.0 + z * z) - 1.0,
        ),
        Potential("log", "log(1 + z²/2)", convex=False, value=lambda z, _: np.log1p(0.5 * z * z)),
        Potential(
            "student-t",
            "½ (ν + 1) log(1 + z²/ν)",
            convex=False,
            value=lambda z, nu: 0.5 * (nu + 1.0) * np.log1p(z * z * (1.0 / nu)),
        ),
    )
}
