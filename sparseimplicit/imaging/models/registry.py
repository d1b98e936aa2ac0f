"""Models by name, as files and command lines know them."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any, Final

from ...errors import ConfigError, ShapeError
from .experts import FieldsOfExperts
from .huber import HuberVariation
from .model import Model
from .tgv import GeneralizedVariation
from .tv import TotalVariation

KINDS: Final[dict[str, type[Model]]] = {
    model.kind: model
    for model in (TotalVariation, HuberVariation, GeneralizedVariation, FieldsOfExperts)
}


def model_named(kind: str, **settings: Any) -> Model:
    """Return the model of this kind, ``"tv"``, ``"huber-tv"``, ``"tgv"`` or ``"foe"``.

    ``model_named(m.kind, **m.settings())`` equals m.

    Raises
    ------
    ConfigError
        If there is no such kind or setting, with the nearest name; if a value is not valid.
    """
    if kind not in KINDS:
        raise ConfigError(
            f"there is no model '{kind}'.", fix=f"{_near(kind, list(KINDS))}{', '.join(KINDS)}."
        )
    names = [field.name for field in dataclasses.fields(KINDS[kind])]  # type: ignore[arg-type]
    for name in settings:
        if name not in names:
            raise ConfigError(
                f"the model '{kind}' has no setting '{name}'.",
                fix=f"{_near(name, names)}{', '.join(names)}.",
            )
    try:
        return KINDS[kind](**settings)
    except ShapeError as error:
        raise ConfigError(error.what, where=f"model '{kind}'", fix=error.fix) from error


def _near(name: str, valid: list[str]) -> str:
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'? valid: " if near else "valid: "
