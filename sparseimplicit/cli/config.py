"""The file that `learn` reads: its keys, their defaults, and errors that name file and key."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import typing
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from ..errors import ConfigError
from ..imaging.models.registry import KINDS

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Level = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Natural = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Accuracies = Share | Annotated[list[Share], Field(min_length=2, max_length=2)]
EXAMPLE: Final = "scripts/demo.toml is an example that works"


class Section(BaseModel):
    """A table of the file: its keys and no others, of the right kind."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Data(Section):
    """Which images, and which part of them; ``folder`` is relative to the config file.

    images: names, or patterns as ``*.png``. crop, crops: see `imaging.training.draw_crops`.
    """

    folder: str = "."
    images: Annotated[list[str], Field(min_length=1)]
    crop: Natural = 0
    crops: Natural = 0
    seed: Natural = 0


class Noise(Section):
    """Image i gets ``sigma · default_rng([seed, i]).standard_normal(shape)``, not clipped.

    Of several sigmas each image draws one.
    """

    sigma: Level | Annotated[list[Level], Field(min_length=1)] = 25.0
    seed: Natural = 0


class Validation(Section):
    """Images held out: the last ones of ``data.images``, in as many crops of their own."""

    images: Count
    crop: Natural | None = None
    crops: Natural = 0
    every: Count = 5
    patience: Natural = 0


class Regularizer(Section):
    """A term in θ alone, of one block."""

    block: str
    kind: Literal["ridge", "smooth"]
    weight: Level


class Training(Section):
    """The one stage, where no [[stage]] is given; and bounds for all of θ."""

    max_iterations: Count = 50
    gradient_rtol: Accuracies = 1e-6
    stop_rtol: Positive = 1e-4
    bounds: Annotated[list[Finite], Field(min_length=2, max_length=2)] | None = None


class FullBatchStage(Section):
    """All images a step, by L-BFGS-B; `imaging.training.FullBatch`."""

    method: Literal["l-bfgs"]
    max_iterations: Count = 50
    stop_rtol: Positive = 1e-4
    memory: Count = 20
    gradient_rtol: Accuracies | None = None
    tighten_over: Count = 20
    error_every: Natural = 10
    scales: dict[str, Positive] = {}


class MinibatchStage(Section):
    """Some images a step, by Adam; `imaging.training.Minibatch`."""

    method: Literal["adam"]
    steps: Count = 100
    batch: Count = 32
    rate: Positive = 0.05
    last_rate: Level = 0.0
    seed: Natural = 0
    decay_mean: Annotated[float, Field(ge=0, lt=1)] = 0.9
    decay_square: Annotated[float, Field(ge=0, lt=1)] = 0.999
    epsilon: Positive = 1e-8
    gradient_rtol: Accuracies | None = None
    tighten_over: Count = 20
    error_every: Natural = 10
    scales: dict[str, Positive] = {}


class Solver(Section):
    """The linear solver of the lower level; ``auto`` is what suits the model."""

    linear: str = "auto"


class Execution(Section):
    """Where images are visited: see `imaging.training.train`. jobs: 0 takes all cores."""

    executor: Literal["serial", "processes"] = "serial"
    jobs: Natural = 0


class Config(Section):
    """The whole file. model: ``kind``, ``start``, and the settings of that kind."""

    model: dict[str, Any] = {}
    data: Data
    noise: Noise = Noise()
    validation: Validation | None = None
    regularizer: list[Regularizer] = []
    training: Training = Training()
    stage: list[
        Annotated[FullBatchStage | MinibatchStage, Field(discriminator="method")]
    ] = []  # fmt: skip
    solver: Solver = Solver()
    run: Execution = Execution()

    @property
    def kind(self) -> str:
        """Of the model."""
        return str(self.model.get("kind", "tv"))

    @property
    def settings(self) -> dict[str, Any]:
        """Of the model."""
        return {k: value for k, value in self.model.items() if k not in ("kind", "start")}


STAGES: Final[dict[str, type[Section]]] = {"l-bfgs": FullBatchStage, "adam": MinibatchStage}
SECTIONS: Final[dict[str, type[Section]]] = {
    "data": Data, "noise": Noise, "validation": Validation, "regularizer": Regularizer,
    "training": Training, "stage": FullBatchStage, "solver": Solver, "run": Execution,
}  # fmt: skip


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
        raise ConfigError(f"{path} cannot be read as TOML: {error}.", fix=f"{EXAMPLE}.") from error
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise _error(path, error, Config, SECTIONS, ()) from error
    section = _model_section(path, config.kind)
    try:
        section.model_validate(config.model)
    except ValidationError as error:
        raise _error(path, error, section, {}, ("model",)) from error
    return config


def _model_section(path: Path, kind: str) -> type[Section]:
    """Return the section [model] of a kind: its settings, with the types that it declares."""
    if kind not in KINDS:
        raise ConfigError(
            f"{path}: model.kind = '{kind}' is no model.",
            fix=f"{_near(kind, list(KINDS))}valid: {', '.join(KINDS)}.",
        )
    model = KINDS[kind]
    hints = typing.get_type_hints(model)
    fields: dict[str, Any] = {
        field.name: (hints[field.name], field.default)
        for field in dataclasses.fields(model)  # type: ignore[arg-type]
    }
    made: type[Section] = create_model(
        "Model", __base__=Section, kind=(str, kind), start=(Finite | str | None, None), **fields
    )
    return made


def _error(
    path: Path, error: ValidationError, section: type[Section],
    sections: dict[str, type[Section]], place: tuple[str, ...],
) -> ConfigError:  # fmt: skip
    first = error.errors()[0]
    key, valid = _key(first["loc"], section, sections, place)
    if first["type"] == "extra_forbidden":
        what = f"{path}: there is no key '{key}'."
        near = _near(key.rpartition(".")[2], valid)
        return ConfigError(what, fix=f"{near}valid here: {', '.join(valid)}.")
    if first["type"] in ("missing", "union_tag_not_found"):
        missing = key if first["type"] == "missing" else f"{key}.method"
        return ConfigError(f"{path}: the key '{missing}' is missing.", fix=f"add {missing}.")
    return ConfigError(
        f"{path}: {key} = {first['input']!r} is not valid: {first['msg'].lower()}.",
        fix=f"{EXAMPLE}.",
    )


def _key(
    loc: tuple[int | str, ...], section: type[Section], sections: dict[str, type[Section]],
    place: tuple[str, ...],
) -> tuple[str, list[str]]:  # fmt: skip
    """Return a key as the file has it, and the names that are valid beside it.

    Pydantic puts in which kind of a union it tried: those are left out.
    """
    parts, valid = list(place), list(section.model_fields)
    inside: type[Section] | None = section
    for part in loc:
        if isinstance(part, int):
            parts[-1] += f"[{part}]"
        elif part in STAGES and parts and parts[-1].startswith("stage"):
            inside = STAGES[part]
        elif inside is not None:
            parts.append(part)
            valid = list(inside.model_fields)
            inside = sections.get(part)
        elif parts[-1] == "scales":
            parts.append(part)
    return ".".join(parts), valid


def _near(name: str, valid: list[str]) -> str:
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'? " if near else ""
