"""The unknowns of a residual that are given numbers: where they stand, and their values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import NonFinite, ShapeError
from .terms import index_array

Array = NDArray[np.float64]
WHERE = "Residual, fixed="


def fixed_unknowns(given: Any, n_y: int) -> tuple[NDArray[Any] | None, Array]:
    """Return the places in order and a value for each; no places where none is fixed."""
    values: Any = 0.0
    if isinstance(given, tuple) and len(given) == 2:
        given, values = given
    if given is None:
        return None, np.empty(0)
    places = np.asarray(given)
    if places.dtype == np.bool_:
        if places.shape != (n_y,):
            raise ShapeError(
                f"the mask fixed= has shape {places.shape}, n_y is {n_y}.",
                where=WHERE,
                fix="give one truth for each unknown, or the places of those that are fixed.",
            )
        places = np.flatnonzero(places)
    if places.size == 0:
        return None, np.empty(0)
    checked = index_array(places, n_y, "Residual", "fixed=").reshape(-1)
    unique, first = np.unique(checked, return_index=True)
    if unique.size != checked.size:
        raise ShapeError("fixed= names an unknown twice.", where=WHERE, fix="name each once.")
    return unique, _values(values, checked)[first]


def _values(given: Any, places: NDArray[Any]) -> Array:
    """Return one finite number for each place; a single one is that of all."""
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ShapeError(
            f"the values {given!r} are no real numbers.", where=WHERE, fix="give finite numbers."
        ) from None
    if values.size not in (1, places.size):
        raise ShapeError(
            f"{values.size} values are given for {places.size} unknowns.",
            where=WHERE,
            fix="give one for each of the unknowns that are named, or a single one for all.",
        )
    values = np.broadcast_to(values.reshape(-1), places.shape)
    if not np.isfinite(values).all():
        worst = int(np.argmin(np.isfinite(values)))
        raise NonFinite(
            f"the value of unknown {places[worst]} is {values[worst]}.",
            where=WHERE,
            fix="give finite numbers; leave out what is not fixed.",
        )
    return values
