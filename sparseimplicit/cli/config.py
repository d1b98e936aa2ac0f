"""The file that `learn` reads: its keys, their defaults, and errors that name file and key."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import ConfigError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Model(_Section):
    """Which model, and where its parameter starts."""

    kind: Literal["tv"] = "tv"
    epsilon: Positive = 1.0
    weight: Literal["number", "map"] = "number"
    start: Finite = 0.0


class Data(_Section):
    """Which images; ``folder`` is relative to the config file."""

    folder: str = "."
    images: Annotated[list[str], Field(min_length=1)]


class Noise(_Section):
    """Image i gets ``sigma · default_rng([seed, i]).standard_normal(shape)``, not clipped."""

    sigma: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 25.0
    seed: Annotated[int, Field(ge=0)] = 0


class Training(_Section):
    """When the upper level stops, and how accurate its gradients are."""

    max_iterations: Annotated[int, Field(ge=1)] = 50
    gradient_rtol: Positive = 1e-6
    stop_rtol: Positive = 1e-4
    bounds: Annotated[list[Finite], Field(min_length=2, max_length=2)] = [-8.0, 8.0]


class Solver(_Section):
    """The linear solver of the lower level."""

    linear: str = "auto"


class Config(_Section):
    """The whole file."""

    model: Model = Model()
    data: Data
    noise: Noise = Noise()
    training: Training = Training()
    solver: Solver = Solver()


def read_config(path: Path) -> Config:
    """Read and check a config file.

    Raises
    ------
    ConfigError
        With the file, the key, and the nearest valid name for one that is unknown.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist.", fix="check the path.") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read as TOML: {error}.",
            fix="scripts/demo.toml is an example that works.",
        ) from error
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise _config_error(path, error) from error
    low, high = config.training.bounds
    if not low <= config.model.start <= high:
        raise ConfigError(
            f"{path}: model.start = {config.model.start} is outside training.bounds "
            f"[{low}, {high}].",
            fix="choose a start within the bounds.",
        )
    return config


def _config_error(path: Path, error: ValidationError) -> ConfigError:
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    key = ".".join(place)
    if first["type"] == "extra_forbidden":
        valid = _names(place[:-1])
        near = difflib.get_close_matches(place[-1], valid, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'? " if near else ""
        what = f"{path}: there is no key '{key}'."
        return ConfigError(what, fix=f"{hint}valid here: {', '.join(valid)}.")
    if first["type"] == "missing":
        return ConfigError(f"{path}: the key '{key}' is missing.", fix=f"add {key}.")
    return ConfigError(
        f"{path}: {key} = {first['input']!r} is not valid: {first['msg'].lower()}.",
        fix="scripts/demo.toml is an example that works.",
    )


def _names(section: list[str]) -> list[str]:
    model: Any = Config
    for name in section:
        model = model.model_fields[name].annotation
    return list(model.model_fields)
