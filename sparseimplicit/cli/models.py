"""The model that ``--model`` names: a kind with a weight, a file, or one that is shipped."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ..errors import ConfigError
from ..imaging.models import SavedModel, available_models, model_named, model_path, read_model
from ..imaging.models.gradients import GradientModel
from ..imaging.models.registry import KINDS

ModelName = Annotated[
    str, typer.Option("--model", help="A shipped model, a .npz file, or tv, huber-tv, tgv, foe.")
]
Weight = Annotated[
    float | None, typer.Option(help="For tv and huber-tv: the weight itself, instead of --sigma.")
]


def chosen_model(name: str, weight: float | None = None) -> SavedModel:
    """Return the model that a name, a kind or a file stands for.

    A kind alone has the parameters that it starts from in training, for noise of its ``sigma``; one
    with a ``weight`` is for no noise in particular.

    Raises
    ------
    ConfigError
    """
    if name in KINDS and not Path(name).is_file():
        model = model_named(name)
        if weight is None:
            return SavedModel(model, model.start((1, 1)), about={"sigma": model.sigma}, name=name)
        if isinstance(model, GradientModel):
            if not 0.0 < weight < np.inf:
                raise ConfigError(f"--weight {weight}: no weight.", fix="give a positive number.")
            theta = model.packing((1, 1)).pack(log_weight=np.log(weight))
            return SavedModel(model, theta, name=name)
    if weight is not None:
        raise ConfigError(
            f"--weight has no meaning for the model '{name}'.",
            fix="leave it out, or give --model tv or huber-tv.",
        )
    try:
        return read_model(model_path(name))
    except ConfigError as error:
        if error.__cause__ is None and "there is no model" in error.what:
            names = (*KINDS, *available_models())
            near = get_close_matches(name, names, n=1)
            guess = f"did you mean {near[0]}? " if near else ""
            error.fix = f"{guess}give a .npz file, or one of: {', '.join(names)}."
        raise error.at("--model") from error.__cause__


def check_sigma(sigma: float | None, saved: SavedModel, name: str) -> None:
    """Refuse a noise level that is none, or that the model cannot be scaled to."""
    if sigma is None:
        return
    if not 0.0 < sigma < np.inf:
        raise ConfigError(f"--sigma {sigma}: no noise level.", fix="give a positive number.")
    if saved.sigma is None:
        raise ConfigError(
            f"--sigma has no meaning for '{name}': its weight is given, or for which noise it is, "
            "is not known.",
            fix="leave --sigma out: give it or --weight, not both.",
        )
